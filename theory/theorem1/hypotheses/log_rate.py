r"""Theorem 1 without full support: on the uniform grid $N \cdot TV_N$ grows like $c \log N$.

Two bits, each a two-state chain with rates a: 0 -> 1 and b: 1 -> 0. The sampler starts from q_T.
Let p_0(x) = 0 while both states at Hamming distance 1 from x have positive probability. Then
$q_t(x) \approx t\,(R_1 p_1 + R_2 p_2)$ for small t, with p_1, p_2 the probabilities of the two
neighbours and R_1, R_2 the rates from them into x. The error of a step grows like $c_x / t$ with
$c_x = R_1 R_2 p_1 p_2 / (R_1 p_1 + R_2 p_2)$. Its integral over $[T/N, T]$ is a logarithm. The
coefficient c of log N is T/2 times the 1-norm of the sum over such x of $c_x$ times a signed
measure (`log_coefficient` of the library). For $p_0 = (1-m)\delta_{00} + m\,\delta_{11}$

$$c = 2T\, m(1-m)\, ab\, |mb - (1-m)a| / ((1-m)a + mb)^2.$$

This vanishes at m = 1/2 and a = b.

The logarithm enters the probabilities of 00 and 11 with opposite signs. Where the sampler gives too
little to both, TV sees only their sum, and the logarithm stays hidden until the error at 00 changes
its sign. With m = 0.3, a = 0.4, b = 0.9 this takes $N \approx 10^{35}$, but N(P(00) - p_0(00))
shows the logarithm at small N.

The claims show:

* The increments of $N \cdot TV_N$ do not fall to 0. Per factor e of N they tend to c; the
  extrapolated value agrees to 1e-4.
* A fitted log-log slope is about -0.9 and tends to -1, so it does not show the logarithm.
* The quadratic grid $t_k = T(k/N)^2$ restores O(1/N).
* The absorbing chain on two states (a = 0) also has the logarithm. If p_0(00) = 0, its coefficient
  is $T b\,p_{01}p_{10}/(p_{01} + p_{10})$. Masked noise does not have it, because data contain no
  mask.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch

from di4c.exact.pairs import log_coefficient
from theory.claim import Record, claim
from theory.tools.extrapolation import extrapolate
from theory.tools.pair_chain import total_variation, two_state_chain_law

SIZES = tuple(2**j for j in range(7, 14))
LOGARITHMIC = (1, 1, 2, 2)  # orders to extrapolate: the increments have terms (log N) / N

Chain = tuple[np.ndarray, float, float, float]  # p_0, rate_up a, rate_down b, horizon T


def two_point(weight: float) -> np.ndarray:
    r"""The law $(1-m)\delta_{00} + m\,\delta_{11}$."""
    return np.diag([1 - weight, weight])


VISIBLE: list[Chain] = [
    (two_point(0.5), 0.3, 1.0, 2.0),
    (two_point(0.7), 0.5, 0.5, 1.0),
    (np.array([[0.0, 0.3], [0.7, 0.0]]), 0.4, 0.9, 1.0),
    (np.array([[0.2, 0.3], [0.5, 0.0]]), 0.4, 0.9, 1.0),
    (np.array([[0.0, 0.3], [0.5, 0.2]]), 0.4, 0.9, 1.0),
    (np.array([[0.2, 0.0], [0.3, 0.5]]), 0.4, 0.9, 1.0),
]
ABSORBING: list[Chain] = [
    (np.array([[0.0, 0.5], [0.2, 0.3]]), 0.0, 1.0, 1.0),
    (np.array([[0.0, 0.5], [0.5, 0.0]]), 0.0, 0.7, 2.0),
]
HIDDEN: Chain = (two_point(0.3), 0.4, 0.9, 1.0)
NO_LOG: list[Chain] = [
    (two_point(0.5), 1.0, 1.0, 1.0),  # m b = (1 - m) a
    (two_point(0.2), 0.5, 2.0, 1.0),
    (np.array([[0.3, 0.5], [0.2, 0.0]]), 0.0, 1.0, 1.0),  # the zero is never reached
    (np.array([[0.0, 0.0], [0.2, 0.8]]), 0.5, 1.0, 1.0),  # neighbours of the zeros are zero
    (np.array([[0.25, 0.3], [0.4, 0.05]]), 0.4, 0.9, 1.0),  # full support
]


def uniform_times(num_steps: int, horizon: float) -> np.ndarray:
    """The uniform grid t_k = T k / N."""
    return horizon * np.arange(num_steps + 1) / num_steps


def quadratic_times(num_steps: int, horizon: float) -> np.ndarray:
    """The quadratic grid t_k = T (k / N)^2."""
    return horizon * (np.arange(num_steps + 1) / num_steps) ** 2


def scaled_error(
    chain: Chain, num_steps: int, times: Callable[[int, float], np.ndarray] = uniform_times
) -> np.ndarray:
    """N (output - p_0) of the enumerated sampler, (2, 2)."""
    p_0, rate_up, rate_down, horizon = chain
    output = two_state_chain_law(p_0, times(num_steps, horizon), rate_up, rate_down)
    return num_steps * (output - p_0)


def n_times_tv(
    chain: Chain, num_steps: int, times: Callable[[int, float], np.ndarray] = uniform_times
) -> float:
    """N TV_N of the enumerated sampler."""
    return total_variation(scaled_error(chain, num_steps, times), np.zeros((2, 2)))


def coefficient(chain: Chain) -> float:
    """The coefficient c of log N, from the library."""
    p_0, rate_up, rate_down, horizon = chain
    return log_coefficient(torch.from_numpy(p_0), rate_up, rate_down, horizon)


def two_point_coefficient(weight: float, up: float, down: float, horizon: float) -> float:
    """The closed form of c for two-point laws, as in the module docstring."""
    balance = weight * down - (1 - weight) * up
    total = (1 - weight) * up + weight * down
    return 2 * horizon * weight * (1 - weight) * up * down * abs(balance) / total**2


def increments(chain: Chain, entry: tuple[int, int] | None = None) -> list[float]:
    """Growth of N TV_N, or of one entry of N (output - p_0), per factor e of N, along SIZES."""
    values = []
    for n in SIZES:
        error = scaled_error(chain, n)
        values.append(np.abs(error).sum() / 2 if entry is None else error[entry])
    return [float(b - a) / math.log(2) for a, b in itertools.pairwise(values)]


def _grows(record: Record, chain: Chain) -> None:
    c, grown = coefficient(chain), increments(chain)
    record.equal(extrapolate(grown, LOGARITHMIC), c, 1e-4, f"growth per factor e, {chain}")
    for value in grown:
        record.exceeds(value, 0.6 * c, 0.0, f"N TV_N keeps growing, {chain}")


@claim(
    "log-rate",
    "False in general: N TV_N is bounded for any p_0. It grows by c for each factor e of N, and c "
    "has a closed form.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="two bits; p_0 has a zero whose two neighbours have positive probability; uniform "
    "grid; start q_T; c agrees to 1e-4",
)
def _verify_visible(record: Record) -> None:
    for chain in VISIBLE:
        _grows(record, chain)


@claim(
    "log-rate-absorbing",
    "False in general: N TV_N is bounded under absorbing noise. For two bits that fall to zero and "
    "p_0(00) = 0, it grows by c = T b p_01 p_10 / (p_01 + p_10) for each factor e of N.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="p_01, p_10 > 0, uniform grid, start q_T. Masked noise is different, because data "
    "contain no mask",
)
def _verify_absorbing(record: Record) -> None:
    for chain in ABSORBING:
        p_0, _, rate, horizon = chain
        pair = p_0[0, 1], p_0[1, 0]
        closed = horizon * rate * pair[0] * pair[1] / (pair[0] + pair[1])
        record.equal(coefficient(chain), closed, 1e-15, f"coefficient, {chain}")
        _grows(record, chain)


@claim(
    "log-rate-two-point",
    "The coefficient of log N is c = 2T m(1-m) ab |mb - (1-m)a| / ((1-m)a + mb)^2 for a law on 00 "
    "and 11.",
    group="beyond",
    source="this project",
    hypotheses="p_0 = (1-m) on 00 and m on 11, rates a: 0 -> 1 and b: 1 -> 0; the general formula "
    "at 200 random parameters",
)
def _verify_closed_form(record: Record) -> None:
    numbers = np.random.default_rng(61)
    for _ in range(200):
        weight, up, down, horizon = numbers.uniform(0.01, 0.99, 4)
        chain = (two_point(weight), up, down, horizon)
        closed = two_point_coefficient(weight, up, down, horizon)
        record.equal(coefficient(chain), closed, 1e-14, str(chain))


@claim(
    "log-rate-hidden",
    "The logarithm can be hidden from TV: per factor e of N, N(P(00) - p_0(00)) grows by c and "
    "N(P(11) - p_0(11)) by -c, while N TV_N grows by less than 0.05 c.",
    group="beyond",
    source="this project",
    hypotheses="m = 0.3, a = 0.4, b = 0.9, T = 1: the sampler gives too little to both 00 and 11",
)
def _verify_hidden(record: Record) -> None:
    c = coefficient(HIDDEN)
    for entry, sign in (((0, 0), 1), ((1, 1), -1)):
        grown = extrapolate(increments(HIDDEN, entry), LOGARITHMIC)
        record.equal(grown, sign * c, 1e-6, f"growth of N (output - p_0) at {entry}")
    # TV looks like 1/N: the last increments are small and shrink by about half each time.
    total = increments(HIDDEN)
    record.exceeds(0.05 * c, total[-1], 0.0, "the growth of N TV_N is less than 0.05 c")
    for earlier, later in itertools.pairwise(total):
        record.exceeds(0.6 * earlier, later, 0.0, "the growth of N TV_N shrinks at every doubling")


@claim(
    "log-rate-none",
    "There is no logarithm (c = 0, and the increments of N TV_N tend to 0) for full support, for "
    "balanced rates m b = (1-m) a, and for zeros that noise does not enter along two coordinates.",
    group="beyond",
    source="this project",
    hypotheses="five examples in which one condition of log-rate is missing",
)
def _verify_no_log(record: Record) -> None:
    for chain in NO_LOG:
        record.vanishes(coefficient(chain), 1e-15, f"coefficient, {chain}")
        grown = extrapolate(increments(chain), LOGARITHMIC)
        record.vanishes(grown, 1e-5, f"growth per factor e, {chain}")


@claim(
    "log-rate-quadratic-grid",
    "The quadratic grid t_k = T (k/N)^2 restores O(1/N): the increments of N TV_N shrink "
    "geometrically.",
    group="beyond",
    source="this project",
    hypotheses="the laws and rates of log-rate and log-rate-absorbing",
)
def _verify_quadratic(record: Record) -> None:
    for chain in [*VISIBLE, *ABSORBING]:
        values = [n_times_tv(chain, n, quadratic_times) for n in SIZES]
        steps = [abs(b - a) for a, b in itertools.pairwise(values)]
        record.at_most(steps[-1], 0.01 * coefficient(chain), f"last increment, {chain}")
        for earlier, later in itertools.pairwise(steps):
            record.at_most(later, 0.75 * earlier, f"increments shrink geometrically, {chain}")


def slope(chain: Chain, first: int, doublings: int) -> float:
    """Slope of log TV_N against log N by least squares, the usual test of O(1/N)."""
    sizes = [first * 2**j for j in range(doublings + 1)]
    tv = [n_times_tv(chain, n) / n for n in sizes]
    return float(np.polyfit(np.log(sizes), np.log(tv), 1)[0])


@claim(
    "log-rate-slope-test",
    "False in general: a log-log slope near -1 shows TV_N = O(1/N). The fitted slope is within "
    "0.15 of -1 although N TV_N is unbounded.",
    group="fails",
    source="this project",
    hypotheses="the laws and rates of log-rate; this is why the claims use increments and "
    "two-sided bounds",
)
def _verify_slope_test(record: Record) -> None:
    """Slopes for N = 64 to 8192 and for N = 1024 to 8192, and the growth of N TV_N."""
    for chain in VISIBLE:
        record.at_most(abs(slope(chain, 64, 7) + 1), 0.15, f"slope + 1, N = 64 to 8192, {chain}")
        record.at_most(abs(slope(chain, 1024, 3) + 1), 0.14, f"slope + 1, N >= 1024, {chain}")
        grown = n_times_tv(chain, 8192) - n_times_tv(chain, 64)
        least = 0.7 * coefficient(chain) * math.log(128)
        record.exceeds(grown, least, 0.0, f"growth of N TV_N, {chain}")
