r"""Arithmetic in two worlds: floats that autograd follows, and exact numbers.

Every function works in two worlds. While the laboratory searches, a law is a float64 tensor of
shape (S,) * D, and autograd differentiates through it. While it checks a counterexample, a law is a
numpy array of the same shape that holds exact numbers: rationals (`flint.fmpq`) as long as
possible, and else intervals that contain the true number (`flint.arb`).

The two worlds share no code for sampling: `dense_chain` makes joint laws as tensors, the oracle
sums over states in plain Python. An error in one of them cannot confirm itself.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flint import arb
from torch import Tensor

Array = Any  # a tensor of floats, or a numpy array of exact numbers
Number = Any  # a tensor without axes, or an exact number


def apply(value: Any, tensors: Callable, exact: Callable) -> Any:
    """Apply a function entry by entry, in whichever world the value is; a float stays a float."""
    if isinstance(value, Tensor):
        return tensors(value)
    if isinstance(value, int | float):
        return float(tensors(torch.tensor(value, dtype=torch.float64)))
    if isinstance(value, np.ndarray):
        return np.frompyfunc(exact, 1, 1)(value)
    return exact(value)


def log(x: Any) -> Any:
    """The natural logarithm, entry by entry."""
    return apply(x, torch.log, lambda v: arb(v).log())


def exp(x: Any) -> Any:
    """The exponential function, entry by entry."""
    return apply(x, torch.exp, lambda v: arb(v).exp())


def sqrt(x: Any) -> Any:
    """The square root, entry by entry. In floats a negative value, a rounding error, counts as 0.

    Below 1e-24 the float is a straight line, because the derivative at 0 would be infinite.
    """

    def smooth(v: Tensor) -> Tensor:
        near = v < 1e-24
        return torch.where(near, v.clamp_min(0) * 1e12, v.where(~near, 1.0).sqrt())

    def enclosure(v: Number) -> arb:
        ball = arb(v)
        if ball < 0:
            return arb(0)
        # An interval around 0 has no square root below 0.
        return ball.sqrt() if ball > 0 or ball == 0 else arb(0).union(ball.abs_upper().sqrt())

    return apply(x, smooth, enclosure)


def minimum(first: Number, *others: Number) -> Number:
    """The least of some numbers."""
    return functools.reduce(functools.partial(_extreme, torch.minimum, arb.min, min), others, first)


def maximum(first: Number, *others: Number) -> Number:
    """The largest of some numbers."""
    return functools.reduce(functools.partial(_extreme, torch.maximum, arb.max, max), others, first)


def _extreme(tensors: Callable, balls: Callable, numbers: Callable, a: Number, b: Number) -> Number:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return tensors(*(torch.as_tensor(v, dtype=torch.float64) for v in (a, b)))
    return balls(arb(a), arb(b)) if isinstance(a, arb) or isinstance(b, arb) else numbers(a, b)
