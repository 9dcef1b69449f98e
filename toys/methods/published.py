"""Di4C as published, through `Di4CObjective`: the recipes of the paper on a toy.

Masked noise takes the recipe of the ImageNet experiment with the teacher's exact step, uniform
noise that of CIFAR-10. The latent is a scalar uniform, drawn independently.
"""

from collections.abc import Iterator
from dataclasses import replace

from di4c.latents import UniformLatent
from di4c.objective import Di4CObjective, as_mixture
from di4c.recipes import CIFAR10, IMAGENET, Recipe, Weight, exact_step
from toys.students.recipes import objective_student
from toys.students.training import make_network, training_teacher
from toys.tasks.problem import Output, Problem


def recipe(problem: Problem, data: bool = False, control_variate: bool = True) -> Recipe:
    """The published recipe for the problem's noise; without data its weight is 0."""
    published = CIFAR10 if problem.process.mask_state is None else IMAGENET
    weight = published.data_weight if data else Weight(0.0)
    return replace(
        published, data_weight=weight, teacher_move=exact_step, control_variate=control_variate
    )


def outputs(
    problem: Problem, steps: tuple[int, ...], data: bool = False, control_variate: bool = True
) -> Iterator[Output]:
    """Train by the recipe; `data` makes it di4c-d."""
    latent = UniformLatent()
    network = make_network(problem, latent)
    teacher = as_mixture(training_teacher(problem), validate=False)
    objective = Di4CObjective(
        problem.process, network, teacher, recipe(problem, data, control_variate), latent
    )
    yield from objective_student(problem, network, "scalar", objective).outputs(steps)
