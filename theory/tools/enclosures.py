r"""Rigorous real arithmetic: balls that provably contain the number (Arb, through python-flint).

A float closed form checked against a float sampler agrees to rounding; two formulas for a constant
can be compared to 1e-30 instead, with every rounding error accounted for. Work inside
`precision()`; numbers enter through `ball`, results leave through `distance`, an upper bound.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from flint import acb, arb, ctx, fmpq

BITS = 128


@contextmanager
def precision(bits: int = BITS) -> Iterator[None]:
    """Evaluate balls with that many bits (128: about 38 digits)."""
    with ctx.workprec(bits):
        yield


def ball(number: Fraction | float | arb) -> arb:
    """The number itself: integers and floats exactly, a fraction to the last bit."""
    if isinstance(number, Fraction):
        return arb(fmpq(number.numerator, number.denominator))
    return arb(number)


def integral(
    integrand: Callable[[acb], acb], first: Fraction | float | arb, last: Fraction | float | arb
) -> arb:
    """Enclosure of the integral of a meromorphic function that is real on [first, last]."""
    return acb.integral(lambda z, _: integrand(z), ball(first), ball(last)).real


def distance(left: Fraction | float | arb, right: Fraction | float | arb) -> float:
    """At least |left - right|, whatever the balls leave open; a point is compared exactly."""
    with precision():
        gap = (ball(left) - ball(right)).abs_upper()
    return 0.0 if gap == 0 else math.nextafter(float(gap), math.inf)


def exponential(rate: Fraction, time: Fraction) -> arb:
    r"""$e^{-\text{rate} \cdot \text{time}}$, the survival probability of a constant rate."""
    return (-ball(rate) * ball(time)).exp()
