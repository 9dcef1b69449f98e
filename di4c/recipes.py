r"""The published recipes of Di4C as data: times, weights, teacher step, and distillation rule.

`CIFAR10`, `IMAGENET` and `OPENWEBTEXT` are the published recipes. `dataclasses.replace` makes a
variant of a recipe. Time runs from 0 (data) to the horizon 1 (noise); MaskGIT's r is 1 - t.

Source of every number: Hayakawa et al., ICML 2025, experiments and code.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.rng import Generator, uniform
from di4c.teacher_steps import ConfidenceTeacher, TeacherMove, exact_step

Device = torch.device | str | None


@dataclass(frozen=True)
class LogUniformGap:
    r"""Times with a log-uniform gap: $t - u = e^{\mathrm{U}(\log a, \log b)}$.

    Given the gap, t is uniform on [first + gap, 1].

    Attributes:
        first: smallest possible time u.
        shortest: a, the shortest possible gap.
        longest: b, the longest possible gap.
    """

    first: float = 0.01
    shortest: float = 0.001
    longest: float = 0.01

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        draws = uniform((batch, 2), generator=generator, device=device).T
        gap = self.shortest * (self.longest / self.shortest) ** draws[0]
        t = self.first + gap + (1 - self.first - gap) * draws[1]
        return t, t - gap


@dataclass(frozen=True)
class FixedGap:
    r"""Times with a fixed gap: $t \sim \mathrm{U}(0, 1)$ and $u = \max(t - \text{gap}, 0)$.

    Attributes:
        gap: difference of t and u.
    """

    gap: float = 0.05

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        t = 1 - uniform((batch,), generator=generator, device=device)  # in (0, 1]
        return t, (t - self.gap).clamp_min(0)


@dataclass(frozen=True)
class FixedRatio:
    r"""Times with a fixed ratio: $t \sim \mathrm{U}(0, 1)$ and $u = \rho t$, a long jump.

    Attributes:
        ratio: rho, at least 0 and below 1.

    Raises:
        ValueError: If the ratio lies outside [0, 1).
    """

    ratio: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise ValueError(f"ratio must lie in [0, 1), as u = ratio * t; got {self.ratio}")

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        t = 1 - uniform((batch,), generator=generator, device=device)  # in (0, 1]
        return t, self.ratio * t


@dataclass(frozen=True)
class SmallTimesOften:
    r"""Times that are often small, with $t - u = \min(g, t/2)$.

    With probability `share` t is uniform on (0, split), otherwise on (split, 1).

    The published code differs in one respect: it masks $x_0$ at the next multiple of 1/1024 above
    t, not at t itself. At t = 1e-4 it masks one of 1024 tokens on average, we mask a tenth of one.

    Attributes:
        split: times below it train the distillation loss.
        share: probability of a time below the split.
        gap: g, the length of a teacher step.
    """

    split: float = 0.02
    share: float = 0.3
    gap: float = 1 / 1024

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        which, place = uniform((batch, 2), generator=generator, device=device).T
        place = 1 - place  # in (0, 1]: t = 0 has no step before it
        below = which < self.share
        t = torch.where(below, self.split * place, self.split + (1 - self.split) * place)
        return t, t - (t / 2).clamp_max(self.gap)


@dataclass(frozen=True)
class Weight:
    r"""The weight $\alpha_t$ of the correlation part of the data loss: scale times shape.

    Attributes:
        scale: factor, at least 0; 0 switches the term off.
        shape: function of t: "constant" is 1, "linear" is t, "sigmoid" is $\sigma(20 (t - 1/2))$.

    Raises:
        ValueError: If the shape is unknown or the scale is negative.
    """

    scale: float = 1.0
    shape: str = "sigmoid"

    def __post_init__(self) -> None:
        if self.shape not in _WEIGHT_SHAPES:
            names = ", ".join(map(repr, _WEIGHT_SHAPES))
            raise ValueError(f"shape must be one of {names}; got {self.shape!r}")
        if not self.scale >= 0:
            raise ValueError(f"scale must be >= 0; got {self.scale}: use 0 to switch the term off")

    def __call__(self, t: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """The weight at t, (B,)."""
        return self.scale * _WEIGHT_SHAPES[self.shape](t)


_WEIGHT_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": torch.ones_like,
    "linear": lambda t: t,
    "sigmoid": lambda t: torch.sigmoid(20 * (t - 0.5)),
}


@dataclass(frozen=True)
class SeparateDistillation:
    """Distillation at one fixed small time, in addition to consistency training at x_t.

    Every example takes part. Each of its latents gets its own noisy state at that time.

    Attributes:
        time: delta, the fixed time.
        weight: factor of the distillation loss.
    """

    time: float = 0.01
    weight: float = 1.0

    def active(self, t: Float[Tensor, "batch"]) -> Tensor:
        """Which examples train distillation instead of consistency: none, (B,), bool."""
        return torch.zeros_like(t, dtype=torch.bool)


@dataclass(frozen=True)
class DistillationBelow:
    """Examples with a small t train distillation at x_t; all others train consistency.

    Attributes:
        time: times below it train distillation.
        weight: factor of the distillation loss.
        inclusive: whether t = time trains distillation, too.
    """

    time: float
    weight: float = 1.0
    inclusive: bool = False

    def active(self, t: Float[Tensor, "batch"]) -> Tensor:
        """Which examples train distillation instead of consistency, (B,), bool."""
        # Compare 1 - t, because t = 1 - r has a rounding error: r = 0.95 must equal 1 - 0.05.
        return 1 - t >= 1 - self.time if self.inclusive else t < self.time


@dataclass(frozen=True)
class Recipe:
    """All choices of a Di4C training that do not depend on the network or the data.

    Attributes:
        times: how the time t and the earlier time u of an example are drawn.
        data_weight: weight alpha_t of -log p(x_0) in the data loss, or of its correlation part if
            data_control_variate is set.
        distillation: which examples train the distillation loss, at which times.
        num_latents: L, the number of latents drawn for each example.
        teacher_move: how the teacher steps from x_t to x_u.
        teacher_steps: number of equal teacher steps from t to u. A single step is a product, so a
            long jump in one step teaches no correlations.
        control_variate: whether the consistency loss is split into a correlation and a marginal
            part. This is safe, because the marginals of its target are exact.
        data_control_variate: whether the data loss is split in this way, with the marginals of the
            teacher in place of those of the data. All published recipes do so. The minimiser is
            then wrong for every teacher whose marginals are not those of the data, and the loss can
            be unbounded below (`theory/losses/data_term.py`).
        data_marginal_weight: weight of the marginal part KL(teacher || student) in the data loss;
            1 in the published recipes. It should not exceed the weight alpha_t: estimated from L
            latents, it charges a student for using its latent (`theory/losses/latent_batch.py`).
        stratified: whether the L latents of an example are stratified (one in each of L equally
            likely cells) instead of independent.

    Raises:
        ValueError: If there is no latent or no teacher step, a weight is negative, or a teacher
            move that must start from x_t is to be repeated.
    """

    times: LogUniformGap | FixedGap | FixedRatio | SmallTimesOften
    data_weight: Weight
    distillation: SeparateDistillation | DistillationBelow
    num_latents: int
    teacher_move: TeacherMove = exact_step
    teacher_steps: int = 1
    control_variate: bool = True
    data_control_variate: bool = False
    data_marginal_weight: float = 0.0
    stratified: bool = False

    def __post_init__(self) -> None:
        if self.num_latents < 1:
            raise ValueError(
                f"num_latents must be at least 1; got {self.num_latents}: draw some latents"
            )
        if self.teacher_steps < 1:
            raise ValueError(f"teacher_steps must be at least 1; got {self.teacher_steps}")
        if self.teacher_steps > 1 and self.teacher_move is not exact_step:
            raise ValueError(
                f"teacher_steps must be 1 for a teacher_move other than exact_step; got "
                f"{self.teacher_steps}"
            )
        if not self.data_marginal_weight >= 0:
            raise ValueError(
                f"data_marginal_weight must be >= 0; got {self.data_marginal_weight}: 0 switches "
                "the marginal part of the data loss off"
            )


CIFAR10 = Recipe(
    times=LogUniformGap(first=0.01, shortest=0.001, longest=0.01),
    data_weight=Weight(scale=1.0, shape="sigmoid"),
    distillation=SeparateDistillation(time=0.01, weight=1.0),
    num_latents=16,
    teacher_move=exact_step,
    data_control_variate=True,
    data_marginal_weight=1.0,
)
"""Pixels under discretised Gaussian noise.

