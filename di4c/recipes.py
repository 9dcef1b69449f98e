r"""The published recipes of Di4C as data: times, weights, teacher step, and distillation rule.

`CIFAR10`, `IMAGENET` and `OPENWEBTEXT` are the published recipes. `dataclasses.replace` makes a
variant of a recipe. Time runs from 0 (data) to the horizon 1 (noise); MaskGIT's r is 1 - t.

Source of every number: Hayakawa et al., ICML 2025, experiments and code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import (
    check_choice,
    check_count,
    check_number,
    require_callable,
    require_type,
)
from di4c.kept_latent import KeptLatent
from di4c.latents import Redraw
from di4c.recipe_times import FixedGap, LogUniformGap, SmallTimesOften, Times
from di4c.rng import Generator, uniform
from di4c.start_term import StartTerm
from di4c.teacher_steps import ConfidenceTeacher, TeacherMove, exact_step


@dataclass(frozen=True)
class Weight:
    r"""The weight $\alpha_t$ of the correlation part of the data loss: scale times shape.

    Attributes:
        scale: factor, at least 0; 0 switches the term off.
        shape: function of t: "constant" is 1, "linear" is t, "sigmoid" is $\sigma(20 (t - 1/2))$.

    Raises:
        ValueError: If the shape is unknown, or the scale is negative or infinite.
    """

    scale: float = 1.0
    shape: str = "sigmoid"

    def __post_init__(self) -> None:
        check_choice("shape", self.shape, _WEIGHT_SHAPES)
        check_number("scale", self.scale, remedy="use 0 to switch the term off")

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
    """Distillation at small times, in addition to consistency training at x_t.

    Every example takes part. Each of its latents gets its own time and noisy state.

    Attributes:
        time: delta, the smallest time.
        weight: factor of the distillation loss.
        last: if given, each time is delta with probability 1/2, and otherwise uniform on
            [time, last]. If None, all times are delta.

    Raises:
        ValueError: If a number is negative or infinite, or the last time lies before the first.
    """

    time: float = 0.01
    weight: float = 1.0
    last: float | None = None

    def __post_init__(self) -> None:
        check_number("time", self.time)
        check_number("weight", self.weight)
        if self.last is not None:
            check_number("last", self.last, f"[{self.time}, inf)", "it comes after time")

    def draw(
        self, count: int, generator: Generator | None, device: torch.device | str | None = None
    ) -> Float[Tensor, "row"]:
        """Draw the times, (count,), in float64."""
        if self.last is None:
            return torch.full((count,), self.time, dtype=torch.float64, device=device)
        which, place = uniform((count, 2), generator=generator, device=device).unbind(1)
        return self.time + (self.last - self.time) * torch.where(which < 0.5, 0.0, place)

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

    Raises:
        ValueError: If a number is negative or infinite.
    """

    time: float
    weight: float = 1.0
    inclusive: bool = False

    def __post_init__(self) -> None:
        check_number("time", self.time)
        check_number("weight", self.weight)

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
            be unbounded below (`theory/losses/control_variate/data_term.py`).
        data_marginal_weight: weight of the marginal part KL(teacher || student) in the data loss;
            1 in the published recipes. It should not exceed the weight alpha_t: estimated from L
            latents, it charges a student for using its latent
            (`theory/losses/latents/latent_batch.py`).
        stratified: whether the L latents of an example are stratified (one in each of L equally
            likely cells) instead of independent.
        consistency_weight: factor of the consistency loss; 0 trains on the data alone.
        target_atoms: K, number of atoms of the consistency target; None for L. A product student,
            as in SDTT, has one latent and many atoms.
        start: the start term (`di4c.start_term`); None for none, as published.
        target_dropout: whether the student has dropout while it computes the consistency target.
            The published trainers of MaskGIT and SDTT switch it off, that of tauLDR does not.
        kept: the loss of students whose sampler keeps one latent for all calls
            (`di4c.kept_latent`); None, as published.
        redraw: when a sampler of the student draws its latent, see `di4c.latents.LatentPolicy`:
            anew for each call, as published, or once. A sampler may ask for the other.

    Raises:
        TypeError: If a part of the recipe is of another type.
        ValueError: If there is no latent or no teacher step, a weight is negative or infinite, a
            teacher move that must start from x_t is to be repeated, two losses train data at the
            start, or `kept` and `redraw` disagree.
    """

    times: Times
    data_weight: Weight
    distillation: SeparateDistillation | DistillationBelow
    num_latents: int
    teacher_move: TeacherMove = exact_step
    teacher_steps: int = 1
    control_variate: bool = True
    data_control_variate: bool = False
    data_marginal_weight: float = 0.0
    stratified: bool = False
    consistency_weight: float = 1.0
    target_atoms: int | None = None
    start: StartTerm | None = None
    target_dropout: bool = True
    kept: KeptLatent | None = None
    redraw: Redraw = "per_step"

    @property
    def num_atoms(self) -> int:
        """K, the number of atoms of the consistency target."""
        return self.num_latents if self.target_atoms is None else self.target_atoms

    @property
    def noises_data(self) -> bool:
        """Whether a loss needs the x_0 that a state x_t was made from."""
        return self.data_weight.scale > 0 or self.kept is not None

    @property
    def data_atoms(self) -> int:
        """Number of data of its class that each example needs besides its own; 0 for none."""
        if self.kept is not None:
            return self.kept.states
        return self.start.atoms if self.start is not None and self.start.data_weight else 0

    def __post_init__(self) -> None:
        for name, kind, what in _PARTS:
            require_type(name, getattr(self, name), kind, what)
        require_callable("teacher_move", self.teacher_move)
        check_count("num_latents", self.num_latents, remedy="draw some latents")
        check_count("target_atoms", self.num_atoms)
        check_number("consistency_weight", self.consistency_weight)
        remedy = "0 switches the marginal part of the data loss off"
        check_number("data_marginal_weight", self.data_marginal_weight, remedy=remedy)
        check_count("teacher_steps", self.teacher_steps)
        check_choice("redraw", self.redraw, get_args(Redraw))
        if self.teacher_steps > 1 and self.teacher_move is not exact_step:
            raise ValueError(
                f"teacher_steps must be 1 for a teacher_move other than exact_step; got "
                f"{self.teacher_steps}"
            )
        if self.kept is not None and self.redraw != "fixed":
            raise ValueError(f"redraw must be 'fixed' with kept; got {self.redraw!r}")
        if self.kept is not None and self.start is not None and self.start.data_weight:
            raise ValueError(
                f"start.data_weight must be 0 with kept, which trains data at the start as well; "
                f"got {self.start.data_weight}"
            )


_PARTS = (
    ("times", Times, "a rule for times, such as FixedGap()"),
    ("data_weight", Weight, "a Weight"),
    ("distillation", SeparateDistillation | DistillationBelow, "a rule for distillation"),
    ("start", StartTerm | None, "a StartTerm or None"),
    ("kept", KeptLatent | None, "a KeptLatent or None"),
)

CIFAR10 = Recipe(
    times=LogUniformGap(first=0.01, shortest=0.001, longest=0.01),
    data_weight=Weight(scale=1.0, shape="sigmoid"),
    distillation=SeparateDistillation(time=0.01, weight=1.0, last=0.02),
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
    target_dropout=False,
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
    target_dropout=False,
)
"""GPT-2 tokens under masked noise, with an SDTT teacher.

Published training: AdamW with learning rate 3e-5, 2 500 warm-up steps, gradient clip 1, bfloat16,
EMA 0.9999.
"""
