"""Di4C as published: the recipes of the paper on a toy, through `Di4CObjective`.

Masked noise takes the recipe of the ImageNet experiment with the teacher's exact step. Uniform
noise takes that of the CIFAR-10 experiment. The latent is a scalar uniform, drawn independently.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from di4c.denoisers import as_mixture
from di4c.latents import UniformLatent
from di4c.objective import Di4CObjective
from di4c.recipes import CIFAR10, IMAGENET, Recipe, SeparateDistillation, Weight, exact_step
from reporting.measure import Meter
from toys.students.student import TrainedStudent
from toys.students.training import DataSampler, fit, make_network, training_teacher
from toys.tasks.setting import Output, Setting


def recipe(setting: Setting, data: bool = False, control_variate: bool = True) -> Recipe:
    """The published recipe for the setting's noise.

    Args:
        setting: task and noise.
        data: whether to keep the data term; otherwise its weight is 0.
        control_variate: whether to keep the control variate. Without it the consistency loss has
            the same expected gradient with a larger variance, and the data loss no marginal part.
    """
    published = CIFAR10 if setting.process.mask_state is None else IMAGENET
    weight = published.data_weight if data else Weight(0.0)
    return replace(
        published,
        data_weight=weight,
        teacher_move=exact_step,
        control_variate=control_variate,
        data_control_variate=control_variate,
        data_marginal_weight=float(control_variate),
    )


def outputs(
    setting: Setting, steps: tuple[int, ...], data: bool = False, control_variate: bool = True
) -> Iterator[Output]:
    """Train by the recipe within the setting's budget; with `data` the method is Di4C-d."""
    latent = UniformLatent()
    network = make_network(setting, latent)
    teacher = as_mixture(training_teacher(setting), validate=False)
    objective = Di4CObjective(
        setting.process, network, teacher, recipe(setting, data, control_variate), latent
    )
    draw = DataSampler(setting)
    pairs = objective.recipe.num_latents
    if isinstance(objective.recipe.distillation, SeparateDistillation):
        pairs *= 2  # the distillation loss has noisy states of its own
    batch = max(1, setting.budget.batch // pairs)

    def loss(generator: torch.Generator) -> Tensor:
        return objective(draw(batch, generator), generator=generator).loss.mean()

    with Meter() as meter:
        fit(network, loss, setting.budget.iterations, setting.seed)
    yield from TrainedStudent(setting, network, latent, "scalar", meter).outputs(steps)
