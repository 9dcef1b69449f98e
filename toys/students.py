"""A trained student and the exact law that it generates."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact import mixture_composition, product_step, total_variation
from di4c.latents import FiniteLatent, LatentLaw
from di4c.schedules import uniform_grid
from toys.problem import MULTI_STEP_STATES, Output, Problem
from toys.student_network import Backbone
from toys.training import Meter

_REFINEMENT = 5e-4  # the latent grid is doubled until TV changes by less,
_LATENTS = 256, 2**16  # from so many latents to so many,
_EVALUATIONS = 2**23  # and so many of the network in a step


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
        latent: its latent's law; None for a product model.
        latent_name: what to call it.
        meter: what training took.
    """

    problem: Problem
    network: Backbone
    latent: LatentLaw | None
    latent_name: str
    meter: Meter

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
            self.meter.seconds,
            self.network.num_parameters,
            self.latent_name,
            refinement,
            self.meter.memory,
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
        return mixture_composition(process, self.network.repeated_denoiser(), grid, law, latents)

    def _refined(self, nfe: int) -> tuple[Tensor, float]:
        """The law on a grid of latents so fine that doubling it changes TV by little."""
        if self.latent is None or isinstance(self.latent, FiniteLatent):
            return self.law(nfe, None if self.latent is None else self.latent.support), 0.0
        # At the start a network sees a single state.
        states = 1 if nfe == 1 else self.problem.num_noisy_states
        size, most = _LATENTS
        largest = min(most, _EVALUATIONS // states)
        law = self.law(nfe, latent_grid(self.latent, size))
        while True:
            size *= 2
            finer = self.law(nfe, latent_grid(self.latent, size))
            change = float(total_variation(self.problem.q_0, finer))
            change = abs(change - float(total_variation(self.problem.q_0, law)))
            law = finer
            # It ends where it is enough, or where falling like 1 / size could not make it enough.
            if not _REFINEMENT <= change <= _REFINEMENT * largest / size:
                return law, change
