r"""What differs between the experiments of Di4C, as data: times, weights, teacher and distil rule.

Time runs from 0 (data) to the horizon 1 (noise) everywhere; MaskGIT's r is 1 - t. Source of every
number: Hayakawa et al., ICML 2025, experiments and code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.confidence import teacher_step
from di4c.processes import ForwardProcess
from di4c.rng import Generator, uniform

Device = torch.device | str | None


class TeacherLaw(NamedTuple):
    r"""What one teacher call says of $p^\psi_{0|t}(\cdot \mid x_t)$.

    Attributes:
        log_marginals: (B, D, S); all there is to a product teacher.
        x_0: (B, L, D), a draw from each component of a mixture teacher; None for a product.
    """

    log_marginals: Float[Tensor, "batch dim value"]
    x_0: Int[Tensor, "batch latent dim"] | None = None


TeacherMove = Callable[
    [ForwardProcess, TeacherLaw, Tensor, Tensor, Tensor, Generator | None], Tensor
]
"""(process, teacher, x_t (B, L, D), u (B,), t (B,), generator) -> x_u (B, L, D)"""


@dataclass(frozen=True)
class LogUniformGap:
    r"""$t - u = e^{\mathrm{U}(\log a, \log b)}$, t uniform on what is left of [first, 1].

    Attributes:
        first: no time lies below it.
        shortest: a.
        longest: b.
    """

    first: float = 0.01
    shortest: float = 0.001
    longest: float = 0.01

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair an example, float64."""
        draws = uniform((batch, 2), generator=generator, device=device).T
        gap = self.shortest * (self.longest / self.shortest) ** draws[0]
        t = self.first + gap + (1 - self.first - gap) * draws[1]
        return t, t - gap


@dataclass(frozen=True)
class FixedGap:
    r"""$t \sim \mathrm{U}(0, 1)$, $u = \max(t - \text{gap}, 0)$."""

    gap: float = 0.05

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair an example, float64."""
        t = 1 - uniform((batch,), generator=generator, device=device)  # in (0, 1]
        return t, (t - self.gap).clamp_min(0)


@dataclass(frozen=True)
class SmallTimesOften:
    r"""t from (0, split) with probability `share`, else from (split, 1); $t - u = \min(g, t/2)$.

    The published code masks $x_0$ at the multiple of 1/1024 after t instead of at t itself; at
    t = 1e-4 that masks ten times as many of the 1024 tokens, one instead of a tenth.

    Attributes:
        split: times below it are those of the distillation loss.
        share: how often to draw one of them.
        gap: g, the teacher's step.
    """

    split: float = 0.02
    share: float = 0.3
    gap: float = 1 / 1024

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair an example, float64."""
        which, place = uniform((batch, 2), generator=generator, device=device).T
        place = 1 - place  # in (0, 1]: t = 0 has no step before it
        below = which < self.share
        t = torch.where(below, self.split * place, self.split + (1 - self.split) * place)
        return t, t - (t / 2).clamp_max(self.gap)


@dataclass(frozen=True)
class Weight:
    r"""$\alpha_t$, the weight of the data term's correlation part.

    Attributes:
        scale: factor.
        shape: "constant": 1; "linear": t; "sigmoid": $\sigma(20 (t - 1/2))$.
    """

    scale: float = 1.0
    shape: str = "sigmoid"

    def __post_init__(self) -> None:
        """Check what arrived."""
        if self.shape not in _WEIGHT_SHAPES:
            names = ", ".join(map(repr, _WEIGHT_SHAPES))
            raise ValueError(f"shape must be one of {names}; got {self.shape!r}")
        if not self.scale >= 0:
            raise ValueError(f"scale must be >= 0; got {self.scale}: 0 switches the term off")

    def __call__(self, t: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """The weight at t."""
        return self.scale * _WEIGHT_SHAPES[self.shape](t)


_WEIGHT_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": torch.ones_like,
    "linear": lambda t: t,
    "sigmoid": lambda t: torch.sigmoid(20 * (t - 0.5)),
}


