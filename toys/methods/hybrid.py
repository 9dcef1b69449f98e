"""Hybrid sampling: the Di4C student first, the exact teacher for the last half of the steps.

Early on, where steps are coarse, the student's correlations matter; late, the teacher's marginals
are exact. Needs two steps at least.
"""

from collections.abc import Iterator

from di4c.exact import mixture_composition, product_composition
from di4c.schedules import uniform_grid
from toys.methods.base import Output, Problem
from toys.students import jump_student


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """The law at the middle of the grid by the student, from there by the teacher."""
    steps = tuple(nfe for nfe in steps if nfe > 1)
    if not steps or not problem.multi_step:
        return
    student = jump_student(problem)
    process, denoiser = problem.process, student.network.denoiser
    for nfe in steps:
        grid = uniform_grid(nfe, process.horizon)
        half = nfe // 2
        middle = mixture_composition(
            process, denoiser, grid[half:], problem.start, student.latent.support
        )
        law = product_composition(process, problem.q_0, grid[: half + 1], middle)
        yield student.output(law, nfe, 0.0)
