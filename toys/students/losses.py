r"""The training objective of the benchmark's own Di4C; every loss is one of `di4c.losses`.

In the published recipes the teacher takes one small step from t to u, and the student finishes from
u. All times t are treated alike. A one-step student only needs the law at the start of generation.
It learns that law through 1 / (t - u) links, each of which imitates the student's own output at a
smaller time and adds an error. The objective here uses the same losses with three changes:

- One example of every batch is the start $x_T$ itself, with many atoms (`di4c.start_term`). All
  atoms share this state, so they cost one network evaluation for each latent.
- The teacher makes a long jump from t down to $u = \rho t$, in as many steps as needed. With masks
  it reveals one coordinate at a time, which samples its exact law (first hitting). Otherwise it
  takes small equal steps.
- A latent with K categories is enumerated. The likelihood is that of the mixture itself, without
  Jensen bias.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.denoisers import MixtureNetwork
from di4c.latents import LatentLaw, draw_latents, uniform_log_weights
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from di4c.processes import ForwardProcess
from di4c.rng import uniform
from di4c.sampling_loop import prior_samples
from di4c.start_term import StartTerm, start_loss
from toys.teachers.jumps import Jump


class Options(Protocol):
    """The fields of `toys.students.jump_training.JumpOptions` that the objective reads."""

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
    r"""Consistency over long teacher jumps, and the likelihood of data; the start weighs most.

    Attributes:
        process: forward process.
        student: the network to train.
        jump: the teacher's jump from t to u, None for no teacher.
        latent: law of the latents; all examples of a batch share the same latents.
        options: numbers and weights.
        rows: examples at random times, in addition to the one at the start.
    """

    process: ForwardProcess
    student: MixtureNetwork
    jump: Jump | None
    latent: LatentLaw
    options: Options
    rows: int

    def prepare(
        self, x_0: Int[Tensor, "iteration batch dim"], generator: torch.Generator
    ) -> list["Batch"]:
        """The draws that do not depend on the student, for several iterations at once.

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
            # Every atom at the start has its own x_T. The student does not see x_T, so it has to
            # learn the law over all of them.
            size = (count, self.options.start_atoms)
            atoms = prior_samples(self.process, math.prod(size), num_dims, generator=generator)
            copies = x_t.repeat_interleave(self.options.row_atoms, 1)
            atoms = torch.cat([atoms.unflatten(0, size), copies], 1)
            times = torch.cat(
                [t.new_full(size, horizon), t.repeat_interleave(self.options.row_atoms, 1)], 1
            )
            ends = self.options.ratio * times
            jumps = self.jump(atoms.flatten(0, 1), ends.flatten(), times.flatten(), generator)
            x_u = zip(jumps.unflatten(0, times.shape), ends, strict=True)
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
            self.options.num_latents,
            stratified=self.options.stratified,
            generator=generator,
        )
        shared = latents.expand(len(x_t), *latents.shape)
        student = self.student(x_t[:, None].expand(-1, self.options.num_latents, -1), t, shared)
        at_start, at_rows = _mixture(student.log_probs[:1]), _mixture(student.log_probs[1:])
        loss = student.log_probs.new_zeros(())
        weight, split = self.options.start_weight, self.options.control_variate
        term = StartTerm(weight, data_weight=weight) if weight else None
        if self.options.data:
            shared = Target.from_samples(batch.x_0[None], validate=False)
            own = Target.from_samples(batch.x_0[: self.rows, None], validate=False)
            if term is not None:
                loss = loss + start_loss(term, at_start, None, shared, split).mean()
            loss = loss + self.options.data_weight * self._loss(at_rows, own)
        if batch.target is not None:
            first, rest = self._targets(*batch.target, generator)
            if term is not None:
                loss = loss + start_loss(term, at_start, first, None, split).mean()
            loss = loss + self._loss(at_rows, rest)
        return loss

    def _loss(self, student: DenseMixture, target: Target) -> Float[Tensor, ""]:
        split = self.options.control_variate and target.log_marginals is not None
        return consistency_loss(student, target, control_variate=split).total.mean()

    @torch.no_grad()
    def _targets(
        self, x_u: Int[Tensor, "atom dim"], u: Float[Tensor, "atom"], generator: torch.Generator
    ) -> list[Target]:
        r"""Targets $p^\theta_{0|u} \circ p^\psi_{u|t}$ at the start and at the random times."""
        latents = draw_latents(self.latent, len(x_u), stratified=True, generator=generator)
        log_probs = self.student(x_u[:, None], u, latents[:, None]).log_probs[:, 0]
        parts = log_probs.split([self.options.start_atoms, self.options.row_atoms * self.rows])
        return [
            Target.from_mixture(_mixture(part.unflatten(0, (count, -1))), generator)
            for part, count in zip(parts, (1, self.rows), strict=True)
        ]


class Batch(NamedTuple):
    """Data, noisy states and ends of jumps of one iteration.

    Attributes:
        x_0: data, (N, D).
        x_t: noisy states of its first R rows, (R, D).
        t: their times, (R,).
        target: (x_u, u) for every atom, first those at the start; None without consistency.
    """

    x_0: Int[Tensor, "batch dim"]
    x_t: Int[Tensor, "row dim"]
    t: Float[Tensor, "row"]
    target: tuple[Tensor, Tensor] | None


def _mixture(log_probs: Float[Tensor, "batch latent dim value"]) -> DenseMixture:
    """A mixture of equal weights, without checks: it is normalised by construction."""
    return DenseMixture(log_probs, uniform_log_weights(log_probs.shape[1]), validate=False)
