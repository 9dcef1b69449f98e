r"""Theorem 1 without full support: on the uniform grid $N \cdot TV_N$ grows like $c \log N$.

Two-state chains with rates a: 0 -> 1 and b: 1 -> 0, start q_T. Let p_0(x) = 0 while both states
at Hamming distance 1 from x carry mass. Then $q_t(x) \approx t\,(R_1 p_1 + R_2 p_2)$ and the error
rate of a step behaves like $c_x / t$, $c_x = R_1 R_2 p_1 p_2 / (R_1 p_1 + R_2 p_2)$: its integral
over $[T/N, T]$ is a logarithm. c is T/2 times the 1-norm of the sum over such x of $c_x$ times a
signed measure (`log_coefficient`). For $p_0 = (1-m)\delta_{00} + m\,\delta_{11}$

$$c = 2T\, m(1-m)\, ab\, |mb - (1-m)a| / ((1-m)a + mb)^2,$$

which vanishes for HALF with a = b, and lives in the coordinates 00 and 11 with opposite signs:
where both are below the data, TV sees only their sum, and the logarithm is hidden until 00
changes sign. With m = .3, a = .4, b = .9 that takes $N \approx 10^{35}$, while N(P(00) - p_0(00))
shows it at once.

What is shown: increments of $N \cdot TV_N$ per factor 4 do not fall to 0 but tend to c ln 4, to
1e-4 by extrapolation; a slope test (about -0.9, drifting to -1) would pass; the grid
$t_k = T(k/N)^2$ restores O(1/N). Also: the literal absorbing chain (a = 0) is not exempt. If
p_0(00) = 0, its c is $T b\,p_{01}p_{10}/(p_{01} + p_{10})$; what exempts masked noise is that data
hold no mask.
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
LOGARITHMIC = (1, 1, 2, 2)  # the series of the increments holds (log N) / N

Chain = tuple[np.ndarray, float, float, float]  # p_0, rate_up, rate_down, horizon


def two_point(weight: float) -> np.ndarray:
    r"""$(1-m)\delta_{00} + m\,\delta_{11}$."""
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
    """t_k = T k / N."""
    return horizon * np.arange(num_steps + 1) / num_steps


def quadratic_times(num_steps: int, horizon: float) -> np.ndarray:
    """t_k = T (k / N)^2."""
    return horizon * (np.arange(num_steps + 1) / num_steps) ** 2


def scaled_error(
    chain: Chain, num_steps: int, times: Callable[[int, float], np.ndarray] = uniform_times
) -> np.ndarray:
    """N (output - p_0), (2, 2), of the enumerated sampler."""
    p_0, rate_up, rate_down, horizon = chain
    output = two_state_chain_law(p_0, times(num_steps, horizon), rate_up, rate_down)
    return num_steps * (output - p_0)


def n_times_tv(
    chain: Chain, num_steps: int, times: Callable[[int, float], np.ndarray] = uniform_times
) -> float:
    """N TV_N."""
    return total_variation(scaled_error(chain, num_steps, times), np.zeros((2, 2)))


def coefficient(chain: Chain) -> float:
    """The library's c."""
    p_0, rate_up, rate_down, horizon = chain
    return log_coefficient(torch.from_numpy(p_0), rate_up, rate_down, horizon)


def two_point_coefficient(weight: float, up: float, down: float, horizon: float) -> float:
    """The closed form of the module docstring."""
    balance = weight * down - (1 - weight) * up
    total = (1 - weight) * up + weight * down
    return 2 * horizon * weight * (1 - weight) * up * down * abs(balance) / total**2


def increments(chain: Chain, entry: tuple[int, int] | None = None) -> list[float]:
    """Growth of N TV_N (or of one entry of N (output - p_0)) per factor e, along SIZES."""
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
    "False in general: N TV_N bounded for any p0. It grows by c per factor e of N, c to 1e-4",
    group="fails",
    source="Theorem 1 (upper), its limits",
    hypotheses="binds: p_0 has a zero whose two neighbours carry mass; uniform grid, start q_T",
)
def _verify_visible(record: Record) -> None:
    for chain in VISIBLE:
        _grows(record, chain)


