"""The recipes of Di4C by name, as `python -m full_scale.train --recipe NAME` takes them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.recipe_times import LogUniformGap
from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    FixedGap,
    Recipe,
    Weight,
)
from di4c.rng import Generator, uniform


@dataclass(frozen=True)
class NoiseOften(LogUniformGap):
    """Times as in `LogUniformGap`, but with probability `share` t is uniform on [noisy, 1].

    Attributes:
        noisy: after this time x_t tells nearly nothing about x_0.
        share: probability that t is drawn uniformly from [noisy, 1].
    """

    noisy: float = 0.75
    share: float = 0.5

    def draw(
        self, batch: int, generator: Generator | None, device: torch.device | str | None = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair for each example, float64."""
        t, u = super().draw(batch, generator, device)
        which, place = uniform((batch, 2), generator=generator, device=device).unbind(1)
        late = torch.where(which < self.share, self.noisy + (1 - self.noisy) * place, t)
        return late, late - (t - u)


DIGITS = replace(
    CIFAR10,
    times=NoiseOften(shortest=0.01, longest=0.1),
    distillation=DistillationBelow(0.05),
)
"""The recipe of CIFAR-10, changed for a training of some hundred steps instead of 320 000.

The steps of the teacher are ten times as long. Half of the times are drawn where x_t is nearly
noise, as it is in the first of few sampling steps. Where t < 0.05, the distillation loss takes the
x_t of the example and no further noisy state, which halves the cost of a training step.
"""

WORDS = Recipe(
    times=FixedGap(0.1),
    data_weight=Weight(0.0),
    distillation=DistillationBelow(0.05, weight=1 / 0.05, inclusive=True),
    num_latents=64,
    stratified=True,
)
"""Pure distillation for words: consistency and distillation, without a data loss."""

RECIPES: dict[str, Recipe] = {
    "cifar10": CIFAR10,
    "imagenet-d": IMAGENET,
    "imagenet": replace(IMAGENET, data_weight=Weight(0.0)),
    "openwebtext": OPENWEBTEXT,
    "digits": DIGITS,
    "words": WORDS,
    "words-data": replace(WORDS, data_weight=Weight(0.1, "constant")),
}
"""The names that `full_scale.training.config.Run.recipe` may have besides "teacher".

All but "digits", "words" and "words-data" are the paper's. "words-data" adds 0.1 times the negative
log-likelihood of the data.
"""
