"""Kernels and stationary laws of chains whose rates differ by many orders of magnitude.

Nothing is subtracted here, so every probability keeps its relative accuracy.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_DOUBLINGS = 60  # at most 2^-60 jumps are expected in the shortest step: one has no error


def kernel_by_squaring(
    rates: Float[Tensor, "source target"], elapsed: Float[Tensor, "*batch"], longest: float
) -> Float[Tensor, "*batch source target"]:
    r"""$e^{\text{elapsed}\, R} = (I + hR)^{2^k}$ with a step h so short that one jump is enough.

    Args:
        rates: R, with rates >= 0 off the diagonal.
        elapsed: times, each at most `longest`.
        longest: a positive number.
    """
    off = rates - rates.diagonal().diag()
    (_, rate_power), (_, time_power) = (math.frexp(x) for x in (float(off.max()), longest))
    doublings = max(0, rate_power + time_power) + _DOUBLINGS
    # Both factors stay in range where their product would underflow.
    step = elapsed * 2.0**-time_power * 2.0 ** (rate_power + time_power - doublings)
    jumps = step[..., None, None] * (off.to(elapsed) * 2.0**-rate_power)
    kernel = jumps + torch.eye(len(rates), dtype=elapsed.dtype, device=elapsed.device)
    for _ in range(doublings):
        kernel = kernel / kernel.sum(-1, keepdim=True)
        kernel = kernel @ kernel
    return kernel / kernel.sum(-1, keepdim=True)


def is_stationary(law: Float[Tensor, "state"], rates: Float[Tensor, "source target"]) -> bool:
    """Whether as much flows into each state as out of it."""
    out = law * rates.diagonal().abs()
    return bool(((law @ rates).abs() <= 1e-9 * out + 1e-15 * out.max()).all())


def law_by_elimination(rates: Float[Tensor, "source target"]) -> Float[Tensor, "state"]:
    r"""Solve $\pi R = 0$ by the elimination of Grassmann, Taksar and Heyman.

    Returns:
        (S,), sums to 1. It is not finite unless all states lead to one and the same.
    """
    paths = (rates > 0).double() + torch.eye(len(rates), dtype=torch.float64)
    for _ in range(len(rates).bit_length()):
        paths = (paths @ paths).clamp_max(1.0)
    first = int((paths > 0).all(0).int().argmax())  # all others lead to this state
    order = (torch.arange(len(rates)) + first) % len(rates)
    left = (rates - rates.diagonal().diag())[order][:, order] / rates.abs().max()
    for n in range(len(left) - 1, 0, -1):
        left[:n, n] /= left[n, :n].sum()
        left[:n, :n] += left[:n, n, None] * left[n, :n]
    law = torch.ones(len(left), dtype=left.dtype)
    for n in range(1, len(left)):
        law[n] = law[:n] @ left[:n, n]
    return (law / law.sum())[order.argsort()]
