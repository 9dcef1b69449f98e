"""Balls that contain a function and its partial derivatives on a box. Part of the checker.

A number is an exact rational (`fmpq`), a ball that contains the true number (`arb`), or a `Dual`.
"""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq

Number = Any  # int, fmpq, arb or Dual, which arithmetic mixes freely


class Dual:
    """A ball for the values of a function on a box, and a ball for each partial derivative."""

    def __init__(self, value: arb, slopes: list[arb]) -> None:
        self.value, self.slopes = value, slopes

    def __add__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            slopes = [a + b for a, b in zip(self.slopes, other.slopes, strict=True)]
            return Dual(self.value + other.value, slopes)
        return Dual(self.value + other, self.slopes)

    def __sub__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            slopes = [a - b for a, b in zip(self.slopes, other.slopes, strict=True)]
            return Dual(self.value - other.value, slopes)
        return Dual(self.value - other, self.slopes)

    def __rsub__(self, other: Number) -> Dual:
        return Dual(other - self.value, [-a for a in self.slopes])

    def __mul__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            x, y = self.value, other.value
            slopes = [a * y + x * b for a, b in zip(self.slopes, other.slopes, strict=True)]
            return Dual(x * y, slopes)
        return Dual(self.value * other, [a * other for a in self.slopes])

    def __truediv__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            ratio, y = self.value / other.value, other.value
            slopes = zip(self.slopes, other.slopes, strict=True)
            return Dual(ratio, [(a - ratio * b) / y for a, b in slopes])
        return Dual(self.value / other, [a / other for a in self.slopes])

    def __rtruediv__(self, other: Number) -> Dual:
        ratio = other / self.value
        factor = -ratio / self.value
        return Dual(ratio, [factor * a for a in self.slopes])

    __radd__, __rmul__ = __add__, __mul__

    def exp(self) -> Dual:
        """The exponential function."""
        value = self.value.exp()
        return Dual(value, [value * a for a in self.slopes])


def share(a: Number, b: Number) -> Number:
    """a / (a + b) for a, b >= 0, as narrow as possible; [0, 1] where both balls contain 0."""
    if isinstance(a, Dual):
        f, weight = share(a.value, b.value), 1 / (a.value + b.value)
        own, other = (1 - f) * weight, f * weight
        return Dual(f, [own * x - other * y for x, y in zip(a.slopes, b.slopes, strict=True)])
    if isinstance(a, fmpq):
        return a / (a + b) if a else a
    if a > 0:
        return 1 / (1 + b / a)
    return 1 - 1 / (1 + a / b) if b > 0 else arb(0.5, 0.5)


def narrowed(tight: Number, safe: Number) -> Number:
    """One enclosure from two of the same number; its derivatives are those of the first."""
    if isinstance(tight, Dual):
        return Dual(narrowed(tight.value, safe.value), tight.slopes)
    return tight.intersection(safe) if isinstance(tight, arb) and tight.is_finite() else safe