Published training: batch 8, Adam with learning rate 2e-4, EMA 0.9999, gradient clip 1, 320 000
iterations.
"""

IMAGENET = Recipe(
    times=FixedGap(gap=0.05),
    data_weight=Weight(scale=0.1, shape="sigmoid"),
    distillation=DistillationBelow(time=0.05, weight=1 / 0.05, inclusive=True),
    num_latents=32,
    teacher_move=ConfidenceTeacher(temperature=4.5, num_steps=8, schedule="arccos"),
    data_control_variate=True,
    data_marginal_weight=1.0,
)
"""MaskGIT tokens under masked noise; the paper calls this recipe "di4c-d".

The paper's "di4c" has data_weight=Weight(0.0). Published training: about 30 000 iterations.
"""

OPENWEBTEXT = Recipe(
    times=SmallTimesOften(split=0.02, share=0.3, gap=1 / 1024),
    data_weight=Weight(scale=0.1, shape="sigmoid"),
    distillation=DistillationBelow(time=0.02, weight=1.0, inclusive=False),
    num_latents=16,
    teacher_move=exact_step,
    data_control_variate=True,
    data_marginal_weight=1.0,
)
"""GPT-2 tokens under masked noise, with an SDTT teacher.

Published training: AdamW with learning rate 3e-5, 2 500 warm-up steps, gradient clip 1, bfloat16,
EMA 0.9999.
"""
