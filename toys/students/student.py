"""A trained student and the exact laws that it generates."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact import mixture_composition, mixture_quadrature, product_step, total_variation
from di4c.latents import FiniteLatent, LatentLaw
from di4c.schedules import uniform_grid
from reporting.measure import Meter
from toys.students.network import Backbone
from toys.tasks.setting import MULTI_STEP_STATES, Output, Setting

# A continuous latent is enumerated by points. Their number is multiplied by four until that changes
# TV by less than _REFINEMENT.
_REFINEMENT = 5e-4
_ONE_STEP = 2**12, 2**20  # network evaluations for one step: the first number and the last
_MULTI_STEP = 2**16, 2**22  # the same for each of several steps, over all noisy states
_STARTS = 4  # evaluations of a step for each latent of the sequence
_LATENTS = 2**14  # latents in one call of the network


def latent_grid(law: LatentLaw, size: int) -> Tensor:
    """Latents of equal weight that represent the law: categories, midpoints or Sobol' points.

    Args:
        law: of the latent.
        size: number of points; categories are all returned, whatever the size.
    """
    if isinstance(law, FiniteLatent):
        return law.support
    if not law.uniform_shape:
        return law.quantile((torch.arange(size, dtype=torch.float64) + 0.5) / size)
    return latent_sequence(law, size)


def latent_sequence(law: LatentLaw, size: int) -> Tensor:
    """The first latents of a scrambled Sobol' sequence; each block of it represents the law."""
    sobol = torch.quasirandom.SobolEngine(math.prod(law.uniform_shape), scramble=True, seed=0)
    points = sobol.draw(size, dtype=torch.float64)
    return law.quantile(points.reshape(size, *law.uniform_shape))


@torch.no_grad()
def one_step_law(network: Backbone, latents: Tensor | None) -> Float[Tensor, "atom"]:
    """The exact law of one network evaluation from the start, in float64.

    At the horizon the network sees nothing of the state, so one state represents all of them.

    Args:
        network: the student.
        latents: with equal weights, (L, ...); None for a product model.
    """
    network = copy.deepcopy(network).double()
    if latents is None:
        return product_step(torch.ones(1, dtype=torch.float64), _start_probs(network, None))
    law = torch.zeros(network.process.num_values**network.num_dims, dtype=torch.float64)
    for part in latents.split(_LATENTS):
        probs = _start_probs(network, part)
        law += product_step(torch.full((len(part),), 1 / len(latents), dtype=torch.float64), probs)
    return law


@torch.no_grad()
def first_step_law(network: Backbone, latents: Tensor | None, s: float) -> Float[Tensor, "atom"]:
    """The law over all noisy states at time s after one masked step from the start."""
    probs = _start_probs(copy.deepcopy(network).double(), latents)
    process = network.process
    start = torch.full(probs.shape[:2], process.num_states - 1)
    step = process.reverse(probs, start, s, process.horizon)
    return product_step(torch.full((len(probs),), 1 / len(probs), dtype=torch.float64), step)


def _start_probs(network: Backbone, latents: Tensor | None) -> Float[Tensor, "latent dim value"]:
    """Probabilities of each coordinate of x_0 at the horizon, for each latent."""
    count, process = 1 if latents is None else len(latents), network.process
    start = torch.full((1, 1, network.num_dims), process.num_states - 1)
    t = torch.full((1,), process.horizon, dtype=torch.float64)
    wide = None if latents is None else _wide(latents)[None]
    return network(start.expand(-1, count, -1), t, wide).log_probs[0].exp()


def _wide(latents: Tensor) -> Tensor:
    """Latents for a network in float64; categories stay indices."""
    return latents.double() if latents.is_floating_point() else latents


@dataclass(frozen=True)
class TrainedStudent:
    """A trained network with the cost of its training.

    Attributes:
        setting: what it was trained on.
        network: its weights.
        latent: its latent's law; None for a product model.
        latent_name: name of the latent in tables.
        meter: time and memory of training.
    """

    setting: Setting
    network: Backbone
    latent: LatentLaw | None
    latent_name: str
    meter: Meter

    def __post_init__(self) -> None:
        """ValueError if categories are not equally likely: the laws here assume equal weights."""
        if isinstance(self.latent, FiniteLatent) and self.latent.weights is not None:
            raise ValueError(
                f"latent must weigh its {len(self.latent.support)} categories equally; got weights"
                ": repeat those that are more likely"
            )

    def outputs(self, steps: tuple[int, ...]) -> Iterator[Output]:
        """The exact laws; those of several steps only where there are few enough noisy states."""
        for nfe in steps:
            if (nfe - 1) * self.setting.num_noisy_states <= MULTI_STEP_STATES:
                law, refinement = self._refined(nfe)
                yield self.output(law, nfe, refinement)

    def output(self, law: Tensor, nfe: int, refinement: float) -> Output:
        """A law of this student with its cost."""
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
            last: number of steps left out at the end; if any, the law is over all noisy states.
        """
        process = self.setting.process
        grid = uniform_grid(nfe, process.horizon)[last:]
        if len(grid) == 1:
            return self.setting.start
        if nfe == 1:
            return one_step_law(self.network, latents)
        # The start is a single state to the network, so the first step is cheap.
        law = self.setting.start
        if process.mask_state is not None:
            law, grid = first_step_law(self.network, latents, float(grid[-2])), grid[:-1]
        if len(grid) == 1:
            return law
        return mixture_composition(process, self.network.repeated_denoiser(), grid, law, latents)

    @torch.no_grad()
    def fine_law(self, nfe: int, evaluations: int) -> Float[Tensor, "atom"]:
        """The law after nfe uniform steps for a continuous latent, up to the error of quadrature.

        Args:
            nfe: steps.
            evaluations: evaluations of the network in each step.
        """
        if nfe == 1:
            return one_step_law(self.network, latent_grid(self.latent, evaluations))
        process, points = self.setting.process, latent_sequence(self.latent, evaluations // _STARTS)
        network = self.network.tabulated(points)
        start = torch.zeros_like(self.setting.start)
        start[-1] = 1  # all masked; without masks any state, as the network does not see it
        return mixture_quadrature(
            process,
            lambda x_t, t, index: network(x_t, t, index).log_probs,
            uniform_grid(nfe, process.horizon),
            start,
            torch.arange(len(points)),
            evaluations,
        )

    def _refined(self, nfe: int) -> tuple[Tensor, float]:
        """The law, and how much TV changes with a quarter of the latents."""
        if self.latent is None or isinstance(self.latent, FiniteLatent):
            return self.law(nfe, None if self.latent is None else self.latent.support), 0.0
        evaluations, most = _ONE_STEP if nfe == 1 else _MULTI_STEP
        law, change = self.fine_law(nfe, evaluations), math.inf
        while change >= _REFINEMENT and evaluations < most:
            evaluations *= 4
            finer = self.fine_law(nfe, evaluations)
            change = float(total_variation(self.setting.q_0, finer))
            change = abs(change - float(total_variation(self.setting.q_0, law)))
            law = finer
        return law, change
