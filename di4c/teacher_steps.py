r"""Teacher steps from $x_t$ to $x_u$, the first part of a consistency target."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from di4c.confidence import teacher_step
from di4c.processes import ForwardProcess
from di4c.rng import Generator


class TeacherLaw(NamedTuple):
    r"""What one call of the teacher returns about $p^\psi_{0|t}(\cdot \mid x_t)$.

    Attributes:
        log_marginals: log-probabilities of each coordinate of x_0, (B, D, S). They determine a
            product teacher.
        x_0: one draw from each component of a mixture teacher, (B, L, D); None for a product.
    """

    log_marginals: Float[Tensor, "batch dim value"]
    x_0: Int[Tensor, "batch latent dim"] | None = None


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
    """

    temperature: float = 4.5
    num_steps: int = 8
    schedule: str = "arccos"

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
        if process.mask_state is None:
            raise ValueError(
                f"process must be masked for a confidence step; got {type(process).__name__}: "
                "use exact_step"
            )
        if teacher.x_0 is not None:
            raise ValueError(
                "teacher_latents must be 0 for a confidence step, whose confidence is that of a "
                "product teacher: use exact_step for a mixture teacher"
            )
        log_probs = teacher.log_marginals[:, None].expand(-1, x_t.shape[1], -1, -1)
        return teacher_step(
            log_probs,
            x_t,
            1 - t / process.horizon,
            (t - u) / process.horizon,
            process.mask_state,
            num_steps=self.num_steps,
            temperature=self.temperature,
            schedule=self.schedule,
            generator=generator,
        )
