"""Random laws of many kinds, as log-weights: where the search for a counterexample starts.

Each kind is a place where statements about few-step sampling are known to break: zeros, near
independence, even parity, equal coordinates, symmetry, and tree-shaped dependence.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SPREADS = (0.3, 1.0, 2.0, 4.0)  # of the log-weights of uneven laws


def dense(size: int, generator: torch.Generator) -> Tensor:
    """Full support; the weights are log-normal with a random spread."""
    spread = SPREADS[_pick(len(SPREADS), generator)]
    return spread * torch.randn(size, generator=generator, dtype=torch.float64)


def sparse(size: int, generator: torch.Generator) -> Tensor:
    """A random number of states, at least two, has positive probability."""
    kept = 2 + _pick(max(1, size - 1), generator)
    weights = dense(size, generator)
    weights[torch.randperm(size, generator=generator)[kept:]] = -math.inf
    return weights


def near_product(num_states: int, num_dims: int, generator: torch.Generator) -> Tensor:
    """Independent coordinates, perturbed by a little."""
    single = torch.randn(num_dims, num_states, generator=generator, dtype=torch.float64)
    total = sum(single[d][x] for d, x in enumerate(_columns(num_states, num_dims)))
    return total + 10 ** -(2 * _share(generator)) * dense(num_states**num_dims, generator)


def near_set(chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Mostly on a set of states; the rest has little weight or none."""
    rest = (-math.inf, -8.0, -4.0, -2.0)[_pick(4, generator)]
    tilt = 0.0 if _pick(2, generator) else 1.0
    return torch.where(chosen, 0.0, rest) + tilt * dense(len(chosen), generator)


def near_parity(num_states: int, num_dims: int, generator: torch.Generator) -> Tensor:
    """Mostly on the states whose sum is a fixed number modulo S."""
    total = sum(_columns(num_states, num_dims)) % num_states
    return near_set(total == _pick(num_states, generator), generator)


def near_repetition(num_states: int, num_dims: int, generator: torch.Generator) -> Tensor:
    """Mostly on the states whose coordinates are all equal."""
    columns = _columns(num_states, num_dims)
    return near_set(torch.stack([c == columns[0] for c in columns]).all(0), generator)


@functools.cache
def orbits(num_states: int, num_dims: int) -> Tensor:
    """For each state the number of its orbit: states that differ in the order have the same."""
    keys = [tuple(sorted(x)) for x in itertools.product(range(num_states), repeat=num_dims)]
    number = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return torch.tensor([number[key] for key in keys])


def exchangeable(num_states: int, num_dims: int, generator: torch.Generator) -> Tensor:
    """The order of the coordinates does not matter; some orbits may have no weight."""
    index = orbits(num_states, num_dims)
    make = (dense, sparse)[_pick(2, generator)]
    return make(int(index.max()) + 1, generator)[index]


def tree(num_states: int, num_dims: int, generator: torch.Generator) -> Tensor:
    """Each coordinate depends on one earlier coordinate, strongly or weakly."""
    columns = _columns(num_states, num_dims)
    total = dense(num_states, generator)[columns[0]]
    for d in range(1, num_dims):
        table = dense(num_states**2, generator).reshape(num_states, num_states)
        if _pick(2, generator):
            table = table + 4 * torch.eye(num_states, dtype=torch.float64)
        total = total + torch.log_softmax(table, 1)[columns[_pick(d, generator)], columns[d]]
    return total


Kind = Callable[[int, int, torch.Generator], Tensor]
KINDS: dict[str, Kind] = {
    "dense": lambda s, d, g: dense(s**d, g),
    "sparse": lambda s, d, g: sparse(s**d, g),
    "near product": near_product,
    "near parity": near_parity,
    "near repetition": near_repetition,
    "exchangeable": exchangeable,
    "tree": tree,
}


def random_law(num_states: int, num_dims: int, generator: torch.Generator) -> Tensor:
    """Log-weights of a law of a random kind, (S^D,)."""
    kinds: Sequence[Kind] = list(KINDS.values())
    return kinds[_pick(len(kinds), generator)](num_states, num_dims, generator)


@functools.cache
def _columns(num_states: int, num_dims: int) -> list[Tensor]:
    """The value of each coordinate at every state."""
    values = torch.arange(num_states)
    return list(torch.cartesian_prod(*[values] * num_dims).reshape(-1, num_dims).T)


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _share(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
