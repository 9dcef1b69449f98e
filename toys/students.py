"""Training a student on a problem of the benchmark, and the exact law that it then generates."""

import copy
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.denoisers import Denoiser
from di4c.exact import mixture_composition, product_step, total_variation
from di4c.latents import FiniteLatent, GaussianLatent, LatentLaw, UniformLatent
from di4c.losses import Target, data_loss
from di4c.objective import Di4CObjective
from di4c.recipes import SeparateDistillation
from di4c.rng import fold_seed, generator_at, uniform
from di4c.schedules import uniform_grid
from toys.bayes import BayesDenoiser
from toys.jumps import Jump, TeacherJump
from toys.methods.base import MULTI_STEP_STATES, Output, Problem
from toys.student_losses import JumpObjective
from toys.student_network import Backbone

CATEGORIES = 128
"""K of the latent with K categories."""
LEARNING_RATE = 5e-3

DATA_BATCH = 512
"""Examples in one iteration of a method that reads data: at the start they share one state."""

PREPARED = 8
"""Iterations whose noisy states are made together: many small tensors cost as much as one large."""

_REFINEMENT = 5e-4  # the latent grid is doubled until TV changes by less

LATENTS: dict[str, Callable[[int], LatentLaw]] = {
    "categories": lambda _: FiniteLatent(torch.arange(CATEGORIES)),
    "scalar": lambda _: UniformLatent(),
    "gaussian": lambda _: GaussianLatent((8,)),
    "position": lambda num_dims: UniformLatent((num_dims,)),
}
"""Latent laws by name, from the number of dimensions: K categories, the paper's scalar uniform, an
8-dimensional Gaussian, one uniform for each position."""


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
    """Wall time and added peak memory of what runs inside `with`."""

    def __enter__(self) -> "Meter":
        self._start, self._memory = time.perf_counter(), _peak_memory()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.memory = _peak_memory() - self._memory


def _peak_memory() -> int:
    """Bytes of the largest resident set so far (Linux counts in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def latent_grid(law: LatentLaw, size: int) -> Tensor:
    """Latents that stand for the law with equal weights: categories, midpoints or Sobol points.

    Args:
        law: of the latent.
        size: how many; categories come as they are.
    """
    if isinstance(law, FiniteLatent):
        return law.support
    if not law.uniform_shape:
        return law.quantile((torch.arange(size, dtype=torch.float64) + 0.5) / size)
    sobol = torch.quasirandom.SobolEngine(math.prod(law.uniform_shape), scramble=True, seed=0)
    points = sobol.draw(size, dtype=torch.float64)
    return law.quantile(points.reshape(size, *law.uniform_shape))


@torch.no_grad()
def one_step_law(network: Backbone, latents: Tensor | None) -> Float[Tensor, "atom"]:
    """The law of one network evaluation from the start, exactly, in float64.

    At the horizon the network sees no data, so that any state is the start.

    Args:
        network: the student.
        latents: with equal weights, (L, ...); None for a product model.
    """
    probs = _start_probs(network, latents)
    return product_step(torch.full((len(probs),), 1 / len(probs), dtype=torch.float64), probs)


@torch.no_grad()
def first_step_law(network: Backbone, latents: Tensor | None, s: float) -> Float[Tensor, "atom"]:
    """The law over all noisy states at time s after one masked step from the start."""
    probs, process = _start_probs(network, latents), network.process
    start = torch.full(probs.shape[:2], process.num_states - 1)
    step = process.reverse(probs, start, s, process.horizon)
    return product_step(torch.full((len(probs),), 1 / len(probs), dtype=torch.float64), step)


def _start_probs(network: Backbone, latents: Tensor | None) -> Float[Tensor, "latent dim value"]:
    """What each latent says of x_0 at the horizon."""
    count, process = 1 if latents is None else len(latents), network.process
    start = torch.full((1, 1, network.num_dims), process.num_states - 1)
    t = torch.full((1,), process.horizon, dtype=torch.float64)
    network = copy.deepcopy(network).double()
    wide = None if latents is None else _wide(latents)[None]
    return network(start.expand(-1, count, -1), t, wide).log_probs[0].exp()


def _wide(latents: Tensor) -> Tensor:
    """Latents for a network in float64; categories stay indices."""
    return latents.double() if latents.is_floating_point() else latents


@dataclass(frozen=True)
class Student:
    """A trained network with what its training took.

    Attributes:
        problem: what it was trained on.
        network: its weights.
        latent_name: a key of LATENTS, or None for a product model.
        seconds: of training.
        memory: bytes that training added.
    """

    problem: Problem
    network: Backbone
    latent_name: str | None
    seconds: float
    memory: int

    @property
    def latent(self) -> LatentLaw | None:
        """Its latent's law."""
        return make_latent(self.problem, self.latent_name)

    def outputs(self, steps: tuple[int, ...]) -> Iterator[Output]:
        """The exact laws; of several steps only where the noisy states are few enough."""
        for nfe in steps:
            if (nfe - 1) * self.problem.num_noisy_states <= MULTI_STEP_STATES:
                law, refinement = self._refined(nfe)
                yield self.output(law, nfe, refinement)

    def output(self, law: Tensor, nfe: int, refinement: float) -> Output:
        """A law of this student with what it took."""
        return Output(
            law,
            nfe,
            self.seconds,
            self.network.num_parameters,
            self.latent_name or "-",
            refinement,
            self.memory,
        )

    @torch.no_grad()
    def law(self, nfe: int, latents: Tensor | None, last: int = 0) -> Float[Tensor, "atom"]:
        """The law after the steps of the uniform grid of nfe steps, for latents of equal weight.

        Args:
            nfe: steps of the whole grid.
            latents: the grid of latents.
            last: steps left out at the end; then the law is over all noisy states.
        """
        process = self.problem.process
        grid = uniform_grid(nfe, process.horizon)[last:]
        if nfe == 1:
            return one_step_law(self.network, latents)
        # From the start, which is a single state to the network, one step costs next to nothing.
        law = self.problem.start
        if process.mask_state is not None:
            law, grid = first_step_law(self.network, latents, float(grid[-2])), grid[:-1]
        if len(grid) == 1:
            return law
        return mixture_composition(process, self.network.denoiser, grid, law, latents)

    def _refined(self, nfe: int) -> tuple[Tensor, float]:
        """The law on a grid of latents so fine that doubling it changes TV by little."""
        law_of, exact = self.latent, None
        if law_of is None or isinstance(law_of, FiniteLatent):
            exact = None if law_of is None else law_of.support
            return self.law(nfe, exact), 0.0
        size, largest = (512, 2**14) if nfe == 1 else (64, 128)
        law = self.law(nfe, latent_grid(law_of, size))
        while True:
            size *= 2
            finer = self.law(nfe, latent_grid(law_of, size))
            change = float(total_variation(self.problem.q_0, finer))
            change = abs(change - float(total_variation(self.problem.q_0, law)))
            law = finer
            if change < _REFINEMENT or size >= largest:
                return law, change


