r"""The best grids of a pair: equispaced in the angle; and HALF, where no grid is best.

E1, E2, E3 depend on the grid through a sum of one convex function of the increments of one angle,
so the equispaced angle wins among all grids with N steps:

* E1 ($\alpha$): $d_{12}(1-\alpha_T)^2/N$;
* E2 ($\psi$, $|\theta| < 1$): $[\cosh^N(2(\psi_0-\psi_T)/N) - 1]/(2\sinh 2\psi_0)$, N times
  which tends to $(\psi_0-\psi_T)^2/\sinh 2\psi_0$: no grid removes the 1/N;
* E3 ($\phi$): $(1-a)(1 - \cos^{2N}(\phi_T/N))$ for N >= 2 (at N = 1 there is one grid only).

HALF under uniform noise ($\theta = 1$, $\psi_0 = \infty$) is different: with $f = (1-w)/(1+w)$ the
infimum over grids is $2^{-N} f_T$ ($= 2^{-N}(1-e^{-4rT})/(1+e^{-4rT})$ at a constant flip rate). It
is approached by $f_k = f_T\,\varepsilon^{N-k}$, where $TV_N = 2^{-N} f_T (1+\varepsilon^2)^{N-1}$
exactly, and for N >= 2 not attained. So Theorem 1's Omega(1/N) is a statement about grids, not
about N: even the uniform grid of the cosine schedule, which crowds towards the data, has
$TV_N = O(1/N^2)$ here. Beyond the paper.
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
from theory.theorem1 import two_sided_pairs as chain
from theory.theorem1 import uniform_pair
from theory.tools.extrapolation import extrapolate
from theory.tools.pair_cases import SCHEDULES, random_grid, survival


def perturbed_grids(draw: random.Random, grid: np.ndarray) -> Iterator[list[float]]:
    """Four grids, each inner time moved by up to 30 % of the gap to its neighbour."""
    for _ in range(4):
        moved = grid.copy()
        for k in range(1, len(grid) - 1):
            shift = draw.uniform(-0.3, 0.3)
            moved[k] += shift * (grid[k + 1] - grid[k] if shift > 0 else grid[k] - grid[k - 1])
        yield moved.tolist()


def best_uniform_tv(pair: UniformPair, num_steps: int) -> float:
    r"""$[\cosh^N(2(\psi_0-\psi_T)/N) - 1]/(2\sinh 2\psi_0)$, as it stands."""
    last = float(pair.schedule.alpha(pair.schedule.horizon))
    psi_0, psi_end = math.atanh(pair.theta), math.atanh(pair.theta * last**2)
    product = math.cosh(2 * (psi_0 - psi_end) / num_steps) ** num_steps
    return (product - 1) / (2 * math.sinh(2 * psi_0))


def best_masked_tv(pair: MaskedPair, num_steps: int) -> float:
    r"""$d_{12}(1-\alpha_T)^2/N$."""
    last = float(pair.schedule.alpha(pair.schedule.horizon))
    law = pair.data_law.numpy()
    dependence = np.abs(law - np.outer(law.sum(1), law.sum(0))).sum() / 2
    return float(dependence * (1 - last) ** 2 / num_steps)


def best_absorbing_tv(pair: AbsorbingPair, num_steps: int) -> float:
    r"""$(1-a)(1 - \cos^{2N}(\phi_T/N))$, N >= 2."""
    last = float(pair.schedule.alpha(pair.schedule.horizon))
    phi = math.atan(math.sqrt(pair.weight / (1 - pair.weight)) * (1 - last))
    return (1 - pair.weight) * (1 - math.cos(phi / num_steps) ** (2 * num_steps))


def crowded_alphas(ratio: Fraction, last: Fraction, num_steps: int) -> list[Fraction]:
    r"""$1 - \alpha_k = (1-\alpha_N)\,\varepsilon^{N-k}$: a rational grid that crowds towards 0."""
    return (
        [Fraction(1)]
        + [1 - (1 - last) * ratio ** (num_steps - k) for k in range(1, num_steps)]
        + [last]
    )


def half_infimum(last: Fraction, num_steps: int) -> Fraction:
    r"""$2^{-N} f_T$ with $f = (1-\alpha^2)/(1+\alpha^2)$."""
    return (1 - last**2) / (1 + last**2) / 2**num_steps


def _compare(record: Record, pair: Pair, chain_tv: chain.ChainTV, best: float, n: int) -> None:
    draw = random.Random(51)
    grid = pair.best_grid(n).numpy()
    what = f"{pair}, N={n}"
    attained = chain_tv(pair, survival(pair.schedule, grid))
    record.equal(attained, best, 1e-13, f"the best grid attains the optimum, {what}")
    library = pair.best_tv(n)
    if library is None:
        raise ValueError(f"no optimum for {what}")
    record.equal(library, best, 1e-13, f"best_tv, {what}")
    if n == 1:
        return  # there is one grid only
    others = [random_grid(draw, n, pair.schedule.horizon) for _ in range(4)]
    for other in [*others, *perturbed_grids(draw, grid)]:
        tv = chain_tv(pair, survival(pair.schedule, other))
        record.exceeds(tv, best, 0.0, f"{what}, grid={other}")


@claim(
    "best-grid-masked",
    "equispaced alpha is best: TV* = d12 (1-alpha_T)^2 / N",
    group="beyond",
    source="this project",
    hypotheses="masked pair, any p0 and schedule; random and perturbed grids lose",
)
def _verify_masked(record: Record) -> None:
    p_0 = torch.tensor([[0.4, 0.1], [0.2, 0.3]], dtype=torch.float64)
    for schedule, n in itertools.product(SCHEDULES, (1, 2, 3, 8)):
        pair = MaskedPair(p_0=p_0, schedule=schedule)
        _compare(record, pair, chain.masked_tv, best_masked_tv(pair, n), n)


@claim(
    "best-grid-uniform",
    "equispaced psi is best: TV* = [cosh^N(2(psi_0-psi_T)/N) - 1] / (2 sinh 2psi_0)",
    group="beyond",
    source="this project",
    hypotheses="symmetric p0, 0 < |theta| < 1; random and perturbed grids lose",
)
def _verify_uniform(record: Record) -> None:
    for schedule, n, theta in itertools.product(SCHEDULES, (1, 2, 3, 8), (0.3, 0.99)):
        pair = UniformPair(theta=theta, schedule=schedule)
        _compare(record, pair, chain.uniform_tv, best_uniform_tv(pair, n), n)


@claim(
    "best-grid-absorbing",
    "equispaced phi is best: TV* = (1-a)(1 - cos^{2N}(phi_T/N)), N >= 2",
    group="beyond",
    source="this project",
    hypotheses="p0 on {00, 11}, start q_T; random and perturbed grids lose",
)
def _verify_absorbing(record: Record) -> None:
    for schedule, n, weight in itertools.product(SCHEDULES, (2, 3, 8), (0.5, 0.9)):
        pair = AbsorbingPair(weight=weight, schedule=schedule)
        _compare(record, pair, chain.absorbing_tv, best_absorbing_tv(pair, n), n)


@claim(
    "best-grid-rate",
    "N TV* -> (psi_0-psi_T)^2 / sinh 2psi_0, from above: no grid removes 1/N",
    group="beyond",
    source="this project",
    hypotheses="symmetric p0, 0 < |theta| < 1 (vanishes as theta -> 1), start q_T",
)
def _verify_best_rate(record: Record) -> None:
    for schedule, theta in itertools.product(SCHEDULES, (0.3, 0.99)):
        pair = UniformPair(theta=theta, schedule=schedule)
        last = float(schedule.alpha(schedule.horizon))
        drop = math.atanh(theta) - math.atanh(theta * last**2)
        constant = drop**2 / math.sinh(2 * math.atanh(theta))
        values = []
        for n in (32, 64, 128, 256):
            grid = pair.best_grid(n).numpy()
            values.append(n * chain.uniform_tv(pair, survival(schedule, grid)))
            record.at_most(constant, values[-1], f"{pair}, N={n}", 1e-11)
        record.equal(extrapolate(values), constant, 1e-6, f"{pair}: lim N TV*")


@claim(
    "half-infimum",
    "HALF: inf over grids of TV_N = 2^-N (1-w_T)/(1+w_T), approached, not attained",
    group="beyond",
    source="this project",
    hypotheses="theta = 1, uniform noise, start q_T, N >= 2; exact rationals",
)
def _verify_half_infimum(record: Record) -> None:
    for last, n in itertools.product((Fraction(0), Fraction(1, 3)), (1, 2, 3, 4, 5)):
        infimum = half_infimum(last, n)
        for ratio in (Fraction(1, 2), Fraction(1, 10), Fraction(1, 1000)):
            alphas = crowded_alphas(ratio, last, n)
            tv = uniform_pair.sampler_tv(Fraction(1), alphas, from_prior=False)
            what = f"alpha_T={last}, N={n}, ratio={ratio}"
            if n > 1:
                record.exceeds(tv, infimum, 0, f"never attained, {what}")
            record.at_most(tv, infimum * (1 + 2 * ratio) ** n, f"approached, {what}")
        f_end = infimum * 2**n
        for ratio in (Fraction(1, 2), Fraction(1, 100)):
            levels = [Fraction(0)] + [f_end * ratio ** (n - k) for k in range(1, n + 1)]
            exact = uniform_tv([(1 - f) / (1 + f) for f in levels])
            what = f"geometric f, alpha_T={last}, N={n}, ratio={ratio}"
            record.equal(exact, infimum * (1 + ratio**2) ** (n - 1), 0, what)


@claim(
    "no-lower-bound-over-grids",
    "False in general: TV_N >= c/N on every grid. HALF: crowded grids go below the uniform c",
    group="fails",
    source="Theorem 1 (lower), its limits",
    hypotheses="binds: Omega(1/N) needs the uniform grid or |theta| < 1; exact rationals",
)
def _verify_no_lower_bound(record: Record) -> None:
    """N TV_N falls below any constant: at N = 5 to 5 / 32 of f_T already, then 2^-N."""
    constant = Fraction(1, 2)  # of the uniform grid, alpha = 1 - t: N TV_N >= 1/2 at every N
    for n in (4, 5, 6):
        uniform = [1 - Fraction(k, n) for k in range(n + 1)]
        crowded = crowded_alphas(Fraction(1, 100), Fraction(0), n)
        for alphas, sign in ((uniform, 1), (crowded, -1)):
            tv = uniform_pair.sampler_tv(Fraction(1), alphas, from_prior=False)
            what = f"N={n}, {'uniform' if sign > 0 else 'crowded'} grid"
            record.exceeds(sign * n * tv, sign * constant, Fraction(0), what)


@claim(
    "no-lower-bound-cosine",
    "False in general: Omega(1/N) on the uniform grid. HALF, cosine alpha: N^2 TV_N converges",
    group="fails",
    source="Theorem 1 (lower), its limits",
    hypotheses="binds: alpha'(0) < 0; a constant flip rate has it",
)
def _verify_cosine(record: Record) -> None:
    for horizon in (1.0, 3.0):
        pair = UniformPair(theta=1.0, schedule=CosineSchedule(horizon=horizon))
        squares = []
        for n in (128, 256, 512, 1024):
            alphas = survival(pair.schedule, uniform_grid(n, horizon).numpy())
            squares.append(n * n * chain.uniform_tv(pair, alphas))
        record.equal(extrapolate(squares), cosine_constant(), 1e-5, "lim N^2 TV_N")
        record.exceeds(0.01, squares[-1] / 1024, 0.0, f"N TV_N at N = 1024, T={horizon}")
        linear = UniformPair(theta=1.0, schedule=ExponentialSchedule(horizon=horizon))
        tv = chain.uniform_tv(
            linear, survival(linear.schedule, uniform_grid(1024, horizon).numpy())
        )
        record.exceeds(1024 * tv, 0.1, 0.0, f"N TV_N at a constant rate, T={horizon}")


def cosine_constant(terms: int = 20_000) -> float:
    r"""$\frac{\pi^2}{16} \prod_{k\ge2} \cosh(2 \log\frac{k}{k-1})$: f grows like $t^2$ there."""
    k = np.arange(2, terms + 1, dtype=float)
    tail = 2 / terms  # sum over k > K of 2 log^2(k / (k - 1)), to first order
    product = np.log(np.cosh(2 * np.log(k / (k - 1)))).sum() + tail
    return math.pi**2 / 16 * math.exp(product)
