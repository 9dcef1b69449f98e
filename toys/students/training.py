"""Training in the benchmark: data, teacher, network and the training loop of all methods."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.denoisers import Denoiser
from di4c.latents import LatentLaw
from di4c.losses import Target, data_loss
from di4c.rng import fold_seed, generator_at, uniform
from toys.students.network import Backbone
from toys.tasks.setting import Setting
from toys.teachers.exact import BayesDenoiser

LEARNING_RATE = 3e-3


def training_teacher(setting: Setting) -> Denoiser:
    """The setting's teacher, in a form that is fast at random times.

    Without masks the exact teacher's tables hold for one time each, so it is computed at each call.
    """
    if setting.process.mask_state is None and setting.make_teacher is None:
        return BayesDenoiser(setting.process, setting.q_0)
    return setting.teacher


class DataSampler:
    """Draws of the data law, each by a binary search in its cumulative sums."""

    def __init__(self, setting: Setting) -> None:
        task = setting.task
        self.cumulative = setting.q_0.cumsum(0)
        self.num_values = task.num_values
        self.powers = task.num_values ** torch.arange(task.num_dims - 1, -1, -1)

    def __call__(self, num_samples: int, generator: torch.Generator) -> Int[Tensor, "batch dim"]:
        """Independent samples."""
        total = self.cumulative[-1]
        draws = uniform((num_samples,), generator=generator) * total
        # Below the total, such that the search ends at an entry of positive probability.
        draws = torch.minimum(draws, torch.nextafter(total, torch.zeros_like(total)))
        index = torch.searchsorted(self.cumulative, draws, right=True)
        return index[:, None] // self.powers % self.num_values


Loss = Callable[[torch.Generator], Float[Tensor, ""]]
"""One evaluation of the loss to minimise, with fresh random draws."""


def make_network(setting: Setting, latent: LatentLaw | None, purpose: str = "network") -> Backbone:
    """The backbone with initial weights that depend on the setting's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(setting.seed, 0, purpose))
        return Backbone(setting.process, setting.task.num_dims, latent)


def fit(
    network: nn.Module,
    loss: Loss,
    iterations: int,
    seed: int,
    learning_rate: float = LEARNING_RATE,
    callback: Callable[[int], None] | None = None,
) -> None:
    """Minimise with Adam, a short warm-up and a cosine decay to zero.

    Args:
        network: the network to train, in place.
        loss: evaluated once in each iteration, with new draws.
        iterations: optimiser steps.
        seed: of the training draws.
        learning_rate: the largest.
        callback: called after each iteration with its number, from 1.
    """
    optimizer = torch.optim.Adam(network.parameters(), learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_rate, iterations))
    generator = generator_at(seed, 0, "training")
    for iteration in range(1, iterations + 1):
        optimizer.zero_grad()
        loss(generator).backward()
        optimizer.step()
        schedule.step()
        if callback is not None:
            callback(iteration)


def _rate(iterations: int, done: int) -> float:
    """Factor of the learning rate: linear over the first twentieth, then half a cosine to 0."""
    progress = (done + 0.5) / iterations
    return min(20 * progress, 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))


def train_teacher(setting: Setting) -> Backbone:
    """A product teacher trained by cross-entropy on data at random times."""
    network = make_network(setting, None, "teacher")
    draw, process = DataSampler(setting), setting.process

    def loss(generator: torch.Generator) -> Tensor:
        x_0 = draw(setting.budget.batch, generator)
        t = process.horizon * (1 - uniform((len(x_0),), generator=generator))
        x_t = process.sample(x_0, 0.0, t, generator=generator)
        target = Target.from_samples(x_0[:, None], validate=False)
        return data_loss(network(x_t[:, None], t, None), target, False).total.mean()

    fit(network, loss, setting.budget.iterations, fold_seed(setting.seed, 0, "teacher"))
    return network.requires_grad_(False)


def trained_teacher(setting: Setting) -> Denoiser:
    """`train_teacher` as a denoiser."""
    return train_teacher(setting).denoiser
