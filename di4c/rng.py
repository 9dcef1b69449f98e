"""Random draws: every one takes a generator, categorical draws are made in float64."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def categorical(
    probs: Float[Tensor, "*batch state"], *, generator: torch.Generator | None = None
) -> Int[Tensor, "*batch"]:
    """One draw per row by inversion of the float64 cumulative sum.

    Rows need not be normalised. A state of probability zero is never drawn. Float32 noise lowers
    the entropy of draws at large S (tails below 2^-24 vanish), hence float64 whatever comes in.

    Args:
        probs: non-negative weights over the last axis, each row with a positive sum.
        generator: source of randomness, on the device of probs.
    """
    cdf = probs.double().cumsum(-1)
    total = cdf[..., -1:]
    uniform = torch.rand(
        total.shape, dtype=torch.float64, device=probs.device, generator=generator
    )
    # Stay strictly below the total: the first entry above the threshold has positive weight.
    threshold = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cdf, threshold, right=True).squeeze(-1)
