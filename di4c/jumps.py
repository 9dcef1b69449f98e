"""How tau-leaping moves a coordinate, given the expected numbers of its jumps."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.rng import Generator, categorical, poisson


def poisson_jumps(
    means: Float[Tensor, "*batch state"],
    x_t: Int[Tensor, "*batch"],
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""$x_t + \sum_k n_k (k - x_t)$ clipped to 0..S-1, with $n_k \sim \mathrm{Poisson}(m_k)$.

    Args:
        means: $m_k$, (..., S), expected number of jumps to each state.
        x_t: states before the jumps, (...).
        generator: source of randomness.
    """
    num_states = means.shape[-1]
    counts = poisson(means, generator=generator)
    offsets = torch.arange(num_states, device=x_t.device) - x_t[..., None]
    return (x_t + (counts * offsets).sum(-1)).clamp(0, num_states - 1).long()


def single_jump(
    means: Float[Tensor, "*batch state"],
    x_t: Int[Tensor, "*batch"],
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""$x_t$ with probability $e^{-\sum m}$, otherwise k with probability proportional to $m_k$.

    Args:
        means: $m_k$, (..., S), expected number of jumps to each state; 0 at $x_t$.
        x_t: states before the jump, (...).
        generator: source of randomness.
    """
    total = means.sum(-1, keepdim=True)
    leave = torch.where(total > 0, -torch.expm1(-total) / total, 0.0)
    law = (means * leave).scatter(-1, x_t[..., None], torch.exp(-total))
    return categorical(law, generator=generator)
