"""SDTT: a product student distilled step by step, each round from steps twice as long.

Self-distillation through time (Deschenaux & Gulcehre 2025): in every round the student at t learns
what the last round's model says after one of its steps, and takes over its place. Marginals alone
are matched, so that the exact law of one step stays a product.
"""

import copy
from collections.abc import Iterator

from di4c.denoisers import Denoiser
from di4c.objective import Di4CObjective, as_mixture
from di4c.recipes import DistillationBelow, FixedGap, Recipe, Weight
from toys.problem import Output, Problem
from toys.students import Student
from toys.training import DataSampler, Meter, fit, make_network, training_teacher

ROUNDS = 4
FIRST_GAP = 1 / 16
ATOMS = 16


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """Rounds with gaps 1/16, 1/8, 1/4, 1/2 and an equal share of the budget."""
    network = make_network(problem, None)
    teacher: Denoiser = training_teacher(problem)
    draw = DataSampler(problem)
    with Meter() as meter:
        for k in range(ROUNDS):
            gap = FIRST_GAP * 2**k * problem.process.horizon
            recipe = Recipe(FixedGap(gap), Weight(0.0), DistillationBelow(gap), ATOMS)
            last = as_mixture(teacher, validate=False)
            objective = Di4CObjective(problem.process, network, last, recipe, target=last)

            def loss(generator, objective=objective):
                x_0 = draw(problem.budget.batch // ATOMS, generator)
                return objective(x_0, generator=generator).loss.mean()

            fit(network, loss, max(1, problem.budget.iterations // ROUNDS), problem.seed + k)
            teacher = copy.deepcopy(network).requires_grad_(False).denoiser
    yield from Student(problem, network, None, "-", meter).outputs(steps)
