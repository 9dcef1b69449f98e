"""A mixture by data likelihood only: the network and the budget of Di4C without a teacher."""

from collections.abc import Iterator

from toys.students.recipes import JumpRecipe, jump_student
from toys.tasks.problem import Output, Problem


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    r"""Minimise $-\log p(x_0 \mid x_t)$, the joint likelihood of the mixture."""
    yield from jump_student(problem, JumpRecipe(consistency=False, data=True)).outputs(steps)
