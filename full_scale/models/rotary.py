"""Rotary positions: attention depends on the distance between two tokens."""

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
    """Cosine and sine of each token's angles, for all blocks.

    Args:
        num_positions: tokens from this one on have no position; their angle is 0.
        num_tokens: number of tokens.
        head_size: number of features of a head; even.
        like: a tensor whose dtype and device the table gets.
    """
    positions = torch.arange(num_tokens, dtype=torch.float32, device=like.device)
    positions = torch.where(positions < num_positions, positions, 0.0)
    angles = positions[:, None] * rotary_frequencies(head_size, like.device)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def rotate(
    x: Float[Tensor, "*batch token feature"], table: Float[Tensor, "2 token half"]
) -> Float[Tensor, "*batch token feature"]:
    r"""Rotate the pair of features (i, i + h/2) of the token at position k by the angle $k f_i$.

    Source: Su et al. 2021. There, neighbouring features make a pair; here the two halves do.
    """
    cosine, sine = table
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
