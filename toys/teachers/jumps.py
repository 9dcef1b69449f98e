"""Long jumps from t to u for consistency training, each made of many small steps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.denoisers import Denoiser
from di4c.latents import LatentLaw, draw_latents
from di4c.processes import ForwardProcess, MaskedProcess
from di4c.rng import categorical, uniform

TEACHER_STEPS = 16
STUDENT_STEPS = 4

Jump = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]
"""(x_t (A, D), u (A,), t (A,), generator) -> x_u (A, D)."""


@dataclass(frozen=True)
class TeacherJump:
    r"""$x_u$ given $x_t$ by many steps of a product teacher.

    With masks, the coordinates to reveal are drawn first and then revealed one by one in random
    order. This samples the law of infinitely many small steps in at most D teacher calls (the
    first-hitting sampler of Zheng et al. 2024). Other processes take ancestral steps of equal
    length.

    Attributes:
        process: forward process.
        teacher: product denoiser.
        num_steps: number of ancestral steps without masks.
    """

    process: ForwardProcess
    teacher: Denoiser
    num_steps: int = TEACHER_STEPS

    def __call__(
        self,
        x_t: Int[Tensor, "atom dim"],
        u: Float[Tensor, "atom"],
        t: Float[Tensor, "atom"],
        generator: torch.Generator,
    ) -> Int[Tensor, "atom dim"]:
        if not isinstance(self.process, MaskedProcess):
            return ancestral_jump(self.process, self._probs, x_t, u, t, self.num_steps, generator)
        x_u = x_t.clone()
        reveal = self.process.reveal_probability(u, t)[:, None]
        masked = x_t == self.process.mask_state
        hidden = masked & (uniform(x_t.shape, generator=generator) < reveal)
        # The coordinates to reveal come first, in random order.
        order = uniform(x_t.shape, generator=generator).masked_fill(~hidden, 2.0).argsort(-1)
        counts = hidden.sum(-1)
        for k in range(int(counts.max())):
            rows = (counts > k).nonzero()[:, 0]
            place = order[rows, k]
            probs = self._probs(x_u[rows], t[rows], generator)[torch.arange(len(rows)), place]
            x_u[rows, place] = categorical(probs, generator=generator)
        return x_u

    def _probs(self, x_t: Tensor, t: Tensor, _: torch.Generator) -> Tensor:
        return self.teacher(x_t, t).exp()


@dataclass(frozen=True)
class StudentJump:
    """$x_u$ given $x_t$ by a few steps of a student, with a new latent for each step.

    Attributes:
        process: forward process.
        student: denoiser of the student of an earlier round.
        latent: law of its latent.
        num_steps: number of steps.
    """

    process: ForwardProcess
    student: Denoiser
    latent: LatentLaw
    num_steps: int = STUDENT_STEPS

    def __call__(
        self,
        x_t: Int[Tensor, "atom dim"],
        u: Float[Tensor, "atom"],
        t: Float[Tensor, "atom"],
        generator: torch.Generator,
    ) -> Int[Tensor, "atom dim"]:
        return ancestral_jump(self.process, self._probs, x_t, u, t, self.num_steps, generator)

    def _probs(self, x_t: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        latents = draw_latents(self.latent, len(x_t), stratified=True, generator=generator)
        return self.student(x_t, t, latents).exp()


def ancestral_jump(
    process: ForwardProcess,
    probs: Callable[[Tensor, Tensor, torch.Generator], Tensor],
    x_t: Int[Tensor, "atom dim"],
    u: Float[Tensor, "atom"],
    t: Float[Tensor, "atom"],
    num_steps: int,
    generator: torch.Generator,
) -> Int[Tensor, "atom dim"]:
    """Equal ancestral steps from t to u; each atom has its own t and u."""
    for k in range(num_steps):
        later, earlier = (t + (u - t) * j / num_steps for j in (k, k + 1))
        p_0 = probs(x_t, later, generator)
        x_t = process.reverse_step(p_0, x_t, earlier, later, generator=generator)
    return x_t
