"""The weights that latents have in a mixture: a finite law as it is, or 1/L for L draws."""

import torch
from jaxtyping import Float
from torch import Tensor


def uniform_log_weights(
    num_latents: int, device: torch.device | str | None = None
) -> Float[Tensor, "latent"]:
    """Weights 1/L of L sampled latents, as logarithms: (L,), float64.

    Raises:
        ValueError: If there is no latent.
    """
    if num_latents < 1:
        raise ValueError(f"num_latents must be at least 1; got {num_latents}: draw some latents")
    return torch.zeros(num_latents, dtype=torch.float64, device=device).log_softmax(0)
