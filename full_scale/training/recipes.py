"""The recipes of Di4C by name, as `python -m full_scale.train --recipe NAME` takes them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.kept_latent import KeptLatent
from di4c.recipe_times import FixedGap
from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    Recipe,
    SeparateDistillation,
    Weight,
)
from di4c.rng import Generator, uniform
from di4c.start_term import StartTerm
from di4c.teacher_steps import exact_step


@dataclass(frozen=True)
class RarelyNoise(FixedGap):
    """Times as in `FixedGap`, but t is rarely drawn where x_t tells nearly nothing about x_0.

    With probability `share` t is uniform on [noisy, 1], and u = noisy - gap. Such a long jump costs
    one teacher step: x_u still has nearly no correlations, so a product step is nearly exact.
    Otherwise t is uniform on (first, noisy].

    Attributes:
        noisy: after this time x_t tells nearly nothing about x_0.
        share: probability that t is drawn from [noisy, 1].
    """

    noisy: float = 0.75
    share: float = 0.2

    def draw(
        self, batch: int, generator: Generator | None, device: torch.device | str | None = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair for each example, float64."""
        which, place = uniform((batch, 2), generator=generator, device=device).unbind(1)
        place = 1 - place  # in (0, 1]
        late = self.noisy + (1 - self.noisy) * place
        early = self.first + (self.noisy - self.first) * place
        t = torch.where(which < self.share, late, early)
        return t, (t.clamp_max(self.noisy) - self.gap).clamp_min(0)


OWN = Recipe(
    times=FixedGap(0.1),
    data_weight=Weight(0.3, "constant"),
    distillation=SeparateDistillation(0.15, weight=1.0, last=0.5),
    num_latents=32,
    stratified=True,
    start=StartTerm(weight=0.0, data_weight=1.0, atoms=1024, latent_factor=8),
)
"""For one's own language model: consistency, distillation, likelihood at x_t and at the start."""

WORDS = replace(
    OWN,
    times=FixedGap(0.1, first=0.45),
    data_weight=Weight(0.0),
    distillation=SeparateDistillation(0.1, weight=3.0, last=0.5),
    num_latents=64,
    consistency_weight=0.0,
    start=None,
    kept=KeptLatent(pool=1024, states=256),
    redraw="fixed",
)
"""For words: likelihood of x_0 with a latent that is kept for all calls, and distillation.

With samples of the teacher as x_0 this is pure distillation. At small times the teacher alone
trains the student.
"""

MNIST_TOKENS = replace(
    WORDS,
    times=FixedGap(0.1),
    distillation=SeparateDistillation(0.15, weight=1.0, last=0.6),
    num_latents=32,
    kept=KeptLatent(pool=256, states=128),
)
"""For codes of MNIST images, as for words, with a kept latent at all times."""

DIGITS = replace(
    OWN,
    times=RarelyNoise(0.05, first=0.4),
    data_weight=Weight(1.0, "constant"),
    distillation=SeparateDistillation(0.1, weight=1.0, last=0.5),
    start=StartTerm(0.0, atoms=128, data_weight=0.5, latent_factor=2),
    redraw="fixed",
)
"""For images of digits, as for one's own model, but with a sampler that keeps its latent.

At small times, where x_t leaves nearly no correlations, distillation alone trains the student.
"""


def repaired(recipe: Recipe) -> Recipe:
    """A published recipe with a sound data term: 0.1 times -log p(x_0), and no marginal part.

    The published data term has a control variate whose minimiser is wrong for every teacher whose
    marginals are not those of the data, and a marginal part that charges a student for using its
    latent (docs/lessons.md). The latents are stratified, which lowers the bias of a finite batch.
    """
    return replace(
        recipe,
        data_weight=Weight(0.1, "constant"),
        data_control_variate=False,
        data_marginal_weight=0.0,
        stratified=True,
    )


def _data_alone(recipe: Recipe) -> Recipe:
    """All times, because no distillation trains the small ones."""
    return replace(
        recipe,
        times=replace(recipe.times, first=0.0),
        consistency_weight=0.0,
        distillation=DistillationBelow(0.0, weight=0.0),
        data_weight=recipe.data_weight if recipe.kept else Weight(1.0, "constant"),
    )


def _product(recipe: Recipe) -> Recipe:
    """A student with one latent, on the target of the consistency loss."""
    atoms = recipe.num_latents
    own = replace(recipe, num_latents=1, target_atoms=atoms, data_weight=Weight(0.0), start=None)
    return replace(own, redraw="per_step")


_OURS = {"digits": DIGITS, "mnist-tokens": MNIST_TOKENS, "words": WORDS}

RECIPES: dict[str, Recipe] = {
    "cifar10": CIFAR10,
    "imagenet-d": IMAGENET,
    "imagenet": replace(IMAGENET, data_weight=Weight(0.0)),
    "openwebtext": OPENWEBTEXT,
    "cifar10-ours": repaired(CIFAR10),
    "imagenet-ours": repaired(IMAGENET),
    "openwebtext-ours": repaired(OPENWEBTEXT),
    "own": OWN,
    **_OURS,
    **{f"{name}-data-alone": _data_alone(recipe) for name, recipe in _OURS.items()},
    "digits-product": _product(DIGITS),
    "mnist-tokens-product": _product(
        replace(
            OWN,
            times=FixedGap(0.05),
            distillation=SeparateDistillation(0.15, weight=2.0, last=0.5),
        )
    ),
    "words-product": _product(OWN),
    "mnist-tokens-published": IMAGENET,
    "words-published": replace(IMAGENET, teacher_move=exact_step, num_latents=16),
}
"""The names that `full_scale.training.config.Run.recipe` may have besides "teacher".

The first four are the paper's, all others are ours. "-ours" is a published recipe with a sound data
term (`repaired`). "-data-alone" has the likelihood of the data and no other loss. "-product" trains
a student with one latent, which is a product, on the target of a consistency loss.
"""
