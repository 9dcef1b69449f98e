r"""The best grids of a pair, and a pair for which no grid is best.

The closed form of each pair depends on the grid through a sum of one convex function of the
increments of one function of time. So among all grids with N steps the best one is equispaced in
this function:

* masked pair, equispaced in $\alpha$: $d_{12}(1-\alpha_T)^2/N$;
* uniform pair with $|\theta| < 1$, equispaced in $\psi$:
  $[\cosh^N(2(\psi_0-\psi_T)/N) - 1]/(2\sinh 2\psi_0)$. N times this tends to
  $(\psi_0-\psi_T)^2/\sinh 2\psi_0$, so no grid improves the order 1/N;
* absorbing pair, equispaced in $\phi$: $(1-a)(1 - \cos^{2N}(\phi_T/N))$ for N >= 2. At N = 1 there
  is only one grid.

Two bits that always agree, under uniform noise ($\theta = 1$, $\psi_0 = \infty$), are different.
With $f = (1-w)/(1+w)$ the infimum over grids is $2^{-N} f_T$, which is
$2^{-N}(1-e^{-4rT})/(1+e^{-4rT})$ at a constant flip rate. The grids with
$f_k = f_T\,\varepsilon^{N-k}$ approach it: they have $TV_N = 2^{-N} f_T (1+\varepsilon^2)^{N-1}$
exactly. For N >= 2 no grid attains it. So the lower bound Omega(1/N) of Theorem 1 depends on the
grid. Even on the uniform grid, the cosine schedule has $TV_N = O(1/N^2)$ here, because its slope at
the data is 0. Beyond the paper.
"""

import itertools
import math
import random
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch

from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair, uniform_tv
from di4c.schedules import CosineSchedule, ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.theorem1.pairs import uniform_pair
from theory.tools.extrapolation import extrapolate
from theory.tools.pair_cases import SCHEDULES, enumerated_tv, random_grid


def perturbed_grids(draw: random.Random, grid: np.ndarray) -> Iterator[list[float]]:
    """Four grids with each inner time moved by up to 30 % of the gap to its neighbour."""
    for _ in range(4):
        moved = grid.copy()
        for k in range(1, len(grid) - 1):
            shift = draw.uniform(-0.3, 0.3)
            moved[k] += shift * (grid[k + 1] - grid[k] if shift > 0 else grid[k] - grid[k - 1])
        yield moved.tolist()


def best_uniform_tv(pair: UniformPair, num_steps: int) -> float:
    r"""The optimum $[\cosh^N(2(\psi_0-\psi_T)/N) - 1]/(2\sinh 2\psi_0)$."""
    last = float(pair.schedule.alpha(pair.schedule.horizon))
    psi_0, psi_end = math.atanh(pair.theta), math.atanh(pair.theta * last**2)
    product = math.cosh(2 * (psi_0 - psi_end) / num_steps) ** num_steps
    return (product - 1) / (2 * math.sinh(2 * psi_0))


def best_masked_tv(pair: MaskedPair, num_steps: int) -> float:
    r"""The optimum $d_{12}(1-\alpha_T)^2/N$."""
    last = float(pair.schedule.alpha(pair.schedule.horizon))
    law = pair.data_law.numpy()
    dependence = np.abs(law - np.outer(law.sum(1), law.sum(0))).sum() / 2
    return float(dependence * (1 - last) ** 2 / num_steps)


def best_absorbing_tv(pair: AbsorbingPair, num_steps: int) -> float:
    r"""The optimum $(1-a)(1 - \cos^{2N}(\phi_T/N))$ for N >= 2."""
    last = float(pair.schedule.alpha(pair.schedule.horizon))
    phi = math.atan(math.sqrt(pair.weight / (1 - pair.weight)) * (1 - last))
    return (1 - pair.weight) * (1 - math.cos(phi / num_steps) ** (2 * num_steps))


def alphas_close_to_data(ratio: Fraction, last: Fraction, num_steps: int) -> list[Fraction]:
    r"""A rational grid with times close to 0: $1 - \alpha_k = (1-\alpha_N)\,\varepsilon^{N-k}$."""
    return (
        [Fraction(1)]
        + [1 - (1 - last) * ratio ** (num_steps - k) for k in range(1, num_steps)]
        + [last]
    )


