r"""How close one product law comes to D bits that always agree: one component is not enough.

Let $\rho = (\delta_{0\dots0} + \delta_{1\dots1})/2$ be the law of D equal fair bits. Then

$$\min_{p\ \mathrm{product}} d_{TV}(\rho, p) = \tfrac12 - (1 - 2^{-1/D})^D.$$

For two bits this is $\sqrt2 - 1$, while the product of the marginals is at distance 1/2. With many
bits the minimum tends to 1/2. This is not in the paper.

Proof. Let $a_d = p^d(1)$. Then $1 - d_{TV}$ is the overlap
$\min(\tfrac12, \prod a_d) + \min(\tfrac12, \prod(1 - a_d))$. Let $u = \prod a_d^{1/D}$ and
$v = \prod (1 - a_d)^{1/D}$. The inequality of the means gives $u + v \le 1$. On $u + v \le 1$ the
function $\min(\tfrac12, u^D) + \min(\tfrac12, v^D)$ is largest at $u = 2^{-1/D}$, $v = 1 - u$,
since $u^D + v^D$ is convex on the segment between the two kinks. Equality holds at
$a_d = 2^{-1/D}$: the best product law gives 1...1 its full probability 1/2 and no more.

The lower bound is certified at D = 1, 2, 3 by a second route: branch and bound over all product
laws in exact rational arithmetic, independent of the proof.
"""

import heapq
import math
from fractions import Fraction

from flint import arb, ctx

from theory.claim import Record, claim
from theory.tools.laws import repetition
from theory.tools.oracle import Law, all_states, independent, total_variation

_HALF = Fraction(1, 2)


def closed_form(num_dims: int) -> arb:
    r"""$\tfrac12 - (1 - 2^{-1/D})^D$ as an enclosure."""
    return arb(1) / 2 - (1 - arb(2) ** (arb(-1) / num_dims)) ** num_dims


def product_of(ones: list[Fraction]) -> Law:
    """Independent bits with the given probabilities of a one."""
    factors = [(1 - a, a) for a in ones]
    return {
        x: math.prod(row[v] for row, v in zip(factors, x, strict=True))
        for x in all_states(len(ones), 2)
    }


def certified_minimum(num_dims: int, width: Fraction) -> tuple[Fraction, Fraction]:
    """Lower and upper bound, at most `width` apart, of the least distance of a product law.

    Best-first branch and bound on the cube of the D probabilities of a one. A box is halved along
    its longest side. The overlap on a box is at most its value with every factor at its largest.
    """

    def overlap(ones: tuple[Fraction, ...], zeros: tuple[Fraction, ...]) -> Fraction:
        return min(_HALF, math.prod(ones)) + min(_HALF, math.prod(zeros))

    def entry(low: tuple[Fraction, ...], high: tuple[Fraction, ...]):
        return -overlap(high, tuple(1 - a for a in low)), low, high

    heap = [entry((Fraction(0),) * num_dims, (Fraction(1),) * num_dims)]
    best = Fraction(0)
    while True:
        bound, low, high = heapq.heappop(heap)
        best = max(best, overlap(low, tuple(1 - a for a in low)))
        if -bound - best <= width:
            return 1 + bound, 1 - best
        side = max(range(num_dims), key=lambda d: high[d] - low[d])
        middle = (low[side] + high[side]) / 2
        heapq.heappush(heap, entry(low, (*high[:side], middle, *high[side + 1 :])))
        heapq.heappush(heap, entry((*low[:side], middle, *low[side + 1 :]), high))


@claim(
    "one-component-distance",
    "The product law nearest to D equal fair bits is at total variation 1/2 - (1 - 2^(-1/D))^D.",
    group="beyond",
    source="this project",
    hypotheses="branch and bound over all product laws, in rationals: D = 1, 2, 3 to within 2^-20, "
    "2^-12, 2^-7. Two bits: sqrt(2) - 1",
)
def verify_minimum(record: Record) -> None:
    for num_dims, width in ((1, 2**-20), (2, 2**-12), (3, 2**-7)):
        lower, upper = certified_minimum(num_dims, Fraction(width))
        record.at_most(float(lower), float(closed_form(num_dims).lower()), f"lower, D={num_dims}")
        record.at_most(float(closed_form(num_dims).upper()), float(upper), f"upper, D={num_dims}")
        record.at_most(upper - lower, Fraction(width), f"width of the certificate, D={num_dims}")
        if num_dims == 2:
            # Without rounding: lower <= sqrt(2) - 1 <= upper, by comparing squares.
            record.at_most((1 + lower) ** 2, 2, "(1 + lower)^2 <= 2")
            record.at_most(2, (1 + upper) ** 2, "2 <= (1 + upper)^2")


@claim(
    "one-component-attained",
    "The nearest product law to D equal fair bits gives every bit P(1) = 2^(-1/D).",
    group="beyond",
    source="this project",
    hypotheses="D = 1..8; a rational law within 2^-60 of the optimum, enclosures in ball "
    "arithmetic",
)
def verify_attained(record: Record) -> None:
    with ctx.workprec(200):
        for num_dims in range(1, 9):
            # A rational within 2^-60 below 2^(-1/D) costs at most D 2^-60 of overlap.
            optimum = arb(2) ** (arb(-1) / num_dims)
            ones = [Fraction(int((optimum * 2**60).floor().unique_fmpz()), 2**60)] * num_dims
            attained = total_variation(repetition(num_dims), product_of(ones))
            gap = arb(attained.numerator) / attained.denominator - closed_form(num_dims)
            record.at_most(0, float(gap.lower()), f"not below, D={num_dims}", rounding=1e-30)
            record.at_most(float(gap.upper()), num_dims * 2.0**-60, f"attained, D={num_dims}")


@claim(
    "one-component-marginals",
    "False in general: the product of the marginals is the nearest product law. For two equal bits "
    "its total variation is 1/2, the least is sqrt(2) - 1.",
    group="fails",
    source="this project",
    hypotheses="D equal fair bits, D = 2..6: 1 - 2^(1-D) for the product of the marginals",
)
def verify_marginals_are_worse(record: Record) -> None:
    for num_dims in range(2, 7):
        law = repetition(num_dims)
        distance = total_variation(law, independent(law))
        record.equal(distance, 1 - Fraction(2, 2**num_dims), 0, f"marginals, D={num_dims}")
        best = float(closed_form(num_dims).upper())
        record.exceeds(float(distance), best, 0.05, f"marginals against the best, D={num_dims}")
