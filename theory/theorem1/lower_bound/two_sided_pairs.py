r"""Theorem 1 for two coordinates: $c / N \le TV_N \le C / N$ at every N, with explicit constants.

Each of the three pairs has a closed form (theorem1/pairs/). It
depends only on the increments $\Delta_k$ of one function of time: $\alpha$, $\psi$ or $\phi$. The
theorem follows from convexity.

* Below, on any grid from 0 to T. With $\sum \Delta_k^2 \ge (\sum \Delta_k)^2 / N$,
  $\cosh x \ge 1 + x^2/2$ and $\cos^2 x \le e^{-x^2}$:
  masked pair $TV_N \ge d_{12}(1-\alpha_T)^2/N$,
  uniform pair $TV_N \ge (\psi_0-\psi_T)^2/(N \sinh 2\psi_0)$,
  absorbing pair $TV_N \ge (1-a)(1 - e^{-\phi_T^2/N})$.
* Above, on the uniform grid. With $\Delta_k^2 \le \frac{T}{N} \int_k (\cdot)'^2$ (Cauchy-Schwarz)
  and $\log\cosh x \le x^2/2$:
  masked pair $TV_N \le d_{12}\,T\!\int\alpha'^2/N$,
  uniform pair $TV_N \le (e^{2TJ/N}-1)/(2\sinh 2\psi_0)$ with $J = \int\psi'^2$,
  absorbing pair $TV_N \le (1-a)\max\{T\!\int\phi'^2/N,\ 2\sin^2\phi_1\}$.
* Two bits that always agree, uniform noise of constant flip rate r ($\theta = 1$, $J = \infty$).
  Since $\tanh$ is concave, $\tanh(kx)/\tanh((k-1)x) \le k/(k-1)$, so that
  $\tfrac12\tanh(2rT/N) \le TV_N \le \tfrac12\tanh(2rT/N) \prod_{k=2}^N (1 + \tfrac{1}{2k(k-1)})
  \le \tfrac{2\cosh(\pi/2)}{\pi}\, rT/N$.

The claims bound the error of the sampler itself, enumerated step by step, and not the closed forms.

Two hypotheses are needed. At $\theta = 1$ no lower bound c/N holds on every grid
(limits/optimal_grids.py). A schedule with infinite slope at 0, such as arccos, has
$\int\alpha'^2 = \infty$ and no upper bound (hypotheses/schedule_slope.py).
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator

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
from theory.tools.pair_cases import SCHEDULES, enumerated_tv, random_grid

STEPS = (1, 2, 3, 5, 16, 64, 512)
ROUNDING = 1e-13  # absolute rounding error of the float64 sampler at every N used here

SMOOTH_SCHEDULES: tuple[Schedule, ...] = (
    LinearSchedule(),
    CosineSchedule(horizon=2.0),
    LogLinearSchedule(),
    ExponentialSchedule(rate=0.5, horizon=1.0),
    ExponentialSchedule(rate=3.0, horizon=2.0),
)


def masked_pairs(schedules: tuple[Schedule, ...]) -> Iterator[Pair]:
    """Masked pairs: random dependent laws on 2 x 2 and 3 x 3 values, both starts."""
    numbers = np.random.default_rng(41)
    for schedule, start, num_values in itertools.product(schedules, ("q_T", "prior"), (2, 3)):
        p_0 = numbers.dirichlet(np.ones(num_values**2)).reshape(num_values, num_values)
        yield MaskedPair(p_0=torch.from_numpy(p_0), schedule=schedule, start=start)


def uniform_pairs(schedules: tuple[Schedule, ...], thetas: tuple[float, ...]) -> Iterator[Pair]:
    """Uniform pairs: symmetric laws of correlation theta, both starts."""
    for schedule, start, theta in itertools.product(schedules, ("q_T", "prior"), thetas):
        yield UniformPair(theta=theta, schedule=schedule, start=start)


def absorbing_pairs(schedules: tuple[Schedule, ...]) -> Iterator[Pair]:
    """Absorbing pairs: three weights, started from the noised data."""
    for schedule, weight in itertools.product(schedules, (0.5, 0.1, 0.9)):
        yield AbsorbingPair(weight=weight, schedule=schedule)


def _two_sided(record: Record, pairs: Iterable[Pair]) -> None:
    """Compare the sampler with both bounds on the uniform grid, at every N of STEPS."""
    for pair, num_steps in itertools.product(pairs, STEPS):
        grid = uniform_grid(num_steps, pair.schedule.horizon)
        tv = enumerated_tv(pair, grid)
        lower, upper = pair.lower_bound(grid), pair.upper_bound(grid)
        what = f"{pair}, N={num_steps}"
        if lower is None or upper is None:
            raise ValueError(f"no bounds for {what}")
        record.at_most(lower, tv, f"lower bound, {what}", ROUNDING)
        record.at_most(tv, upper, f"upper bound, {what}", ROUNDING, largest=1)
        if lower > 0:
            record.exceeds(lower * num_steps, 0.0, 1e-6, f"N * lower bound stays positive, {what}")


def _below_on_any_grid(record: Record, pairs: Iterable[Pair]) -> None:
    """Compare the sampler with the lower bound on random grids."""
    draw = random.Random(42)
    for pair, num_steps in itertools.product(pairs, (2, 3, 8, 30)):
        grid = random_grid(draw, num_steps, pair.schedule.horizon)
        tv = enumerated_tv(pair, grid)
        lower = pair.lower_bound(grid)
        if lower is None:
            raise ValueError(f"no bound for {pair}")
        record.at_most(lower, tv, f"lower bound, {pair}, grid={grid}", ROUNDING)


@claim(
    "theorem1-lower",
    "Two bits: the error of N product steps is at least of order 1/N. N TV_N >= c > 0 at every N, "
    "for masked, uniform and absorbing noise.",
    group="paper",
    source="Theorem 1, lower bound",
    hypotheses="dependent bits; the steps match the marginals of the true reverse kernel; uniform "
    "grid; start q_T; N = 1, ..., 64, 256 and 1024",
)
def _verify_lower_bound(record: Record) -> None:
    """N TV_N of the enumerated sampler against a constant that does not depend on N."""
    for schedule in SMOOTH_SCHEDULES:
        last = float(schedule.alpha(schedule.horizon))
        law = torch.tensor([[0.4, 0.1], [0.2, 0.3]], dtype=torch.float64)  # d_12 = 0.2
        psi_0, psi_end = math.atanh(0.6), math.atanh(0.6 * last**2)
        phi = math.atan((1 - last) / 2)  # a = 1/5
        cases: list[tuple[Pair, float]] = [
            (MaskedPair(p_0=law, schedule=schedule), 0.2 * (1 - last) ** 2),
            (
                UniformPair(theta=0.6, schedule=schedule),
                (psi_0 - psi_end) ** 2 / math.sinh(2 * psi_0),
            ),
            (AbsorbingPair(weight=0.2, schedule=schedule), -0.8 * math.expm1(-(phi**2))),
        ]
        for (pair, constant), n in itertools.product(cases, (*range(1, 65), 256, 1024)):
            tv = enumerated_tv(pair, uniform_grid(n, schedule.horizon))
            record.at_most(constant, n * tv, f"N TV_N, {pair}, N={n}", n * ROUNDING)
        for pair, constant in cases:
            record.exceeds(constant, 0.0, 0.01, f"the constant is positive, {pair}")


@claim(
    "theorem1-masked",
    "Masked pair: d_12 (1-alpha_T)^2 / N <= TV_N <= d_12 T int alpha'^2 / N.",
    group="sharper",
    source="Theorem 1; the constants: this project",
    hypotheses="upper bound: uniform grid, finite alpha'(0). Lower bound: any grid and schedule. "
    "Start q_T; from all-mask both bounds are divided by (1-alpha_T)^2",
)
def _verify_masked(record: Record) -> None:
    _two_sided(record, masked_pairs(SMOOTH_SCHEDULES))
    _below_on_any_grid(record, masked_pairs(SCHEDULES))


@claim(
    "theorem1-uniform",
    "Uniform pair: (psi_0-psi_T)^2 / (N sinh 2psi_0) <= TV_N <= (e^{2TJ/N}-1) / (2 sinh 2psi_0), "
    "with psi_t = artanh(theta alpha_t^2) and J = int psi'^2.",
    group="sharper",
    source="Theorem 1; the constants: this project",
    hypotheses="symmetric p_0, |theta| < 1. Upper bound: uniform grid. Lower bound: any grid. "
    "Start q_T; from the uniform prior, 1 + 2 sinh(2psi_0) TV_N and both bounds in this form are "
    "multiplied by cosh 2psi_T",
)
def _verify_uniform(record: Record) -> None:
    thetas = (0.1, -0.7, 0.9, 0.999)
    _two_sided(record, uniform_pairs(SMOOTH_SCHEDULES, thetas))
    _below_on_any_grid(record, uniform_pairs(SCHEDULES, thetas))


@claim(
    "theorem1-absorbing",
    "Absorbing pair: (1-a)(1-e^{-phi_T^2/N}) <= TV_N <= (1-a) max{T int phi'^2/N, 2 sin^2 phi_1}, "
    "with phi_t = arctan(sqrt(a/(1-a)) (1-alpha_t)).",
    group="sharper",
    source="Theorem 1; the constants: this project",
    hypotheses="p_0 = (1-a) on 00 and a on 11, start q_T. Upper bound: uniform grid, finite "
    "alpha'(0). Lower bound: any grid",
)
def _verify_absorbing(record: Record) -> None:
    _two_sided(record, absorbing_pairs(SMOOTH_SCHEDULES))
    _below_on_any_grid(record, absorbing_pairs(SCHEDULES))


@claim(
    "theorem1-equal-bits",
    "Two bits that always agree, uniform noise of flip rate r: "
    "tanh(2rT/N) / 2 <= TV_N <= (2 cosh(pi/2)/pi) rT/N.",
    group="sharper",
    source="Theorem 1; the constants: this project",
    hypotheses="constant flip rate; uniform grid (on other grids the lower bound fails); start q_T",
)
def _verify_equal_bits(record: Record) -> None:
    for rate, horizon in ((0.1, 1.0), (0.5, 1.0), (1.0, 4.0)):
        schedule = ExponentialSchedule(rate=2 * rate, horizon=horizon)
        pair = UniformPair(theta=1.0, schedule=schedule)
        _two_sided(record, [pair])
        constant = 2 * math.cosh(math.pi / 2) / math.pi * rate * horizon
        for num_steps in STEPS:
            tv = enumerated_tv(pair, uniform_grid(num_steps, horizon))
            what = f"2 cosh(pi/2)/pi rT/N, r={rate}, T={horizon}, N={num_steps}"
            record.at_most(tv, constant / num_steps, what, largest=1)
