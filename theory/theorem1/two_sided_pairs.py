r"""Theorem 1 at |S| = D = 2, elementary: $c / N \le TV_N \le C / N$ at every N, with constants.

The closed forms E1, E2, E3 turn the theorem into convexity of one function of one angle:

* below, on any grid from 0 to T: $\sum \Delta_k^2 \ge (\sum \Delta_k)^2 / N$,
  $\cosh x \ge 1 + x^2/2$ and $\cos^2 x \le e^{-x^2}$ give E1 $\ge d_{12}(1-\alpha_T)^2/N$,
  E2 $\ge (\psi_0-\psi_T)^2/(N \sinh 2\psi_0)$, E3 $\ge (1-a)(1 - e^{-\phi_T^2/N})$;
* above, on the uniform grid: $\Delta_k^2 \le \frac{T}{N} \int_k (\cdot)'^2$ (Cauchy-Schwarz) and
  $\log\cosh x \le x^2/2$ give E1 $\le d_{12}\,T\!\int\alpha'^2/N$,
  E2 $\le (e^{2TJ/N}-1)/(2\sinh 2\psi_0)$ with $J = \int\psi'^2$,
  E3 $\le (1-a)\max\{T\!\int\phi'^2/N,\ 2\sin^2\phi_1\}$.
* HALF under uniform noise ($\theta = 1$, $J = \infty$), constant flip rate r: with $\tanh$ concave,
  $\tanh(kx)/\tanh((k-1)x) \le k/(k-1)$, so that
  $\tfrac12\tanh(2rT/N) \le TV_N \le \tfrac12\tanh(2rT/N) \prod_{k=2}^N (1 + \tfrac{1}{2k(k-1)})
  \le \tfrac{2\cosh(\pi/2)}{\pi}\, rT/N$.

The distance bounded here is that of the literally enumerated sampler, not of the closed forms.
Hypotheses that bind: at $\theta = 1$ no lower bound c/N holds on every grid (optimal_grids); a
schedule of infinite slope at 0 (arccos) has $\int\alpha'^2 = \infty$ and no upper bound
(schedule_slope).
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch

from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair
from di4c.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    LogLinearSchedule,
    Schedule,
    uniform_grid,
)
from theory.claim import Record, claim
from theory.tools.pair_cases import SCHEDULES, random_grid, survival
from theory.tools.pair_chain import absorbing_chain_tv, masked_chain_tv, uniform_chain_tv

STEPS = (1, 2, 3, 5, 16, 64, 512)
ROUNDING = 1e-13  # of the float64 sampler, absolute, at every N used here

SMOOTH_SCHEDULES: tuple[Schedule, ...] = (
    LinearSchedule(),
    CosineSchedule(horizon=2.0),
    LogLinearSchedule(),
    ExponentialSchedule(rate=0.5, horizon=1.0),
    ExponentialSchedule(rate=3.0, horizon=2.0),
)

ChainTV = Callable[[Pair, np.ndarray], float]


def masked_tv(pair: Pair, alphas: np.ndarray) -> float:
    """The sampler of a masked pair, enumerated."""
    return masked_chain_tv(pair.data_law.numpy(), alphas, all_mask=pair.start == "prior")


def uniform_tv(pair: Pair, alphas: np.ndarray) -> float:
    """The sampler of a pair under uniform noise, enumerated."""
    return uniform_chain_tv(pair.data_law.numpy(), alphas, from_prior=pair.start == "prior")


def absorbing_tv(pair: Pair, alphas: np.ndarray) -> float:
    """The sampler of two bits that fall to zero, enumerated."""
    return absorbing_chain_tv(pair.data_law.numpy(), alphas)


def masked_pairs(schedules: tuple[Schedule, ...]) -> Iterator[Pair]:
    """Random dependent laws on 2 x 2 and 3 x 3 values, both starts."""
    numbers = np.random.default_rng(41)
    for schedule, start, num_values in itertools.product(schedules, ("q_T", "prior"), (2, 3)):
        p_0 = numbers.dirichlet(np.ones(num_values**2)).reshape(num_values, num_values)
        yield MaskedPair(p_0=torch.from_numpy(p_0), schedule=schedule, start=start)


def uniform_pairs(schedules: tuple[Schedule, ...], thetas: tuple[float, ...]) -> Iterator[Pair]:
    """Symmetric laws, both starts."""
    for schedule, start, theta in itertools.product(schedules, ("q_T", "prior"), thetas):
        yield UniformPair(theta=theta, schedule=schedule, start=start)


def absorbing_pairs(schedules: tuple[Schedule, ...]) -> Iterator[Pair]:
    """Three weights, started from the noised data."""
    for schedule, weight in itertools.product(schedules, (0.5, 0.1, 0.9)):
        yield AbsorbingPair(weight=weight, schedule=schedule)


def _two_sided(record: Record, pairs: Iterator[Pair], chain_tv: ChainTV) -> None:
    """Both bounds on the uniform grid, for the sampler at every N."""
    for pair, num_steps in itertools.product(pairs, STEPS):
        grid = uniform_grid(num_steps, pair.schedule.horizon)
        tv = chain_tv(pair, survival(pair.schedule, grid.numpy()))
        lower, upper = pair.lower_bound(grid), pair.upper_bound(grid)
        what = f"{pair}, N={num_steps}"
        if lower is None or upper is None:
            raise ValueError(f"no bounds for {what}")
        record.at_most(lower, tv, f"lower, {what}", ROUNDING)
        record.at_most(tv, upper, f"upper, {what}", ROUNDING)
        if lower > 0:
            record.exceeds(lower * num_steps, 0.0, 1e-6, f"N * lower bound stays positive, {what}")


def _below_on_any_grid(record: Record, pairs: Iterator[Pair], chain_tv: ChainTV) -> None:
    """The lower bound on random grids."""
    draw = random.Random(42)
    for pair, num_steps in itertools.product(pairs, (2, 3, 8, 30)):
        grid = random_grid(draw, num_steps, pair.schedule.horizon)
        tv = chain_tv(pair, survival(pair.schedule, grid))
        lower = pair.lower_bound(grid)
        if lower is None:
            raise ValueError(f"no bound for {pair}")
        record.at_most(lower, tv, f"{pair}, grid={grid}", ROUNDING)


@claim(
    "theorem1-masked",
    "d12 (1-alpha_T)^2 / N <= TV_N <= d12 T int alpha'^2 / N, masked pair",
    group="sharper",
    source="Theorem 1; constants: this project",
    hypotheses="upper: uniform grid, finite alpha'(0); lower: any grid, any schedule; "
    "start q_T (prior: both sides over (1-alpha_T)^2)",
)
def _verify_masked(record: Record) -> None:
    _two_sided(record, masked_pairs(SMOOTH_SCHEDULES), masked_tv)
    _below_on_any_grid(record, masked_pairs(SCHEDULES), masked_tv)


@claim(
    "theorem1-uniform",
    "(psi_0-psi_T)^2 / (N sinh 2psi_0) <= TV_N <= (e^{2TJ/N}-1) / (2 sinh 2psi_0)",
    group="sharper",
    source="Theorem 1; constants: this project",
    hypotheses="symmetric p0, |theta| < 1; upper: uniform grid; lower: any grid; start q_T "
    "(prior: 1 + 2 TV_N sinh 2psi_0 and the same of both sides times cosh 2psi_T)",
)
def _verify_uniform(record: Record) -> None:
    thetas = (0.1, -0.7, 0.9, 0.999)
    _two_sided(record, uniform_pairs(SMOOTH_SCHEDULES, thetas), uniform_tv)
    _below_on_any_grid(record, uniform_pairs(SCHEDULES, thetas), uniform_tv)


@claim(
    "theorem1-absorbing",
    "(1-a)(1-e^{-phi_T^2/N}) <= TV_N <= (1-a) max{T int phi'^2/N, 2 sin^2 phi_1}",
    group="sharper",
    source="Theorem 1; constants: this project",
    hypotheses="p0 on {00, 11}, start q_T; upper: uniform grid, alpha'(0) finite; lower: any",
)
def _verify_absorbing(record: Record) -> None:
    _two_sided(record, absorbing_pairs(SMOOTH_SCHEDULES), absorbing_tv)
    _below_on_any_grid(record, absorbing_pairs(SCHEDULES), absorbing_tv)


@claim(
    "theorem1-uniform-half",
    "tanh(2rT/N)/2 <= TV_N <= 2 cosh(pi/2)/pi rT/N, HALF, uniform noise",
    group="sharper",
    source="Theorem 1; constants: this project",
    hypotheses="theta = 1, constant flip rate, uniform grid (fails on others), start q_T",
)
def _verify_half(record: Record) -> None:
    for rate, horizon in ((0.1, 1.0), (0.5, 1.0), (1.0, 4.0)):
        schedule = ExponentialSchedule(rate=2 * rate, horizon=horizon)
        pair = UniformPair(theta=1.0, schedule=schedule)
        _two_sided(record, iter([pair]), uniform_tv)
        constant = 2 * math.cosh(math.pi / 2) / math.pi * rate * horizon
        for num_steps in STEPS:
            tv = uniform_tv(pair, survival(schedule, uniform_grid(num_steps, horizon).numpy()))
            record.at_most(tv, constant / num_steps, f"r={rate}, T={horizon}, N={num_steps}")
