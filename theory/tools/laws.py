"""Data laws and noise rates that several claims use.

Exact laws (`oracle.Law`, fractions): `rational_law`, `uniform_on`, `zero_sum_law`, `parity` and
`repetition`. Float laws (tensors over all states): `sparse_law`. Noise: `rational_rates` and
`cycle`.
"""

import random
from collections.abc import Callable, Iterable
from fractions import Fraction

import torch
from torch import Tensor

from di4c.processes import RateMatrixProcess
from theory.tools.finite_mixture import random_law
from theory.tools.oracle import Law, State, all_states, law_from


def rational_law(rng: random.Random, num_dims: int, num_states: int, least: int = 1) -> Law:
    """A random law with small rational probabilities.

    The weights are integers from `least` to 12. Negative weights count as 0, so that least <= 0
    makes some probabilities vanish.
    """
    weights = [max(0, rng.randint(least, 12)) for _ in range(num_states**num_dims)]
    return law_from([Fraction(w, sum(weights)) for w in weights], num_dims, num_states)


def uniform_on(support: Iterable[State], num_dims: int, num_states: int) -> Law:
    """The uniform law on the given states."""
    chosen = set(support)
    return {x: Fraction(x in chosen, len(chosen)) for x in all_states(num_dims, num_states)}


def zero_sum_law(num_dims: int, num_states: int) -> Law:
    r"""The uniform law on the states with $\sum_d x^d \equiv 0 \bmod S$."""
    even = (x for x in all_states(num_dims, num_states) if sum(x) % num_states == 0)
    return uniform_on(even, num_dims, num_states)


def parity(num_dims: int) -> Law:
    """The uniform law on the bit strings with an even sum."""
    return zero_sum_law(num_dims, 2)


def repetition(num_dims: int) -> Law:
    """All bits are equal; 0...0 and 1...1 have probability 1/2 each."""
    return uniform_on([(0,) * num_dims, (1,) * num_dims], num_dims, 2)


def sparse_law(generator: torch.Generator, num_dims: int, num_states: int) -> Tensor:
    """A random law of which about half the probabilities are 0, as a vector over S^D."""
    law = random_law(generator, num_states**num_dims)
    law *= torch.rand(len(law), generator=generator, dtype=torch.float64) < 0.5
    return law / law.sum()


def rational_rates(rng: random.Random, num_states: int) -> list[list[Fraction]]:
    """A random matrix of rational rates, rows summing to 0; about a third of the rates are 0.

    Such a process is in general not reversible.
    """
    rows = []
    for i in range(num_states):
        row = [Fraction(max(0, rng.randint(-2, 5)), 4) for _ in range(num_states)]
        row[i] = Fraction(0)
        row[i] = -sum(row)
        rows.append(row)
    return rows


def cycle(
    horizon: float = 1.0, integrated_rate: Callable[[Tensor], Tensor] = lambda t: t
) -> RateMatrixProcess:
    """A process on three states that prefers one direction of rotation: it is not reversible."""
    rates = torch.tensor([[-1, 0.8, 0.2], [0, -0.5, 0.5], [0.7, 0, -0.7]], dtype=torch.float64)
    return RateMatrixProcess(rates, horizon, integrated_rate=integrated_rate)
