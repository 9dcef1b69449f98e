r"""What the improved Di4C of the benchmark trains on; every loss is one of `di4c.losses`.

The published recipes take one small teacher step from t to u, let the student finish from u, and do
so at every t alike. A one-step student needs the law at the start of generation, and reaches it
there through 1 / (t - u) generations of its own outputs, each learnt from the last with an error.
Here, with the same losses,

- one example of every batch is the start itself, $x_T$, with many atoms: the state is the same for
  all of them, so that they cost one network evaluation a latent;
- the teacher goes far, from t down to $u = \rho t$, in as many steps as that takes: with masks one
  coordinate at a time, which is its exact law (first hitting), else in small equal steps;
- a latent with K categories is enumerated: the likelihood is that of the mixture itself, without
  Jensen bias.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.latents import LatentLaw, draw_latents, uniform_log_weights
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from di4c.objective import MixtureNetwork
from di4c.processes import ForwardProcess
from di4c.rng import uniform
from di4c.sampling_loop import prior_samples
from toys.teachers.jumps import Jump


class Choices(Protocol):
    """What the objective reads of a recipe; see `toys.students.recipes.JumpRecipe`."""

    num_latents: int
    stratified: bool
    data: bool
    start_atoms: int
    row_atoms: int
    start_weight: float
    data_weight: float
    ratio: float
    control_variate: bool


@dataclass(frozen=True)
class JumpObjective:
    r"""Consistency over long teacher jumps, and the likelihood of data, most of it at the start.

    Attributes:
        process: forward process.
        student: the network that is trained.
        jump: the teacher from t to u, None to use no teacher.
        latent: law of the latents, which the examples of a batch share.
        recipe: numbers and weights.
        rows: examples at random times beside the one at the start.
    """

    process: ForwardProcess
    student: MixtureNetwork
    jump: Jump | None
    latent: LatentLaw
    recipe: Choices
    rows: int

    def prepare(
        self, x_0: Int[Tensor, "iteration batch dim"], generator: torch.Generator
    ) -> list["Batch"]:
        """What does not depend on the student, for several iterations in one go.

        Args:
            x_0: data, one batch for each iteration.
            generator: source of all randomness.
        """
        count, _, num_dims = x_0.shape
        horizon = self.process.horizon
        t = horizon * (1 - uniform((count, self.rows), generator=generator))
        data = x_0[:, : self.rows].flatten(0, 1)
        x_t = self.process.sample(data, 0.0, t.flatten(), generator=generator)
        x_t = x_t.unflatten(0, (count, self.rows))
        x_u = None
        if self.jump is not None:
            # Every atom at the start has its own x_T: the student, who sees no data there, is to
            # learn the law over all of them.
            size = (count, self.recipe.start_atoms)
            atoms = prior_samples(self.process, math.prod(size), num_dims, generator=generator)
            copies = x_t.repeat_interleave(self.recipe.row_atoms, 1)
            atoms = torch.cat([atoms.unflatten(0, size), copies], 1)
            times = torch.cat(
                [t.new_full(size, horizon), t.repeat_interleave(self.recipe.row_atoms, 1)], 1
            )
            jumps = self.jump(
                atoms.flatten(0, 1), self.recipe.ratio * times.flatten(), times.flatten(), generator
            )
            x_u = zip(jumps.unflatten(0, times.shape), self.recipe.ratio * times, strict=True)
        targets = [None] * count if x_u is None else list(x_u)
        return [Batch(*parts) for parts in zip(x_0, x_t, t, targets, strict=True)]

    def __call__(self, batch: "Batch", generator: torch.Generator) -> Float[Tensor, ""]:
        """The loss of one iteration.

        Args:
            batch: from `prepare`.
            generator: source of latents and of the student's samples.
        """
        start = prior_samples(self.process, 1, batch.x_t.shape[1], generator=generator)
        x_t = torch.cat([start, batch.x_t])
        t = torch.cat([batch.t.new_full((1,), self.process.horizon), batch.t])
        latents = draw_latents(
            self.latent,
            self.recipe.num_latents,
            stratified=self.recipe.stratified,
            generator=generator,
        )
        shared = latents.expand(len(x_t), *latents.shape)
        student = self.student(x_t[:, None].expand(-1, self.recipe.num_latents, -1), t, shared)
        at_start, at_rows = _mixture(student.log_probs[:1]), _mixture(student.log_probs[1:])
        loss = student.log_probs.new_zeros(())
        if self.recipe.data:
            shared = Target.from_samples(batch.x_0[None], validate=False)
            own = Target.from_samples(batch.x_0[: self.rows, None], validate=False)
            loss = loss + self.recipe.start_weight * self._loss(at_start, shared)
            loss = loss + self.recipe.data_weight * self._loss(at_rows, own)
        if batch.target is not None:
            first, rest = self._targets(*batch.target, generator)
            loss = loss + self.recipe.start_weight * self._loss(at_start, first)
            loss = loss + self._loss(at_rows, rest)
        return loss

    def _loss(self, student: DenseMixture, target: Target) -> Float[Tensor, ""]:
        split = self.recipe.control_variate and target.log_marginals is not None
        return consistency_loss(student, target, control_variate=split).total.mean()

    @torch.no_grad()
    def _targets(
        self, x_u: Int[Tensor, "atom dim"], u: Float[Tensor, "atom"], generator: torch.Generator
    ) -> list[Target]:
        r"""$p^\theta_{0|u} \circ p^\psi_{u|t}$ at the start and at the random times."""
        latents = draw_latents(self.latent, len(x_u), stratified=True, generator=generator)
        log_probs = self.student(x_u[:, None], u, latents[:, None]).log_probs[:, 0]
        parts = log_probs.split([self.recipe.start_atoms, self.recipe.row_atoms * self.rows])
        return [
            Target.from_mixture(_mixture(part.unflatten(0, (count, -1))), generator)
            for part, count in zip(parts, (1, self.rows), strict=True)
        ]


class Batch(NamedTuple):
    """One iteration's data, noisy states and ends of jumps.

    Attributes:
        x_0: data, (N, D).
        x_t: the noisy states of the first rows of it, (R, D).
        t: their times, (R,).
        target: (x_u, u) for every atom, those at the start first; None without consistency.
    """

    x_0: Int[Tensor, "batch dim"]
    x_t: Int[Tensor, "row dim"]
    t: Float[Tensor, "row"]
    target: tuple[Tensor, Tensor] | None


def _mixture(log_probs: Float[Tensor, "batch latent dim value"]) -> DenseMixture:
    """Equal weights; normalised by construction, so that nothing needs a check."""
    return DenseMixture(log_probs, uniform_log_weights(log_probs.shape[1]), validate=False)