def equal_bits_infimum(last: Fraction, num_steps: int) -> Fraction:
    r"""The infimum $2^{-N} f_T$ with $f = (1-\alpha^2)/(1+\alpha^2)$."""
    return (1 - last**2) / (1 + last**2) / 2**num_steps


def _compare(record: Record, pair: Pair, best: float, n: int) -> None:
    draw = random.Random(51)
    grid = pair.best_grid(n).numpy()
    what = f"{pair}, N={n}"
    attained = enumerated_tv(pair, grid)
    record.equal(attained, best, 1e-13, f"the best grid attains the optimum, {what}")
    library = pair.best_tv(n)
    if library is None:
        raise ValueError(f"no optimum for {what}")
    record.equal(library, best, 1e-13, f"best_tv, {what}")
    if n == 1:
        return  # there is one grid only
    others = [random_grid(draw, n, pair.schedule.horizon) for _ in range(4)]
    for other in [*others, *perturbed_grids(draw, grid)]:
        tv = enumerated_tv(pair, other)
        record.exceeds(tv, best, 0.0, f"another grid is worse, {what}, grid={other}")


@claim(
    "best-grid-masked",
    "Masked pair: the grid equispaced in alpha is best, with the error d_12 (1-alpha_T)^2 / N.",
    group="beyond",
    source="this project",
    hypotheses="any p_0 and schedule, start q_T; compared with random and perturbed grids",
)
def _verify_masked(record: Record) -> None:
    p_0 = torch.tensor([[0.4, 0.1], [0.2, 0.3]], dtype=torch.float64)
    for schedule, n in itertools.product(SCHEDULES, (1, 2, 3, 8)):
        pair = MaskedPair(p_0=p_0, schedule=schedule)
        _compare(record, pair, best_masked_tv(pair, n), n)


@claim(
    "best-grid-uniform",
    "Uniform pair: the grid equispaced in psi is best, with the error [cosh^N(2(psi_0-psi_T)/N) - "
    "1] / (2 sinh 2psi_0).",
    group="beyond",
    source="this project",
    hypotheses="symmetric p_0, 0 < |theta| < 1, start q_T; compared with random and perturbed "
    "grids",
)
def _verify_uniform(record: Record) -> None:
    for schedule, n, theta in itertools.product(SCHEDULES, (1, 2, 3, 8), (0.3, 0.99)):
        pair = UniformPair(theta=theta, schedule=schedule)
        _compare(record, pair, best_uniform_tv(pair, n), n)


@claim(
    "best-grid-absorbing",
    "Absorbing pair: the grid equispaced in phi is best, with the error (1-a)(1 - "
    "cos^{2N}(phi_T/N)) for N >= 2.",
    group="beyond",
    source="this project",
    hypotheses="p_0 = (1-a) on 00 and a on 11, start q_T; compared with random and perturbed grids",
)
def _verify_absorbing(record: Record) -> None:
    for schedule, n, weight in itertools.product(SCHEDULES, (2, 3, 8), (0.5, 0.9)):
        pair = AbsorbingPair(weight=weight, schedule=schedule)
        _compare(record, pair, best_absorbing_tv(pair, n), n)


@claim(
    "best-grid-rate",
    "Uniform pair: on the best grid N TV_N decreases to (psi_0-psi_T)^2 / sinh 2psi_0, so no grid "
    "improves the order 1/N.",
    group="beyond",
    source="this project",
    hypotheses="symmetric p_0, 0 < |theta| < 1 (the limit tends to 0 as theta -> 1), start q_T",
)
def _verify_best_rate(record: Record) -> None:
    for schedule, theta in itertools.product(SCHEDULES, (0.3, 0.99)):
        pair = UniformPair(theta=theta, schedule=schedule)
        last = float(schedule.alpha(schedule.horizon))
        drop = math.atanh(theta) - math.atanh(theta * last**2)
        constant = drop**2 / math.sinh(2 * math.atanh(theta))
        values = []
        for n in (32, 64, 128, 256):
            values.append(n * enumerated_tv(pair, pair.best_grid(n)))
            record.at_most(constant, values[-1], f"{pair}, N={n}", 1e-11)
        record.equal(extrapolate(values), constant, 1e-6, f"{pair}: limit on the best grid")


