"""Di4C-d with the benchmark's recipe: the consistency of di4c.py, and the likelihood of data."""

from collections.abc import Iterator

from toys.students.recipes import JumpRecipe, jump_student
from toys.tasks.problem import Output, Problem


def outputs(
    problem: Problem, steps: tuple[int, ...], latent: str = "categories"
) -> Iterator[Output]:
    """Both terms; the latent is one of `toys.students.recipes.LATENTS`."""
    yield from jump_student(problem, JumpRecipe(latent=latent, data=True)).outputs(steps)
