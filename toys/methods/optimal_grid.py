"""The exact product teacher on the grid of least total variation that a search finds.

The search starts from the Jump-Your-Steps grid and ends in a local optimum. For a pair it finds the
known best grid, which is equispaced in alpha (masked noise) or psi (uniform noise).
"""

from collections.abc import Iterator

from di4c.exact import product_composition
from toys.tasks.setting import Output, Setting
from toys.teachers.grid_search import best_grids, candidate_times, correlation_costs, least_tv_grid

STEPS = (2, 4, 8)

_CANDIDATES = 16
_NUMBERS = 2**28  # the most numbers in all tables of marginals that one search computes


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """One law for each number of steps; none if a search would take too long."""
    times = candidate_times(_CANDIDATES, setting.process.horizon)
    budget = {n: min(40 * n, _NUMBERS // (n * setting.table_numbers)) for n in steps}
    steps = tuple(n for n in steps if n < len(times) and budget[n] >= 10 * n)
    if not setting.composable or not steps:
        return
    costs = correlation_costs(setting.process, setting.q_0, times)
    grids = best_grids(times, costs, max(steps))
    for n in steps:
        grid = least_tv_grid(setting.process, setting.q_0, grids[n - 1], budget[n])
        yield Output(product_composition(setting.process, setting.q_0, grid), nfe=n)