@claim(
    "equal-bits-infimum",
    "Two bits that always agree, uniform noise: the infimum of TV_N over all grids is 2^-N "
    "(1-w_T)/(1+w_T) with w_T = alpha_T^2. Grids approach it and none attains it.",
    group="beyond",
    source="this project",
    hypotheses="start q_T, N >= 2; exact rationals",
)
def _verify_equal_bits_infimum(record: Record) -> None:
    for last, n in itertools.product((Fraction(0), Fraction(1, 3)), (1, 2, 3, 4, 5)):
        infimum = equal_bits_infimum(last, n)
        for ratio in (Fraction(1, 2), Fraction(1, 10), Fraction(1, 1000)):
            alphas = alphas_close_to_data(ratio, last, n)
            tv = uniform_pair.sampler_tv(Fraction(1), alphas, from_prior=False)
            what = f"alpha_T={last}, N={n}, ratio={ratio}"
            if n > 1:
                record.exceeds(tv, infimum, 0, f"not attained, {what}")
            record.at_most(tv, infimum * (1 + 2 * ratio) ** n, f"approached, {what}")
        f_end = infimum * 2**n
        for ratio in (Fraction(1, 2), Fraction(1, 100)):
            levels = [Fraction(0)] + [f_end * ratio ** (n - k) for k in range(1, n + 1)]
            exact = uniform_tv([(1 - f) / (1 + f) for f in levels])
            what = f"geometric grid in f, alpha_T={last}, N={n}, ratio={ratio}"
            record.equal(exact, infimum * (1 + ratio**2) ** (n - 1), 0, what)


@claim(
    "no-lower-bound-over-grids",
    "False in general: TV_N >= c/N on every grid. For two bits that always agree and uniform "
    "noise, grids with times close to 0 have a smaller error than the c/N of the uniform grid.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="the lower bound needs the uniform grid or |theta| < 1; exact rationals",
)
def _verify_no_lower_bound(record: Record) -> None:
    """N TV_N on the uniform grid and on a grid with times close to 0, at N = 4, 5, 6."""
    constant = Fraction(1, 2)  # on the uniform grid of alpha = 1 - t, N TV_N >= 1/2 at every N
    for n in (4, 5, 6):
        uniform = [1 - Fraction(k, n) for k in range(n + 1)]
        close = alphas_close_to_data(Fraction(1, 100), Fraction(0), n)
        for alphas, sign in ((uniform, 1), (close, -1)):
            tv = uniform_pair.sampler_tv(Fraction(1), alphas, from_prior=False)
            what = f"N={n}, {'uniform grid' if sign > 0 else 'grid close to 0'}"
            record.exceeds(sign * n * tv, sign * constant, Fraction(0), what)


@claim(
    "no-lower-bound-cosine",
    "False in general: TV_N >= c/N on the uniform grid. For two bits that always agree, uniform "
    "noise and the cosine schedule, N^2 TV_N converges.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="at theta = 1 the lower bound needs alpha'(0) < 0, as for a constant flip rate",
)
def _verify_cosine(record: Record) -> None:
    for horizon in (1.0, 3.0):
        pair = UniformPair(theta=1.0, schedule=CosineSchedule(horizon=horizon))
        squares = []
        for n in (128, 256, 512, 1024):
            squares.append(n * n * enumerated_tv(pair, uniform_grid(n, horizon)))
        record.equal(extrapolate(squares), cosine_constant(), 1e-5, "lim N^2 TV_N")
        record.exceeds(0.01, squares[-1] / 1024, 0.0, f"N TV_N at N = 1024, T={horizon}")
        linear = UniformPair(theta=1.0, schedule=ExponentialSchedule(horizon=horizon))
        tv = enumerated_tv(linear, uniform_grid(1024, horizon))
        record.exceeds(1024 * tv, 0.1, 0.0, f"N TV_N at a constant rate, T={horizon}")


def cosine_constant(terms: int = 20_000) -> float:
    r"""The limit $\frac{\pi^2}{16} \prod_{k\ge2} \cosh(2 \log\frac{k}{k-1})$ of N^2 TV_N."""
    k = np.arange(2, terms + 1, dtype=float)
    tail = 2 / terms  # the sum of 2 log^2(k / (k - 1)) over k > terms, to first order
    product = np.log(np.cosh(2 * np.log(k / (k - 1)))).sum() + tail
    return math.pi**2 / 16 * math.exp(product)
