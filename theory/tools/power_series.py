"""Truncated power series in one small parameter eps, as a number type.

With `Series` in place of fractions the oracle computes the expansion of every law and kernel in
eps. "Equal up to O(eps^3)" then becomes an identity of coefficients.
"""

from dataclasses import dataclass
from fractions import Fraction

Scalar = int | Fraction


@dataclass(frozen=True)
class Series:
    r"""$c_0 + c_1 \varepsilon + \dots + c_n \varepsilon^n$ modulo $\varepsilon^{n+1}$.

    Attributes:
        coefficients: $c_0, \dots, c_n$.
    """

    coefficients: tuple[Scalar, ...]

    def _lift(self, other: "Series | Scalar") -> "Series":
        if isinstance(other, Series):
            return other
        return Series((other, *(0,) * (len(self.coefficients) - 1)))

    def __add__(self, other: "Series | Scalar") -> "Series":
        pairs = zip(self.coefficients, self._lift(other).coefficients, strict=True)
        return Series(tuple(a + b for a, b in pairs))

    def __neg__(self) -> "Series":
        return Series(tuple(-a for a in self.coefficients))

    def __sub__(self, other: "Series | Scalar") -> "Series":
        return self + (-other)

    def __rsub__(self, other: Scalar) -> "Series":
        return -self + other

    def __mul__(self, other: "Series | Scalar") -> "Series":
        if not isinstance(other, Series):
            return Series(tuple(a * other for a in self.coefficients))
        result: list[Scalar] = [0] * len(self.coefficients)
        for i, a in enumerate(self.coefficients):
            for j, b in enumerate(other.coefficients[: len(result) - i]):
                result[i + j] += a * b
        return Series(tuple(result))

    def __truediv__(self, other: "Series | Scalar") -> "Series":
        divisor = self._lift(other).coefficients
        if not divisor[0]:
            raise ZeroDivisionError("the leading coefficient of the divisor is 0")
        quotient: list[Scalar] = []
        for k, numerator in enumerate(self.coefficients):
            known = sum(q * divisor[k - i] for i, q in enumerate(quotient))
            quotient.append(Fraction(numerator - known) / divisor[0])
        return Series(tuple(quotient))

    def __bool__(self) -> bool:
        return any(self.coefficients)

    __radd__ = __add__
    __rmul__ = __mul__