def make_latent(problem: Problem, name: str | None) -> LatentLaw | None:
    """The latent of that name for the problem's dimensions."""
    return None if name is None else LATENTS[name](problem.task.num_dims)


def jump_student(
    problem: Problem,
    latent_name: str = "categories",
    *,
    consistency: bool = True,
    data: bool = False,
) -> Student:
    """A student of the improved recipe (`JumpObjective`) within the problem's budget."""
    latent = make_latent(problem, latent_name)
    network = make_network(problem, latent)
    jump = TeacherJump(problem.process, training_teacher(problem)) if consistency else None
    with Meter() as meter:
        train_by_jumps(problem, network, latent, jump, problem.budget.iterations, data=data)
    return Student(problem, network, latent_name, meter.seconds, meter.memory)


def train_by_jumps(
    problem: Problem,
    network: Backbone,
    latent: LatentLaw,
    jump: Jump | None,
    iterations: int,
    *,
    data: bool = False,
    purpose: int = 0,
) -> None:
    """Train in place; the start and the examples at random times share the budget's batch."""
    num_latents = min(CATEGORIES, problem.budget.batch // 2)
    rows = problem.budget.batch // num_latents - 1
    objective = JumpObjective(
        problem.process, network, jump, latent, num_latents, data=data, rows=rows
    )
    draw, ready = DataSampler(problem), []

    def loss(generator: torch.Generator) -> Tensor:
        if not ready:
            x_0 = draw(PREPARED * DATA_BATCH, generator).unflatten(0, (PREPARED, DATA_BATCH))
            ready.extend(objective.prepare(x_0, generator))
        return objective(ready.pop(), generator)

    fit(network, loss, iterations, fold_seed(problem.seed, purpose, "rounds"))


def objective_student(
    problem: Problem,
    network: Backbone,
    latent_name: str | None,
    objective: Di4CObjective,
) -> Student:
    """A student of any recipe of di4c, trained within the problem's budget."""
    draw = DataSampler(problem)
    pairs = objective.recipe.num_latents
    if isinstance(objective.recipe.distillation, SeparateDistillation):
        pairs *= 2
    batch = max(1, problem.budget.batch // pairs)

    def loss(generator: torch.Generator) -> Tensor:
        return objective(draw(batch, generator), generator=generator).loss.mean()

    with Meter() as meter:
        fit(network, loss, problem.budget.iterations, problem.seed)
    return Student(problem, network, latent_name, meter.seconds, meter.memory)


def train_teacher(problem: Problem, iterations: int | None = None) -> Backbone:
    """A product teacher trained by cross-entropy on data at random times."""
    network = make_network(problem, None, "teacher")
    draw, process = DataSampler(problem), problem.process

    def loss(generator: torch.Generator) -> Tensor:
        x_0 = draw(DATA_BATCH, generator)
        t = process.horizon * (1 - uniform((len(x_0),), generator=generator))
        x_t = process.sample(x_0, 0.0, t, generator=generator)
        target = Target.from_samples(x_0[:, None], validate=False)
        return data_loss(network(x_t[:, None], t, None), target, False).total.mean()

    steps = iterations or problem.budget.iterations
    fit(network, loss, steps, fold_seed(problem.seed, 0, "teacher"))
    return network.requires_grad_(False)
