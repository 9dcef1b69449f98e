r"""Rigorous real arithmetic: intervals that provably contain the number (Arb, by python-flint).

In floating point, two formulas for a constant can be compared only up to rounding. Here every
rounding error is bounded, and they can be compared to 1e-30. The interval is called a ball: a
midpoint and a radius. Work inside `precision()`, make balls with `ball`, and compare results with
`distance`, which is an upper bound.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from flint import acb, arb, ctx, fmpq

BITS = 128


@contextmanager
def precision(bits: int = BITS) -> Iterator[None]:
    """Compute with that many bits; 128 bits are about 38 digits."""
    with ctx.workprec(bits):
        yield


def ball(number: Fraction | float | arb) -> arb:
    """A ball that contains the number; its radius is 0 for integers and floats."""
    if isinstance(number, Fraction):
        return arb(fmpq(number.numerator, number.denominator))
    return arb(number)


def integral(
    integrand: Callable[[acb], acb], first: Fraction | float | arb, last: Fraction | float | arb
) -> arb:
    """A ball that contains the integral of a meromorphic function, real on [first, last]."""
    return acb.integral(lambda z, _: integrand(z), ball(first), ball(last)).real


def distance(left: Fraction | float | arb, right: Fraction | float | arb) -> float:
    """An upper bound of |left - right| over all numbers in the two balls."""
    with precision():
        gap = (ball(left) - ball(right)).abs_upper()
    return 0.0 if gap == 0 else math.nextafter(float(gap), math.inf)


def exponential(rate: Fraction, time: Fraction) -> arb:
    r"""$e^{-\text{rate} \cdot \text{time}}$, the survival probability of a constant rate."""
    return (-ball(rate) * ball(time)).exp()
