"""Random noise with rates of its own for each coordinate, and generators that do not commute."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from di4c.processes import CoordinateProcesses, PiecewiseProcess, RateMatrixProcess


def random_rates(rng: np.random.Generator, num_dims: int, num_states: int) -> Tensor:
    """Positive random rate matrices, one for each coordinate, (D, S, S)."""
    rates = rng.uniform(0.2, 1.2, (num_dims, num_states, num_states))
    for row in rates:
        np.fill_diagonal(row, 0)
        np.fill_diagonal(row, -row.sum(1))
    return torch.from_numpy(rates)


def own_rates(pieces: Sequence[Tensor], horizon: float) -> CoordinateProcesses:
    """The process with these rate matrices, (D, S, S), in equal parts of the horizon."""
    each = horizon / len(pieces)
    return CoordinateProcesses(
        [
            PiecewiseProcess([RateMatrixProcess(rates[d], each) for rates in pieces])
            for d in range(len(pieces[0]))
        ]
    )


def random_noise(
    rng: np.random.Generator, num_dims: int, num_states: int, num_pieces: int = 2
) -> tuple[Tensor, CoordinateProcesses]:
    """A random law of full support, (S^D,), and random noise that does not commute over time."""
    law = torch.from_numpy(rng.uniform(0.3, 1.5, num_states**num_dims))
    pieces = [random_rates(rng, num_dims, num_states) for _ in range(num_pieces)]
    return law / law.sum(), own_rates(pieces, rng.uniform(0.6, 1.4))


def over_time(process: CoordinateProcesses, nodes: int = 12) -> Iterator[tuple[float, float]]:
    """Times and weights of a Gauss-Legendre quadrature over [0, T], between the breaks."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    cuts = sorted({0.0, *process.breaks, process.horizon})
    for first, last in itertools.pairwise(cuts):
        for point, weight in zip(points, weights, strict=True):
            yield first + (last - first) * (1 + point) / 2, (last - first) * weight / 2
