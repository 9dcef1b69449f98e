r"""Theorem 1, the rate: when TV_N = O(1/N) holds, and when it fails, for any S and D.

The statement needs hypotheses that the paper leaves implicit.

* On the schedule: int alpha'^2 is finite. For the arccos schedule it is infinite, and N TV_N grows
  without bound even for masked noise and for laws with full support (hypotheses/schedule_slope.py).
* On the zeros of p_0, one of these: full support, masked noise, early stopping, a grid that is
  finer near the data, or noise that starts slowly (rate beta(t) ~ t).

Without these, let p_0(x) = 0 while noise enters x from the support along two coordinates. Then
N TV_N ~ c log N. The exception are zeros whose effects cancel, as for two equal bits under
symmetric noise. hypotheses/log_rate.py has c for pairs. limits/any_law.py shows that other zeros
do no harm.

A fitted slope does not show the difference: N^-1 log N looks like N^-0.85. The increments of
N (out_N - p_0) from N to 2N do show it: they halve where the limit exists, and they do not shrink
where the logarithm grows.

With early stopping at time delta the data law is q_delta, which has full support. Under uniform
noise its rho is at most 1 + S alpha_delta / (1 - alpha_delta), and step_errors.py gives a constant
for any p_0.
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
from theory.theorem1.upper_bound.step_errors import error, largest_ratio, uniform_bound
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
    "N product steps have an error of order 1/N: TV_N = O(1/N). The increments of N (out_N - p_0) "
    "shrink by a constant factor each time N doubles, so that N TV_N converges.",
    group="paper",
    source="Theorem 1, upper bound",
    hypotheses="int alpha'^2 finite, and one of: full support, masked noise, noise that starts at "
    "rate 0; S^D up to 27, N up to 256",
)
def verify_rate(record: Record) -> None:
    """The last increment over the one before, for eight processes and four laws each."""
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
        record.at_most(after, 0.75 * before, f"increment from N = 128 to 256, {what}")


@claim(
    "theorem1-early-stopping",
    "With early stopping at time delta the error is O(1/N) for any p_0, zeros included. Under "
    "uniform noise theorem1-upper-uniform holds with rho <= 1 + S alpha_delta / (1 - alpha_delta).",
    group="sharper",
    source="Theorem 1, upper bound; the constant: this project",
    hypotheses="fixed delta > 0; the error is the distance to q_delta; uniform grid",
)
def verify_early_stopping(record: Record) -> None:
    """Laws with zeros: the increments shrink, rho and the constant of step_errors.py hold."""
    generator = torch.Generator().manual_seed(5)
    # For these times to stop the bound is below 1 from 8 steps on.
    for size, num_dims, stop in ((2, 3, 0.4), (2, 4, 0.5), (3, 3, 0.5), (4, 2, 0.3)):
        process = UniformProcess(size, ExponentialSchedule())
        law = sparse_law(generator, num_dims, size)
        what = f"S = {size}, D = {num_dims}, delta = {stop}"
        before, after = increments(process, law, stop=stop)[-2:]
        record.at_most(after, 0.75 * before, f"increments, {what}")
        redraw = 1 - math.exp(-stop)
        ratio = 1 + size * (1 - redraw) / redraw
        noised = forward_law(process, law, stop)
        record.at_most(largest_ratio(noised, num_dims, size), ratio, f"rho, {what}", rounding=1e-9)
        for num_steps in (8, 16, 64):
            grid = uniform_grid(num_steps, 1.0, stop)
            bound = uniform_bound(process, grid, num_dims, ratio)
            left = error(process, law, grid)
            record.at_most(left, bound, f"TV, N = {num_steps}, {what}", largest=1)


def even_law(size: int, num_dims: int) -> Tensor:
    """Weights 1, 2, 3, ... on the states with sum 0 modulo S; no two differ in one coordinate."""
    table = states(num_dims, size)
    law = torch.where(table.sum(1) % size == 0, 1.0, 0.0).double().cumsum(0)
    law = law * (table.sum(1) % size == 0)
    return law / law.sum()


@claim(
    "theorem1-needs-support",
    "False in general: TV_N = O(1/N) for any p_0. With zeros between data states the increments of "
    "N (out_N - p_0) do not shrink.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="rate beta(0) > 0, uniform grid. Each of four changes restores the rate: early "
    "stopping, the quadratic grid, beta(0) = 0, masked noise",
)
def verify_support_is_needed(record: Record) -> None:
    """D = 3, each zero next to several data states: increments without and with each change."""
    for process, law, what in (
        (UniformProcess(3, ExponentialSchedule()), even_law(3, 3), "uniform, S = D = 3"),
        (two_state_process(0.3, 1.0), even_law(2, 3), "two-state, D = 3"),
    ):
        before, after = increments(process, law)[-2:]
        record.exceeds(after, 0.75 * before, 0.1 * before, f"increments do not shrink, {what}")
        for change, options in (
            ("early stopping", {"stop": 0.1}),
            ("quadratic grid", {"quadratic": True}),
        ):
            before, after = increments(process, law, **options)[-2:]
            record.at_most(after, 0.75 * before, f"increments shrink with {change}, {what}")
    for change, process in (
        ("a slow start", UniformProcess(3, CosineSchedule())),
        ("masked noise", MaskedProcess(3, ExponentialSchedule())),
    ):
        before, after = increments(process, even_law(3, 3), (16, 32, 64, 128))[-2:]
        record.at_most(after, 0.75 * before, f"increments shrink with {change}, S = D = 3")
