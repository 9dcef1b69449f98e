"""Small settings and students for the tests of the benchmark."""

import torch

from di4c.processes import MaskedProcess, UniformProcess
from reporting.measure import Meter
from tests.helpers.goodness_of_fit import generator
from toys.benchmark.runs import Run
from toys.students.jump_training import JumpOptions
from toys.students.student import TrainedStudent
from toys.students.training import make_network
from toys.tasks.registry import TASKS, Task
from toys.tasks.setting import BUDGETS, Budget, Setting

TINY = Budget("tiny", 3 * 64, 64)
SMALL = JumpOptions(num_latents=8, start_atoms=6, row_atoms=2, data_atoms=32)
PROCESSES = {"masked": MaskedProcess, "uniform": UniformProcess}


def random_law(size, seed, zeros=False):
    law = torch.rand(size, dtype=torch.float64, generator=generator(seed)) ** 2
    if zeros:
        law[torch.rand(size, generator=generator(seed + 1)) < 0.4] = 0
        law[0] += 0.1
    return law / law.sum()


def setting_of(law, num_values, num_dims, process="masked", budget=TINY, seed=0):
    task = Task("law", "a law", num_values, num_dims, lambda: law)
    return Setting(task, process, seed, budget)


def student_of(setting, options=SMALL):
    latent = options.law(setting)
    network = make_network(setting, latent)
    return TrainedStudent(setting, network, latent, options.latent, Meter())


def pair_run(**changes):
    run = Run(TASKS["pair"], "masked", "teacher", 0, BUDGETS["standard"], (1, 2))
    return run._replace(**changes)


MEASURED_ROW = {
    **{"code": None, "task": "pair", "process": "masked", "method": "teacher", "teacher": "exact"},
    **{"seed": 0, "budget": "standard", "latent": "-", "nfe": 1, "tv": 0.5, "kl": None},
    **{"captured_tc": 0.0, "off_support": 0.0, "train_seconds": 0.0, "parameters": 0},
    **{"peak_memory": 0, "latent_refinement": 0.0, "seconds": 0.1, "law": [0.25] * 4},
}
"""A row of the benchmark as the cache and a record hold it."""
