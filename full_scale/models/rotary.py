"""Rotary positions: attention that depends on how far apart two tokens are."""

import torch
from jaxtyping import Float
from torch import Tensor

_BASE = 10000.0


def rotary_frequencies(head_size: int, device: torch.device | None = None) -> Tensor:
    r"""$10000^{-2i / h}$ for i = 0..h/2 - 1, float32."""
    index = torch.arange(0, head_size, 2, dtype=torch.float32, device=device)
    return 1 / _BASE ** (index / head_size)


def rotary_table(
    num_positions: int, num_tokens: int, head_size: int, like: Tensor
) -> Float[Tensor, "2 token half"]:
    """Cosine and sine of each token's angles, for all blocks; `like` says dtype and device.

    Tokens from num_positions on have no position: angle 0.
    """
    positions = torch.arange(num_tokens, dtype=torch.float32, device=like.device)
    positions = torch.where(positions < num_positions, positions, 0.0)
    angles = positions[:, None] * rotary_frequencies(head_size, like.device)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def rotate(
    x: Float[Tensor, "*batch token feature"], table: Float[Tensor, "2 token half"]
) -> Float[Tensor, "*batch token feature"]:
    r"""Turn the pair (i, i + h/2) of the token at position k by $k f_i$.

    Source: Su et al. 2021; halves, not neighbours, make a pair.
    """
    cosine, sine = table
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
