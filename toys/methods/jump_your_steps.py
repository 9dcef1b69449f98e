"""The exact product teacher on the grid with the least sum of conditional total correlations.

Park et al., "Jump Your Steps" (ICLR 2025): that sum bounds the divergence of the output. Here it is
exact and minimised over all grids of N steps with times from a fixed set of candidates.
"""

from collections.abc import Iterator

from di4c.exact import product_composition
from toys.tasks.problem import Output, Problem
from toys.teachers.grid_search import best_grids, candidate_times, correlation_costs

STEPS = (2, 4, 8, 16)

_CANDIDATES = 16  # equispaced ones; their squares come on top


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """One law for each number of steps, none where the composition would not be affordable."""
    times = candidate_times(_CANDIDATES, problem.process.horizon)
    steps = tuple(n for n in steps if n < len(times))
    if not problem.composable or not steps:
        return
    costs = correlation_costs(problem.process, problem.q_0, times)
    grids = best_grids(times, costs, max(steps))
    for n in steps:
        yield Output(product_composition(problem.process, problem.q_0, grids[n - 1]), nfe=n)
