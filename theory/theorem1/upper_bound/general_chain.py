r"""Theorem 1, upper side: an explicit constant for any Markov chain, reversible or not.

Let $K_k$ be the kernel of one coordinate from $t_{k-1}$ to $t_k$, $h_k$ the largest probability
that it moves, and $g_k$ the largest ratio $\sum_{v \ne w} K_k(v, w) / K_k(w, w)$ of a column. Let
rho be the largest $p_0(y) / p_0(x)$ of states that differ in one coordinate, and $\kappa_k$ the
largest ratio of two column sums of the kernel from 0 to $t_k$ (1 if it is doubly stochastic). Then

$$TV_N \le D (D-1) \sum_k h_k\, [h_k + \rho\, \kappa_{k-1}\, g_k] .$$

Proof, from theorem1-upper-one-step: two coordinates move in step k with probability at most
$h_k^2$. The reverse step changes coordinate d with probability $c_d \le \rho_{k-1} g_k$, where
$\rho_s$ is the ratio of $q_s$: compare each earlier state with the one that already has the value
of x_d. The mean of c_d is at most $h_k$. And $\rho_s \le \rho\, \kappa_s$: given the other
coordinates, both $q_s(x^u)$ and $q_s(x)$ are sums over v of the same weights, which differ by
factors up to rho.

With bounded rates $h_k$ and $g_k$ are of order 1/N, so that this is O(1/N). The discretised
Gaussian of the paper's experiments is a case.
"""

import itertools

import torch
from torch import Tensor

from di4c.processes import (
    ForwardProcess,
    UniformProcess,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import ExponentialSchedule
from theory.claim import Record, claim
from theory.theorem1.upper_bound.step_errors import error, largest_ratio, uniform_bound
from theory.tools.dense_chain import dense_chain
from theory.tools.finite_mixture import random_law
from theory.tools.laws import cycle


def bound(process: ForwardProcess, grid: Tensor, num_dims: int, ratio: float) -> float:
    """The right side on a grid from 0 on."""
    steps = process.transition(grid[:-1], grid[1:])  # (N, S, S)
    stay = steps.diagonal(dim1=1, dim2=2)
    moves = (1 - stay).amax(1)
    columns = ((steps.sum(1) - stay) / stay).amax(1)
    sums = process.transition(torch.zeros(len(grid) - 1, dtype=torch.float64), grid[:-1]).sum(1)
    uneven = sums.amax(1) / sums.amin(1)
    terms = moves * (moves + ratio * uneven * columns)
    return num_dims * (num_dims - 1) * float(terms.sum())


def chains() -> list[tuple[str, ForwardProcess, int, float]]:
    """(name, process, D, last time): short horizons, because a bound above 1 says nothing."""
    gaussian = gaussian_process(4, rate_sigma=1.5, stationary_sigma=2.0)
    return [
        ("two-state", two_state_process(0.4, 0.9), 2, 0.3),
        ("two-state", two_state_process(0.4, 0.9), 3, 0.2),
        ("cycle", cycle(), 2, 0.25),
        ("discretised Gaussian", gaussian, 2, 0.008),
        ("discretised Gaussian", gaussian, 3, 0.004),
    ]


@claim(
    "theorem1-upper-general",
    "Any Markov chain: TV_N <= D(D-1) sum_k h_k (h_k + rho kappa g_k), of order 1/N, with h_k, g_k "
    "and kappa from the kernels and rho from p_0.",
    group="sharper",
    source="Theorem 1, upper bound; the constant: this project",
    hypotheses="full support, so that rho is finite; any grid that starts at 0; start q at its "
    "last time",
)
def verify_general(record: Record) -> None:
    """Random laws, on grids of 4, 16 and 64 steps, and the order of the bound."""
    generator = torch.Generator().manual_seed(0)
    for (name, process, num_dims, last), num_steps in itertools.product(chains(), (4, 16, 64)):
        law = random_law(generator, process.num_states**num_dims, spread=0.2)
        ratio = largest_ratio(law, num_dims, process.num_states)
        grid = torch.linspace(0, last, num_steps + 1, dtype=torch.float64)
        what = f"{name}, D = {num_dims}, N = {num_steps}"
        right = bound(process, grid, num_dims, ratio)
        record.at_most(error(process, law, grid), right, what, largest=1)
        finer = torch.linspace(0, last, 2 * num_steps + 1, dtype=torch.float64)
        record.at_most(bound(process, finer, num_dims, ratio), 0.6 * right, f"order, {what}")


@claim(
    "theorem1-upper-general-ratio",
    "The largest ratio rho_t of q_t over states that differ in one coordinate is at most rho times "
    "the largest ratio of two column sums of the kernel from 0 to t.",
    group="beyond",
    source="this project",
    hypotheses="full support; any chain; rho_t <= rho if the kernel is doubly stochastic",
)
def verify_ratio(record: Record) -> None:
    """Dense laws at 8 times; the two bounds agree for uniform noise."""
    generator = torch.Generator().manual_seed(1)
    for name, process, num_dims, last in chains():
        law = random_law(generator, process.num_states**num_dims)
        ratio = largest_ratio(law, num_dims, process.num_states)
        grid = torch.linspace(0, 40 * last, 9, dtype=torch.float64).clamp(max=process.horizon)
        grid = grid.unique()
        for t, q in zip(grid[1:], dense_chain(process, law, grid).laws[1:], strict=True):
            sums = process.transition(0.0, float(t)).sum(0)
            right = ratio * float(sums.max() / sums.min())
            left = largest_ratio(q, num_dims, process.num_states)
            record.at_most(left, right, f"{name}, D = {num_dims}, t = {float(t):.3f}")
    uniform = UniformProcess(3, ExponentialSchedule(1.0, 0.3))
    grid = torch.linspace(0, 1, 9, dtype=torch.float64)
    moves = 1 - torch.exp(torch.tensor(-0.3 / 8, dtype=torch.float64))
    stay = 1 - moves * 2 / 3  # g = h / stay, the only difference to uniform_bound
    left = bound(uniform, grid, 3, 2.0) - uniform_bound(uniform, grid, 3, 2.0)
    h = float(moves * 2 / 3)
    record.equal(left, 6 * 8 * 2 * h * (h / float(stay) - h), 1e-12, "uniform noise")
