r"""Logarithms without rounding: $\sum_p c_p \log p$ over primes p, with rational $c_p$.

The entropy of a law with rational probabilities is such a sum, and so is every mutual information,
total correlation and Kullback-Leibler divergence between rational laws.

Factorisation into primes is unique, so the logarithms of primes are linearly independent over the
rationals. Two sums are the same number if and only if they have the same coefficients. Identities
of information theory are thus decided, and not only checked to some number of digits. Inequalities
are decided in ball arithmetic: the precision grows until the sign is certain. This ends, because
zero is recognised exactly.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from flint import arb, fmpz

from theory.tools.enclosures import ball, precision
from theory.tools.oracle import Law


class LogSum:
    r"""The number $\sum_p c_p \log p$, immutable.

    Args:
        coefficients: $c_p$ for primes p; zeros may be given and are dropped.
    """

    def __init__(self, coefficients: Mapping[int, Fraction] | None = None) -> None:
        self.coefficients = {p: c for p, c in sorted((coefficients or {}).items()) if c}

    def __add__(self, other: "LogSum") -> "LogSum":
        both = self.coefficients.keys() | other.coefficients.keys()
        zero = Fraction(0)
        pairs = ((self.coefficients.get(p, zero), other.coefficients.get(p, zero)) for p in both)
        return LogSum({p: a + b for p, (a, b) in zip(both, pairs, strict=True)})

    def __mul__(self, factor: Fraction | int) -> "LogSum":
        return LogSum({p: c * factor for p, c in self.coefficients.items()})

    __rmul__ = __mul__

    def __neg__(self) -> "LogSum":
        return -1 * self

    def __sub__(self, other: "LogSum") -> "LogSum":
        return self + -other

    def __abs__(self) -> "LogSum":
        return -self if self < ZERO else self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogSum) and self.coefficients == other.coefficients

    def __hash__(self) -> int:
        return hash(tuple(self.coefficients.items()))

    def __lt__(self, other: "LogSum") -> bool:
        return float(self - other) < 0

    def __float__(self) -> float:
        """A double close to the number; its sign is right, and 0.0 means that it is exactly 0."""
        if not self.coefficients:
            return 0.0
        bits = 64
        while self.enclosure(bits).contains(0) or self.enclosure(bits).rel_accuracy_bits() < 56:
            bits *= 2
        return float(self.enclosure(bits).mid())

    def enclosure(self, bits: int = 128) -> arb:
        """A ball that contains the number, computed with this many bits."""
        with precision(bits):
            return sum((ball(c) * arb(p).log() for p, c in self.coefficients.items()), arb(0))

    def __repr__(self) -> str:
        return " + ".join(f"{c} log {p}" for p, c in self.coefficients.items()) or "0"


ZERO = LogSum()


@functools.cache
def _prime_factors(number: int) -> tuple[tuple[int, int], ...]:
    return tuple((int(p), int(e)) for p, e in fmpz(number).factor())


def weighted_logs(terms: Iterable[tuple[Fraction | int, Fraction | int]]) -> LogSum:
    r"""The sum $\sum_k w_k \log r_k$ for pairs (w, r) of rational numbers, r > 0."""
    powers: dict[int, Fraction] = {}
    for weight, ratio in terms:
        if ratio <= 0:
            raise ValueError(f"the logarithm needs a positive ratio; got {ratio}")
        exact = Fraction(ratio)
        for number, sign in ((exact.numerator, 1), (exact.denominator, -1)):
            powers[number] = powers.get(number, Fraction(0)) + sign * weight
    coefficients: dict[int, Fraction] = {}
    for number, weight in powers.items():
        for prime, exponent in _prime_factors(number):
            coefficients[prime] = coefficients.get(prime, Fraction(0)) + exponent * weight
    return LogSum(coefficients)


def log(ratio: Fraction | int) -> LogSum:
    """The logarithm of a positive rational."""
    return weighted_logs([(Fraction(1), ratio)])


def total(sums: Iterable[LogSum]) -> LogSum:
    """The sum of the sums."""
    return sum(sums, ZERO)


def entropy(law: Law) -> LogSum:
    """The entropy of a rational law, in nats."""
    return weighted_logs((p, 1 / p) for p in law.values() if p)


def kl(p: Law, q: Law) -> LogSum:
    """KL(p || q) of rational laws, in nats.

    Raises:
        ValueError: if q gives probability 0 to a state of p, so that the divergence is infinite.
    """
    missing = next((x for x, v in p.items() if v and not q.get(x)), None)
    if missing is not None:
        raise ValueError(f"KL(p || q) is infinite: q gives no mass to the state {missing} of p")
    return weighted_logs((v, v / q[x]) for x, v in p.items() if v)


def restrict(law: Law, coordinates: Sequence[int]) -> Law:
    """The joint law of some coordinates, in the order given."""
    result: Law = {}
    for x, p in law.items():
        key = tuple(x[d] for d in coordinates)
        result[key] = result.get(key, 0) + p
    return result


def mutual_information(law: Law, first: Sequence[int], second: Sequence[int]) -> LogSum:
    r"""$I(X_A; X_B) = \mathrm{KL}(p_{AB} \| p_A\, p_B)$ in nats, A and B disjoint."""
    joint = restrict(law, (*first, *second))
    a, b = restrict(law, first), restrict(law, second)
    return kl(joint, {x: a[x[: len(first)]] * b[x[len(first) :]] for x in joint})
