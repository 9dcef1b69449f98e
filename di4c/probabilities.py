"""Laws given by a user: checked to be probabilities and converted to float64."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_TOLERANCE = 1e-9  # largest error of a sum in float64
_ROUNDINGS = 8  # largest error of a sum in a shorter type, in units of its machine epsilon


def as_probabilities(name: str, probs: Any) -> Float[Tensor, "*batch state"]:
    """Probabilities in float64, checked to be laws over the last axis.

    A law in float64 is returned as it is. A law in a shorter type sums to 1 only up to rounding, so
    it is divided by its sum.

    Args:
        name: what to call the argument in errors.
        probs: a tensor, an array or a list, (..., S).

    Returns:
        (..., S), float64.

    Raises:
        ValueError: If an entry is negative or not finite, or a sum is not 1.
    """
    if not isinstance(probs, Tensor):
        probs = torch.as_tensor(np.asarray(probs))  # a list of floats is float64
    wide = probs.double()
    if not bool(torch.isfinite(wide).all()) or bool((wide < 0).any()):
        raise ValueError(
            f"{name} must be finite and non-negative; its smallest entry is {float(wide.min())}"
        )
    totals = wide.sum(-1, keepdim=True)
    worst = float(totals.flatten()[(totals - 1).abs().argmax()])
    short = probs.is_floating_point() and probs.dtype != torch.float64
    tolerance = _ROUNDINGS * torch.finfo(probs.dtype).eps if short else _TOLERANCE
    if abs(worst - 1) > tolerance:
        raise ValueError(
            f"{name} must sum to 1; it sums to {worst!r}: divide by the sum (in float64)"
        )
    return wide / totals if short else wide
