"""Di4C-d with the benchmark's recipe: the consistency of di4c.py, and the likelihood of data."""

from collections.abc import Iterator

from toys.methods.base import Output, Problem
from toys.students import jump_student


def outputs(
    problem: Problem, steps: tuple[int, ...], latent: str = "categories"
) -> Iterator[Output]:
    """Both terms; the latent is one of `toys.students.LATENTS`."""
    yield from jump_student(problem, latent, data=True).outputs(steps)