@claim(
    "log-rate-absorbing",
    "False in general: absorbing noise is exempt. With p0(00) = 0, 1 -> 0: c = Tb pq/(p+q)",
    group="fails",
    source="Theorem 1 (upper), its limits",
    hypotheses="binds: masked noise is exempt since data hold no mask; this chain is not",
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
    "c = 2T m(1-m) ab |mb - (1-m)a| / ((1-m)a + mb)^2 on {00, 11}",
    group="beyond",
    source="this project",
    hypotheses="p0 = (1-m) d_00 + m d_11; general formula against closed form",
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
    "N(P(00) - p0(00)) and N(P(11) - p0(11)) grow by +c, -c while N TV_N hardly does",
    group="beyond",
    source="this project",
    hypotheses="m = .3, a = .4, b = .9: both coordinates below the data",
)
def _verify_hidden(record: Record) -> None:
    c = coefficient(HIDDEN)
    for entry, sign in (((0, 0), 1), ((1, 1), -1)):
        grown = extrapolate(increments(HIDDEN, entry), LOGARITHMIC)
        record.equal(grown, sign * c, 1e-6, f"growth of N (output - p_0) at {entry}")
    # TV looks like 1/N: the last increments are small and still shrink by half.
    total = increments(HIDDEN)
    record.exceeds(0.05 * c, total[-1], 0.0, "the growth of N TV_N is under 5 % of c")
    for earlier, later in itertools.pairwise(total):
        record.exceeds(0.6 * earlier, later, 0.0, "and it shrinks at every doubling")


@claim(
    "log-rate-none",
    "c = 0, increments -> 0: full support, balance mb = (1-m)a, unreached zeros",
    group="beyond",
    source="this project",
    hypotheses="the condition of log-rate is sharp in these cases",
)
def _verify_no_log(record: Record) -> None:
    for chain in NO_LOG:
        record.equal(coefficient(chain), 0.0, 1e-15, f"coefficient, {chain}")
        grown = extrapolate(increments(chain), LOGARITHMIC)
        record.equal(grown, 0.0, 1e-5, f"growth per factor e, {chain}")


@claim(
    "log-rate-quadratic-grid",
    "t_k = T (k/N)^2 restores O(1/N): increments of N TV_N shrink geometrically",
    group="beyond",
    source="this project",
    hypotheses="same p0 and rates as log-rate",
)
def _verify_quadratic(record: Record) -> None:
    for chain in [*VISIBLE, *ABSORBING]:
        values = [n_times_tv(chain, n, quadratic_times) for n in SIZES]
        steps = [abs(b - a) for a, b in itertools.pairwise(values)]
        record.at_most(steps[-1], 0.01 * coefficient(chain), f"last increment, {chain}")
        for earlier, later in itertools.pairwise(steps):
            record.at_most(later, 0.75 * earlier, f"increments shrink geometrically, {chain}")


def slope(chain: Chain, first: int, doublings: int) -> float:
    """Slope of log TV_N against log N by least squares: the usual test of O(1/N)."""
    sizes = [first * 2**j for j in range(doublings + 1)]
    tv = [n_times_tv(chain, n) / n for n in sizes]
    return float(np.polyfit(np.log(sizes), np.log(tv), 1)[0])


@claim(
    "log-rate-slope-test",
    "False in general: a log-log slope near -1 shows O(1/N). It passes with N TV_N unbounded",
    group="fails",
    source="this project",
    hypotheses="why the suite tests increments and two-sided bounds",
)
def _verify_slope_is_blind(record: Record) -> None:
    """The fitted slope is within 0.15 of -1 although N TV_N is unbounded."""
    for chain in VISIBLE:
        record.at_most(abs(slope(chain, 64, 7) + 1), 0.15, f"a slope test passes, {chain}")
        record.at_most(abs(slope(chain, 1024, 3) + 1), 0.14, f"more so at large N, {chain}")
        grown = n_times_tv(chain, 8192) - n_times_tv(chain, 64)
        record.exceeds(grown, 0.7 * coefficient(chain) * math.log(128), 0.0, f"yet, {chain}")
