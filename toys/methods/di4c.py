"""Di4C with the benchmark's recipe: consistency over long jumps of the teacher, no data term."""

from collections.abc import Iterator

from toys.students.recipes import JumpRecipe, jump_student
from toys.tasks.problem import Output, Problem


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """Distil the teacher alone; data only says which noisy states there are."""
    yield from jump_student(problem, JumpRecipe()).outputs(steps)
