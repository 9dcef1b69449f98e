"""The Di4C recipes by name: those of the paper, and one for the digits."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    LogUniformGap,
    Recipe,
    Weight,
)
from di4c.rng import Generator, uniform


@dataclass(frozen=True)
class NoiseOften(LogUniformGap):
    """As `LogUniformGap`, but with probability `share` t is uniform on [noisy, 1].

    Attributes:
        noisy: time after which x_t tells nearly nothing of x_0.
        share: how often to draw such a time.
    """

    noisy: float = 0.75
    share: float = 0.5

    def draw(
        self, batch: int, generator: Generator | None, device: torch.device | str | None = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair an example, float64."""
        t, u = super().draw(batch, generator, device)
        which, place = uniform((batch, 2), generator=generator, device=device).unbind(1)
        late = torch.where(which < self.share, self.noisy + (1 - self.noisy) * place, t)
        return late, late - (t - u)


DIGITS = replace(
    CIFAR10,
    times=NoiseOften(shortest=0.01, longest=0.1),
    distillation=DistillationBelow(0.05),
)
"""CIFAR-10's recipe for a few hundred iterations in place of 320 000: teacher steps ten times as
long; half of the times where x_t is nearly noise, as at the first of few steps; and distillation
of the example's own x_t where t < 0.05, which halves the cost of a step."""

METHODS: dict[str, Recipe] = {
    "cifar10": CIFAR10,
    "imagenet-d": IMAGENET,
    "imagenet": replace(IMAGENET, data_weight=Weight(0.0)),
    "openwebtext": OPENWEBTEXT,
    "digits": DIGITS,
}
"""What `Run.method` may name beside "teacher"."""
