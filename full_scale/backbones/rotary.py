"""Rotary positions: attention that depends on how far apart two tokens are."""

import torch
from jaxtyping import Float
from torch import Tensor

_BASE = 10000.0


def rotary_frequencies(head_size: int, device: torch.device | None = None) -> Tensor:
    r"""$10000^{-2i / h}$ for i = 0..h/2 - 1, float32."""
    index = torch.arange(0, head_size, 2, dtype=torch.float32, device=device)
    return 1 / _BASE ** (index / head_size)


def rotate(
    x: Float[Tensor, "batch head token feature"], num_positions: int
) -> Float[Tensor, "batch head token feature"]:
    r"""Turn the pair (i, i + h/2) of token k by $k f_i$; tokens from num_positions on stay.

    Source: Su et al. 2021; halves, not neighbours, make a pair.
    """
    frequencies = rotary_frequencies(x.shape[-1], x.device)
    positions = torch.arange(x.shape[2], dtype=torch.float32, device=x.device)
    positions = torch.where(positions < num_positions, positions, 0.0)
    angles = positions[:, None] * frequencies
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
