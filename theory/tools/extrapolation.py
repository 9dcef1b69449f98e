r"""Limits of sequences in 1/N by Richardson extrapolation, also for series with logarithms."""

import itertools
from collections.abc import Callable, Sequence


def extrapolate(values: Sequence[float], orders: Sequence[float] | None = None) -> float:
    r"""The limit of f(h), f(h/2), f(h/4), ...; each order p in turn removes the term $h^p$.

    The orders 1, 2, 3, ... (the default) are right for power series in h. A repeated order also
    removes $h^p \log h$: the orders 1, 1, 2, 2, ... are right for series with logarithms.
    """
    column = list(values)
    for p in orders or range(1, len(column)):
        column = [(2**p * b - a) / (2**p - 1) for a, b in itertools.pairwise(column)]
    return column[-1]


def limit_of_n_times(
    error: Callable[[int], float], first: int, doublings: int, orders: Sequence[float] | None = None
) -> float:
    r"""The limit of N f(N), from N = first, 2 first, 4 first, and so on."""
    sizes = [first * 2**j for j in range(doublings + 1)]
    return extrapolate([n * error(n) for n in sizes], orders)
