"""The exact product teacher on the grid with the least sum of conditional total correlations.

That sum bounds the KL divergence of the output (Park et al., "Jump Your Steps", ICLR 2025). Here it
is computed exactly and minimised over all grids of N steps with times from a set of candidates.
"""

from collections.abc import Iterator

from di4c.exact import product_composition
from toys.tasks.setting import Output, Setting
from toys.teachers.grid_search import best_grids, candidate_times, correlation_costs

STEPS = (2, 4, 8, 16)

_CANDIDATES = 16  # equispaced times; their squares are candidates too


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """One law for each number of steps; none if the composition is too expensive."""
    times = candidate_times(_CANDIDATES, setting.process.horizon)
    steps = tuple(n for n in steps if n < len(times))
    if not setting.composable or not steps:
        return
    costs = correlation_costs(setting.process, setting.q_0, times)
    grids = best_grids(times, costs, max(steps))
    for n in steps:
        yield Output(product_composition(setting.process, setting.q_0, grids[n - 1]), nfe=n)
