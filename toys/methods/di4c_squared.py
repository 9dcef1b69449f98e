"""Di4C squared: a second round in which the first student is the teacher.

Half of the budget each. The first student takes a few large steps where the product teacher takes
many small ones; the second starts from its weights.
"""

import copy
from collections.abc import Iterator

from toys.jumps import StudentJump, TeacherJump
from toys.methods.base import Output, Problem
from toys.students import (
    Meter,
    Student,
    make_latent,
    make_network,
    train_by_jumps,
    training_teacher,
)


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """Two rounds without data."""
    latent = make_latent(problem, "categories")
    network = make_network(problem, latent)
    iterations = max(1, problem.budget.iterations // 2)
    with Meter() as meter:
        jump = TeacherJump(problem.process, training_teacher(problem))
        train_by_jumps(problem, network, latent, jump, iterations)
        first = copy.deepcopy(network).requires_grad_(False)
        jump = StudentJump(problem.process, first.denoiser, latent)
        train_by_jumps(problem, network, latent, jump, iterations, purpose=1)
    student = Student(problem, network, "categories", meter.seconds, meter.memory)
    yield from student.outputs(steps)
