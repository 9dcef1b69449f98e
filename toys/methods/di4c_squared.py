"""Di4C squared: a second round in which the first student is the teacher.

Half of the budget each. The first student takes a few large steps where the product teacher takes
many small ones; the second starts from its weights.
"""

import copy
from collections.abc import Iterator

from toys.students.recipes import JumpRecipe, train_by_jumps
from toys.students.student import Student
from toys.students.training import Meter, make_network
from toys.tasks.problem import Output, Problem
from toys.teachers.jumps import StudentJump


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """Two rounds without a data term."""
    recipe = JumpRecipe()
    latent = recipe.law(problem)
    network = make_network(problem, latent)
    iterations = max(1, problem.budget.iterations // 2)
    with Meter() as meter:
        train_by_jumps(problem, recipe, network, recipe.jump(problem), iterations)
        first = copy.deepcopy(network).requires_grad_(False)
        jump = StudentJump(problem.process, first.denoiser, latent)
        train_by_jumps(problem, recipe, network, jump, iterations, round_number=1)
    yield from Student(problem, network, latent, recipe.latent, meter).outputs(steps)
