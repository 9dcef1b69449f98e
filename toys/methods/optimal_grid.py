"""The exact product teacher on the grid with the least total variation that a search finds.

No schedule of times helps a product teacher more than this one; for a pair it is the known best
grid (equispaced in alpha or psi). The search starts from the Jump-Your-Steps grid.
"""

from collections.abc import Iterator

from di4c.exact import product_composition
from toys.tasks.problem import Output, Problem
from toys.teachers.grid_search import best_grids, candidate_times, correlation_costs, least_tv_grid

STEPS = (2, 4, 8)

_CANDIDATES = 16
_NUMBERS = 2**28  # numbers in the tables of all laws that one search computes


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """One law for each number of steps, none where a search would take too long."""
    times = candidate_times(_CANDIDATES, problem.process.horizon)
    budget = {n: min(40 * n, _NUMBERS // (n * problem.table_numbers)) for n in steps}
    steps = tuple(n for n in steps if n < len(times) and budget[n] >= 10 * n)
    if not problem.composable or not steps:
        return
    costs = correlation_costs(problem.process, problem.q_0, times)
    grids = best_grids(times, costs, max(steps))
    for n in steps:
        grid = least_tv_grid(problem.process, problem.q_0, grids[n - 1], budget[n])
        yield Output(product_composition(problem.process, problem.q_0, grid), nfe=n)
