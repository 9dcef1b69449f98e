r"""Theorem 1, the rate: what makes TV_N = O(1/N), and what breaks it, at any S and D.

The statement needs hypotheses that the paper leaves implicit. One is on the schedule: a finite
int alpha'^2. Arccos has none, and N TV_N grows under masks and with full support too
(schedule_slope.py). The other is on zeros: full support of p_0, or masked noise, or early stopping,
or a graded grid, or noise that starts slowly (beta(t) ~ t). Without any of these a zero of p_0 that
noise enters along two coordinates makes N TV_N ~ c log N, unless such zeros balance, as those of
HALF do under symmetric noise (log_rate.py has c for pairs; any_law.py shows that other zeros
do no harm).

A slope test does not see the difference: N^-1 log N looks like N^-0.85. What sees it is whether the
increments of N (out_N - p_0) from N to 2N shrink by a factor: they halve where the limit exists and
stay where the logarithm grows.

Stopped at delta the data law is q_delta, which has full support: under uniform noise
rho <= 1 + S alpha_delta / (1 - alpha_delta), and upper_bound.py gives a constant for any p_0.
"""

import itertools
import math

import torch
from torch import Tensor

from di4c.exact import forward_law, states
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess, two_state_process
from di4c.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LogLinearSchedule,
    quadratic_grid,
    uniform_grid,
)
from theory.claim import Record, claim
from theory.theorem1.upper_bound import error, largest_ratio, uniform_bound
from theory.tools.dense_chain import dense_chain
from theory.tools.finite_mixture import random_law
from theory.tools.laws import cycle, sparse_law


def increments(
    process: ForwardProcess,
    q_0: Tensor,
    sizes: tuple[int, ...] = (32, 64, 128, 256),
    stop: float = 0.0,
    quadratic: bool = False,
) -> list[float]:
    """1-norms of the changes of N (out_N - q_stop) from each N to the next."""
    column = []
    for n in sizes:
        grid = uniform_grid(n, process.horizon, stop)
        chain = dense_chain(process, q_0, quadratic_grid(n, process.horizon) if quadratic else grid)
        column.append(n * (chain.generated() - chain.laws[0]))
    return [float((b - a).abs().sum()) for a, b in itertools.pairwise(column)]


@claim(
    "theorem1-rate",
    "increments of N (out_N - p_0) shrink by a factor as N doubles: TV_N = O(1/N)",
    group="paper",
    source="Theorem 1, upper bound",
    hypotheses="int alpha'^2 finite; full support, or masked, or beta(0) = 0. S^D up to 64",
)
def verify_rate(record: Record) -> None:
    """Increments of N (out_N - p_0) shrink by a factor: N TV_N converges, TV_N = O(1/N)."""
    generator = torch.Generator().manual_seed(4)
    cases = (
        (UniformProcess(2, ExponentialSchedule()), 4, random_law),
        (UniformProcess(3), 3, random_law),
        (UniformProcess(4, LogLinearSchedule(epsilon=0.2)), 2, random_law),
        (two_state_process(0.4, 0.9), 4, random_law),
        (cycle(0.6), 3, random_law),
        (MaskedProcess(2, CosineSchedule()), 3, None),
        (MaskedProcess(3, ExponentialSchedule(2.0)), 2, None),
        (UniformProcess(2, CosineSchedule()), 3, None),
    )
    for (process, num_dims, draw), _ in itertools.product(cases, range(4)):
        size = process.num_values
        if draw is None:
            law = sparse_law(generator, num_dims, size)
        else:
            law = random_law(generator, size**num_dims, spread=0.7)
        before, after = increments(process, law)[-2:]
        what = f"{type(process).__name__}, S = {size}, D = {num_dims}"
        record.at_most(after, 0.75 * before, f"increment 128 -> 256 over 64 -> 128, {what}")


@claim(
    "theorem1-early-stopping",
    "stopped at delta: O(1/N) for any p_0, rho <= 1 + S alpha / (1 - alpha) at delta",
    group="sharper",
    source="Theorem 1; the constant: this project",
    hypotheses="fixed delta > 0; the error is against q_delta",
)
def verify_early_stopping(record: Record) -> None:
    """Laws with zeros, stopped at delta: increments shrink, the explicit constant holds."""
    generator = torch.Generator().manual_seed(5)
    for size, num_dims, stop in ((2, 3, 0.1), (2, 4, 0.2), (3, 3, 0.15), (4, 2, 0.05)):
        process = UniformProcess(size, ExponentialSchedule())
        law = sparse_law(generator, num_dims, size)
        what = f"S = {size}, D = {num_dims}, delta = {stop}"
        before, after = increments(process, law, stop=stop)[-2:]
        record.at_most(after, 0.75 * before, f"increments, {what}")
        redraw = 1 - math.exp(-stop)
        ratio = 1 + size * (1 - redraw) / redraw
        noised = forward_law(process, law, stop)
        record.at_most(largest_ratio(noised, num_dims, size), ratio, f"rho, {what}", rounding=1e-9)
        for num_steps in (1, 8, 64):
            grid = uniform_grid(num_steps, 1.0, stop)
            bound = uniform_bound(process, grid, num_dims, ratio)
            record.at_most(error(process, law, grid), bound, f"TV, N = {num_steps}, {what}")


def even_law(size: int, num_dims: int) -> Tensor:
    """Weights 1, 2, 3, ... on the states whose sum is 0 modulo S: neighbours are two flips away."""
    table = states(num_dims, size)
    law = torch.where(table.sum(1) % size == 0, 1.0, 0.0).double().cumsum(0)
    law = law * (table.sum(1) % size == 0)
    return law / law.sum()


@claim(
    "theorem1-needs-support",
    "False in general: TV_N = O(1/N) for any p_0. With zeros the increments do not shrink",
    group="fails",
    source="this project (Theorem 1, upper bound)",
    hypotheses="zeros between data states, beta(0) > 0, uniform grid; four cures shown",
)
def verify_support_is_needed(record: Record) -> None:
    """Zeros two flips from data, D = 3: increments do not shrink; four cures make them."""
    for process, law, what in (
        (UniformProcess(3, ExponentialSchedule()), even_law(3, 3), "uniform, S = D = 3"),
        (two_state_process(0.3, 1.0), even_law(2, 3), "two-state, D = 3"),
    ):
        before, after = increments(process, law)[-2:]
        record.exceeds(after, 0.75 * before, 0.1 * before, f"naive: increments shrink, {what}")
        for cure, options in (("early stopping", {"stop": 0.1}), ("graded", {"quadratic": True})):
            before, after = increments(process, law, **options)[-2:]
            record.at_most(after, 0.75 * before, f"{cure}, {what}")
    for cure, process in (
        ("slow start", UniformProcess(3, CosineSchedule())),
        ("masked", MaskedProcess(3, ExponentialSchedule())),
    ):
        before, after = increments(process, even_law(3, 3), (16, 32, 64, 128))[-2:]
        record.at_most(after, 0.75 * before, f"{cure}, S = D = 3")
