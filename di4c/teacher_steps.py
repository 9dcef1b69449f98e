r"""Teacher steps from $x_t$ to $x_u$, the first part of a consistency target."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_choice, check_count, check_number
from di4c.conditioning import Held
from di4c.confidence import mask_of, teacher_step
from di4c.denoisers import MixtureNetwork
from di4c.latents import LatentLaw, latent_batches
from di4c.maskgit_schedule import MASK_RATIOS
from di4c.processes import ForwardProcess
from di4c.rng import Generator
from di4c.sampling_loop import prior_samples


class TeacherLaw(NamedTuple):
    r"""What one call of the teacher returns about $p^\psi_{0|t}(\cdot \mid x_t)$.

    Attributes:
        log_marginals: log-probabilities of each coordinate of x_0, (B, D, S). They determine a
            product teacher.
        x_0: one draw from each component of a mixture teacher, (B, L, D); None for a product.
        num_tokens: number of coordinates that are not held, (B,); None for all D.
    """

    log_marginals: Float[Tensor, "batch dim value"]
    x_0: Int[Tensor, "batch latent dim"] | None = None
    num_tokens: Int[Tensor, "batch"] | None = None


TeacherMove = Callable[
    [ForwardProcess, TeacherLaw, Tensor, Tensor, Tensor, Generator | None], Tensor
]
"""(process, teacher, x_t (B, L, D), u (B,), t (B,), generator) -> x_u (B, L, D)"""


def exact_step(
    process: ForwardProcess,
    teacher: TeacherLaw,
    x_t: Int[Tensor, "batch latent dim"],
    u: Float[Tensor, "batch"],
    t: Float[Tensor, "batch"],
    generator: Generator | None = None,
) -> Int[Tensor, "batch latent dim"]:
    r"""The exact step of the teacher, $x_u \sim p^\psi_{u|t}(\cdot \mid x_t)$.

    First it draws x_0 from the teacher, then $x_u \sim q_{u|0,t}(\cdot \mid x_0, x_t)$.

    Args:
        process: forward process.
        teacher: the law of x_0 given x_t.
        x_t: states at t, one for each latent, (B, L, D).
        u: earlier times, (B,).
        t: times, (B,).
        generator: source of randomness.

    Returns:
        States at u, (B, L, D).
    """
    if teacher.x_0 is not None:
        return process.bridge(teacher.x_0, x_t, u, t, generator=generator)
    probs = teacher.log_marginals.exp()[:, None].expand(-1, x_t.shape[1], -1, -1)
    return process.reverse_step(probs, x_t, u, t, generator=generator)


@dataclass(frozen=True)
class ConfidenceTeacher:
    """MaskGIT's step as the teacher step: reveal the most confident positions.

    See `di4c.confidence.teacher_step`.

    Attributes:
        temperature: scale of the Gumbel noise in the confidence at r = 0.
        num_steps: number of steps of MaskGIT's sampler, over which the noise decays.
        schedule: schedule of the mask ratio, a key of `di4c.maskgit_schedule.MASK_RATIOS`.

    Raises:
        ValueError: If the temperature is negative or infinite, there is no step, or the schedule is
            unknown.
    """

    temperature: float = 4.5
    num_steps: int = 8
    schedule: str = "arccos"

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature)
        check_count("num_steps", self.num_steps)
        check_choice("schedule", self.schedule, MASK_RATIOS)

    def __call__(
        self,
        process: ForwardProcess,
        teacher: TeacherLaw,
        x_t: Int[Tensor, "batch latent dim"],
        u: Float[Tensor, "batch"],
        t: Float[Tensor, "batch"],
        generator: Generator | None = None,
    ) -> Int[Tensor, "batch latent dim"]:
        """One step from t to u; arguments as in `exact_step`.

        Raises:
            ValueError: If the process has no mask, or the teacher is a mixture.
        """
        mask_state = mask_of(process, "use exact_step")
        if teacher.x_0 is not None:
            raise ValueError(
                "teacher_latents must be 0 for a confidence step, whose confidence is that of a "
                "product teacher: use exact_step for a mixture teacher"
            )
        log_probs = teacher.log_marginals[:, None].expand(-1, x_t.shape[1], -1, -1)
        tokens = teacher.num_tokens
        return teacher_step(
            log_probs,
            x_t,
            1 - t / process.horizon,
            (t - u) / process.horizon,
            mask_state,
            num_steps=self.num_steps,
            temperature=self.temperature,
            schedule=self.schedule,
            num_tokens=None if tokens is None else tokens[:, None].expand(x_t.shape[:2]),
            generator=generator,
        )


@dataclass(frozen=True)
class TeacherSampler:
    """A teacher with everything that its steps need.

    Attributes:
        process: forward process.
        network: the teacher, as a mixture.
        latent: law of the latents of a mixture teacher.
        num_latents: number of latents of a mixture teacher; 0 for a product teacher.
        stratified: whether these latents are stratified.
        move: the step.
        held: coordinates that keep their value, of which `network` must be sure.
    """

    process: ForwardProcess
    network: MixtureNetwork
    latent: LatentLaw
    num_latents: int = 0
    stratified: bool = False
    move: TeacherMove = exact_step
    held: Held = field(default_factory=Held)

    def prior(
        self, num_rows: int, num_dims: int, generator: Generator | None, device: torch.device
    ) -> Int[Tensor, "row dim"]:
        """States at the horizon, with the held coordinates at their value, (R, D)."""
        x = prior_samples(self.process, num_rows, num_dims, generator=generator, device=device)
        return self.held.keep(x)

    @torch.no_grad()
    def law(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], generator: Generator | None
    ) -> TeacherLaw:
        """Call the teacher at x_t: its marginals, and draws of x_0 if it is a mixture.

        Raises:
            ValueError: If the teacher's probabilities do not fit the process.
        """
        if self.num_latents:
            law = self.draws(x_t[:, None].expand(-1, self.num_latents, -1), t, generator)
        else:
            law = TeacherLaw(self.network(x_t[:, None], t, None).log_marginals())
        self.process.check_width("log-probabilities of the teacher", law.log_marginals.shape[-1])
        return law._replace(num_tokens=self._num_tokens(len(x_t)))

    @torch.no_grad()
    def draws(
        self,
        x: Int[Tensor, "batch atom dim"],
        t: Float[Tensor, "batch"],
        generator: Generator | None,
    ) -> TeacherLaw:
        """Call the teacher at K states for each example: one draw of x_0 from each."""
        latents = None
        if self.num_latents:
            latents = latent_batches(
                self.latent,
                (len(x), x.shape[1]),
                stratified=self.stratified,
                generator=generator,
                device=x.device,
            )
        x_0, log_marginals = self.network(x, t, latents).draw(generator)
        return TeacherLaw(log_marginals, x_0, self._num_tokens(len(x)))

    @torch.no_grad()
    def jump(
        self,
        x: Int[Tensor, "batch atom dim"],
        u: Float[Tensor, "batch"],
        t: Float[Tensor, "batch"],
        generator: Generator | None,
        *,
        steps: int = 1,
        law: TeacherLaw | None = None,
    ) -> Int[Tensor, "batch atom dim"]:
        """K states of each example at u, in equal steps from K states at t.

        Args:
            x: states at t.
            u: earlier times.
            t: times.
            generator: source of randomness.
            steps: number of teacher steps.
            law: the teacher at x, if all K states of an example are the same.
        """
        times = [t + (u - t) * (k / steps) for k in range(steps)]
        for k, (later, earlier) in enumerate(pairwise([*times, u])):
            if k or law is None:  # every atom is at a state of its own
                law = self.draws(x, later, generator)
            x = self.move(self.process, law, x, earlier, later, generator)
        return x

    @torch.no_grad()
    def generate(
        self, t: Float[Tensor, "batch"], num_dims: int, steps: int, generator: Generator | None
    ) -> Int[Tensor, "batch dim"]:
        """States at t that the teacher generates from the prior: the reference law of Theorem 2."""
        x = self.prior(len(t), num_dims, generator, t.device)
        fractions = torch.arange(steps + 1, device=t.device) / steps
        times = self.process.horizon + (t - self.process.horizon) * fractions[:, None]
        for later, earlier in pairwise(times):
            law = self.law(x, later, generator)
            x = exact_step(self.process, law, x[:, None], earlier, later, generator)[:, 0]
        return x

    def _num_tokens(self, num_rows: int) -> Int[Tensor, "row"] | None:
        """Number of coordinates of each row that are not held; None if none is held."""
        free = self.held.rows(num_rows).free
        return None if free is None else free.sum(-1)
