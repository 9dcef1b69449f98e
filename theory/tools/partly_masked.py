"""Conditional laws of the oracle given the values of a partly masked state."""

from fractions import Fraction

from theory.tools import oracle
from theory.tools.oracle import Law, State

MASK = -1
"""What stands for a masked coordinate of a state."""

Row = dict[int, Fraction]
"""The law of one coordinate."""


def restricted(law: Law, seen: State) -> Law:
    """The part of the law that agrees with the unmasked values, not normalised."""
    return {
        x: p for x, p in law.items() if all(v in (MASK, w) for v, w in zip(seen, x, strict=True))
    }


def conditional(law: Law, seen: State) -> list[Row]:
    """The law of each coordinate given the unmasked values; a value of probability 0 may lack."""
    fits = restricted(law, seen)
    total = sum(fits.values())
    return oracle.marginals({x: p / total for x, p in fits.items()})


def with_values(seen: State, values: dict[int, int]) -> State:
    """The state with some coordinates set to the given values."""
    return tuple(values.get(d, v) for d, v in enumerate(seen))
