"""Marginals, distances and informations of laws, as tensors or in exact numbers.

See `arithmetic` for the two worlds.
"""

import functools

import numpy as np
import torch
from flint import arb
from torch import Tensor

from theory.lab.arithmetic import Array, Number


def marginal(law: Array, *coordinates: int) -> Array:
    """The joint law of some coordinates. All axes are kept, those of the others have length 1."""
    others = tuple(d for d in range(law.ndim) if d not in coordinates)
    return law.sum(axis=others, keepdims=True) if others else law


def independent(law: Array) -> Array:
    """The product of the marginals."""
    return functools.reduce(lambda a, b: a * b, [marginal(law, d) for d in range(law.ndim)])


def total_variation(p: Array, q: Array) -> Number:
    """Half the sum of |p - q|."""
    return abs(p - q).sum() / 2


def mean_log(weights: Array, values: Array) -> Number:
    r"""$\sum_x w(x) \log v(x)$ over the states with w(x) > 0; -inf if v is 0 at one of them."""
    if isinstance(weights, Tensor):
        seen = weights > 0
        return torch.where(seen, weights * values.where(seen, 1.0).log(), 0.0).sum()
    pairs = np.broadcast(weights, values)
    return sum((w * (arb(v).log() if v != 0 else arb("-inf")) for w, v in pairs if w != 0), arb(0))


def entropy(p: Array) -> Number:
    """The entropy in nats."""
    return -mean_log(p, p)


def kl(p: Array, q: Array) -> Number:
    """KL(p || q) in nats, infinite if q is 0 at a state of p."""
    return mean_log(p, p) - mean_log(p, q)


def total_correlation(law: Array) -> Number:
    """The KL divergence of a law to the product of its marginals, in nats."""
    return kl(law, independent(law))


def mutual_information(law: Array, first: tuple[int, ...], second: tuple[int, ...]) -> Number:
    """The mutual information of two groups of coordinates, in nats."""
    both = marginal(law, *first, *second)
    return kl(both, marginal(law, *first) * marginal(law, *second))
