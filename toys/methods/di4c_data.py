"""Di4C-d with the benchmark's recipe: the consistency of di4c.py, and the likelihood of data."""

from collections.abc import Iterator

from toys.problem import Output, Problem
from toys.recipes import JumpRecipe, jump_student


def outputs(
    problem: Problem, steps: tuple[int, ...], latent: str = "categories"
) -> Iterator[Output]:
    """Both terms; the latent is one of `toys.recipes.LATENTS`."""
    yield from jump_student(problem, JumpRecipe(latent=latent, data=True)).outputs(steps)
