"""Small problems and students for the tests of the benchmark."""

import torch

from di4c.processes import MaskedProcess, UniformProcess
from tests.helpers.goodness_of_fit import generator
from toys.benchmark.runs import Run
from toys.students.recipes import JumpRecipe
from toys.students.student import Student
from toys.students.training import Meter, make_network
from toys.tasks.problem import BUDGETS, Budget, Problem
from toys.tasks.registry import TASKS, Task

TINY = Budget("tiny", 3 * 64, 64)


SMALL = JumpRecipe(num_latents=8, start_atoms=6, row_atoms=2, data_atoms=32)


PROCESSES = {"masked": MaskedProcess, "uniform": UniformProcess}


def random_law(size, seed, zeros=False):
    law = torch.rand(size, dtype=torch.float64, generator=generator(seed)) ** 2
    if zeros:
        law[torch.rand(size, generator=generator(seed + 1)) < 0.4] = 0
        law[0] += 0.1
    return law / law.sum()


def problem_of(law, num_values, num_dims, process="masked", budget=TINY, seed=0):
    task = Task("law", "a law", num_values, num_dims, lambda: law)
    return Problem(task, process, seed, budget)


def student_of(problem, recipe=SMALL):
    latent = recipe.law(problem)
    network = make_network(problem, latent)
    return Student(problem, network, latent, recipe.latent, Meter())


def pair_run(**changes):
    run = Run(TASKS["pair"], "masked", "teacher", 0, BUDGETS["standard"], (1, 2))
    return run._replace(**changes)
