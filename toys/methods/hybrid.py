"""Hybrid sampling: the Di4C student first, the teacher for the last half of the steps.

Early on, where steps are coarse, the student's correlations matter; late, the teacher's marginals
are good. Needs two steps at least.
"""

from collections.abc import Iterator

from di4c.exact import mixture_composition
from di4c.schedules import uniform_grid
from toys.students.recipes import JumpRecipe, jump_student
from toys.tasks.problem import Output, Problem


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """The law at the middle of the grid by the student, from there by the teacher."""
    steps = tuple(nfe for nfe in steps if nfe > 1)
    if not steps or not problem.multi_step:
        return
    student = jump_student(problem, JumpRecipe())
    for nfe in steps:
        half = nfe // 2
        middle = student.law(nfe, student.latent.support, last=half)
        grid = uniform_grid(nfe, problem.process.horizon)[: half + 1]
        law = mixture_composition(problem.process, problem.teacher, grid, middle)
        yield student.output(law, nfe, 0.0)
