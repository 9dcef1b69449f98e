"""The exact product teacher on the uniform grid: what every student is measured against."""

from collections.abc import Iterator

from di4c.exact import product_composition
from di4c.schedules import uniform_grid
from toys.methods.base import Output, Problem


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """N equal steps, each the product of the exact marginals of the reverse kernel."""
    for n in steps:
        yield Output(product_composition(problem.process, problem.q_0, uniform_grid(n)), nfe=n)
