"""What the training objective draws, and what it returns."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor


class Draws(NamedTuple):
    """All random draws of one evaluation, except the samples of the teacher and of the target.

    Attributes:
        t: times, (B,).
        u: earlier times, (B,).
        x_t: states at t, (B, D).
        latents: latents of the student at t, (B, L, ...).
        target_latents: latents of the student at u, one for each target atom, (B, K, ...).
    """

    t: Float[Tensor, "batch"]
    u: Float[Tensor, "batch"]
    x_t: Int[Tensor, "batch dim"]
    latents: Tensor
    target_latents: Tensor


class Objective(NamedTuple):
    """The loss of each example.

    Attributes:
        loss: (B,), the sum of the terms.
        terms: the weighted terms by name (`TERMS`), each (B,).
    """

    loss: Float[Tensor, "batch"]
    terms: dict[str, Float[Tensor, "batch"]]


TERMS = (
    "distillation",
    "data_correlation",
    "data_marginal",
    "consistency_correlation",
    "consistency_marginal",
    "start",
    "kept",
)