@dataclass(frozen=True)
class SeparateDistillation:
    """Every example is distilled at one small time, at states of its own, one for each latent.

    Attributes:
        time: delta.
        weight: factor of the distillation loss.
    """

    time: float = 0.01
    weight: float = 1.0

    def active(self, t: Float[Tensor, "batch"]) -> Tensor:
        """Which examples train distillation instead of consistency: none, (B,), bool."""
        return torch.zeros_like(t, dtype=torch.bool)


@dataclass(frozen=True)
class DistillationBelow:
    """Below a time the example's own x_t is distilled; from there on it trains consistency.

    Attributes:
        time: where the rule changes.
        weight: factor of the distillation loss.
        inclusive: whether t = time is still distilled.
    """

    time: float
    weight: float = 1.0
    inclusive: bool = False

    def active(self, t: Float[Tensor, "batch"]) -> Tensor:
        """Which examples are distilled; the others train consistency. (B,), bool."""
        # Compared from the far end: t = 1 - r is exact there, so that r = .95 meets time = .05.
        return 1 - t >= 1 - self.time if self.inclusive else t < self.time


def exact_step(
    process: ForwardProcess,
    teacher: TeacherLaw,
    x_t: Int[Tensor, "batch latent dim"],
    u: Float[Tensor, "batch"],
    t: Float[Tensor, "batch"],
    generator: Generator | None = None,
) -> Int[Tensor, "batch latent dim"]:
    r"""The teacher's exact step $x_u \sim p^\psi_{u|t}$, in two stages: x_0 first."""
    if teacher.x_0 is not None:
        return process.bridge(teacher.x_0, x_t, u, t, generator=generator)
    probs = teacher.log_marginals.exp()[:, None].expand(-1, x_t.shape[1], -1, -1)
    return process.reverse_step(probs, x_t, u, t, generator=generator)


@dataclass(frozen=True)
class ConfidenceTeacher:
    """MaskGIT's step as the teacher: reveal what the schedule asks for, by noisy confidence.

    Attributes:
        temperature: scale of the Gumbel noise at r = 0.
        num_steps: the sampler's number of steps, over which the noise decays.
        schedule: of the mask ratio.
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
        """One step from t to u."""
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


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        times: draws (t, u).
        data_weight: alpha_t.
        teacher_move: one teacher step from t to u.
        distillation: when and where the distillation loss is taken.
        num_latents: latents for each example.
        control_variate: whether the losses split off their independent part.
        stratified: whether an example's latents are stratified.
    """

    times: LogUniformGap | FixedGap | SmallTimesOften
    data_weight: Weight
    distillation: SeparateDistillation | DistillationBelow
    num_latents: int
    teacher_move: TeacherMove = exact_step
    control_variate: bool = True
    stratified: bool = False

    def __post_init__(self) -> None:
        """Check what arrived."""
        if self.num_latents < 1:
            raise ValueError(
                f"num_latents must be at least 1; got {self.num_latents}: draw some latents"
            )


CIFAR10 = Recipe(
    times=LogUniformGap(),
    data_weight=Weight(),
    distillation=SeparateDistillation(),
    num_latents=16,
)
"""Pixels with a discretised Gaussian: batch 8, Adam 2e-4, EMA .9999, clip 1, 320 000 iterations."""

IMAGENET = Recipe(
    times=FixedGap(),
    data_weight=Weight(0.1),
    distillation=DistillationBelow(0.05, weight=1 / 0.05, inclusive=True),
    num_latents=32,
    teacher_move=ConfidenceTeacher(),
)
"""MaskGIT tokens, "di4c-d"; plain "di4c" has data_weight Weight(0.0). About 30 000 iterations."""

OPENWEBTEXT = Recipe(
    times=SmallTimesOften(),
    data_weight=Weight(0.1),
    distillation=DistillationBelow(0.02),
    num_latents=16,
)
"""GPT-2 tokens from an SDTT teacher: AdamW 3e-5, 2 500 warm-up steps, clip 1, bf16, EMA .9999."""
