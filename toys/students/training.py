"""What all trained methods of the benchmark share: data, teacher, network, one training loop."""

import ctypes
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.denoisers import Denoiser
from di4c.latents import LatentLaw
from di4c.losses import Target, data_loss
from di4c.rng import fold_seed, generator_at, uniform
from toys.students.network import Backbone
from toys.tasks.problem import Problem
from toys.teachers.exact import BayesDenoiser

LEARNING_RATE = 3e-3


def training_teacher(problem: Problem) -> Denoiser:
    """The problem's teacher; without masks the exact one has no table that serves all times."""
    if problem.process.mask_state is None and problem.make_teacher is None:
        return BayesDenoiser(problem.process, problem.q_0)
    return problem.teacher


class DataSampler:
    """Draws of the data law, a binary search each."""

    def __init__(self, problem: Problem) -> None:
        task = problem.task
        self.cumulative = problem.q_0.cumsum(0)
        self.num_values = task.num_values
        self.powers = task.num_values ** torch.arange(task.num_dims - 1, -1, -1)

    def __call__(self, num_samples: int, generator: torch.Generator) -> Int[Tensor, "batch dim"]:
        """Independent samples."""
        total = self.cumulative[-1]
        draws = uniform((num_samples,), generator=generator) * total
        # Strictly below the total: the first entry above has positive probability.
        draws = torch.minimum(draws, torch.nextafter(total, torch.zeros_like(total)))
        index = torch.searchsorted(self.cumulative, draws, right=True)
        return index[:, None] // self.powers % self.num_values


Loss = Callable[[torch.Generator], Float[Tensor, ""]]
"""One evaluation of what is minimised, with fresh random draws."""


def make_network(problem: Problem, latent: LatentLaw | None, purpose: str = "network") -> Backbone:
    """The backbone with weights that depend on the problem's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(problem.seed, 0, purpose))
        return Backbone(problem.process, problem.task.num_dims, latent)


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
        network: what is trained, in place.
        loss: drawn anew in each iteration.
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
    """Linear over the first twentieth, then half a cosine down to 0."""
    progress = (done + 0.5) / iterations
    return min(20 * progress, 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))


class Meter:
    """Wall time and added peak memory of what ran inside `with`; zero before that.

    The memory is by how much the largest resident set inside exceeds the one at the beginning, in
    bytes; None where the system does not let a process measure that (all but Linux).
    """

    seconds = 0.0
    memory: int | None = 0

    def __enter__(self) -> "Meter":
        self._memory = _restarted_peak()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.memory = None if self._memory is None else max(0, _peak_memory() - self._memory)


def _restarted_peak() -> int | None:
    """Lower the peak to what is in use now, in bytes; None where the system has no such peak."""
    try:
        # What the allocator keeps of earlier work would be used again, and not be seen.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _peak_memory()


def _peak_memory() -> int:
    """Bytes of the largest resident set since it was lowered."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def train_teacher(problem: Problem) -> Backbone:
    """A product teacher trained by cross-entropy on data at random times."""
    network = make_network(problem, None, "teacher")
    draw, process = DataSampler(problem), problem.process

    def loss(generator: torch.Generator) -> Tensor:
        x_0 = draw(problem.budget.batch, generator)
        t = process.horizon * (1 - uniform((len(x_0),), generator=generator))
        x_t = process.sample(x_0, 0.0, t, generator=generator)
        target = Target.from_samples(x_0[:, None], validate=False)
        return data_loss(network(x_t[:, None], t, None), target, False).total.mean()

    fit(network, loss, problem.budget.iterations, fold_seed(problem.seed, 0, "teacher"))
    return network.requires_grad_(False)


def trained_teacher(problem: Problem) -> Denoiser:
    """`train_teacher` as a denoiser."""
    return train_teacher(problem).denoiser
