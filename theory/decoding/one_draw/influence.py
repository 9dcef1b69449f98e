r"""Influences between pairs of positions: when they bound the error of a parallel draw.

Positions are drawn in parallel with the product law q of their marginals. In any order,

$$d_{TV}(p, q) \le \sum_i \mathbb{E}\, d_{TV}\big(p(x_i \mid x_1, \dots, x_{i-1}), p(x_i)\big).$$

Suppose that influences are sub-additive: the mean distance of each term is at most the sum of the
mean distances for one earlier position at a time. Then

$$d_{TV}(p, q) \le \sum_{j < i} d_{TV}(p_{ij}, p_i\, p_j),$$

so pairs suffice to choose positions (DEMASK, arXiv 2604.02560, as stated in the abstract). Without
sub-additivity pairs say nothing: bits of even parity are independent in pairs, and a parallel draw
errs by 1/2.
"""

import itertools
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.exact_logs import restrict
from theory.tools.laws import parity, rational_law
from theory.tools.oracle import Law

SOURCE = "DEMASK, arXiv 2604.02560, as stated in the abstract"


def mean_influence(law: Law, earlier: tuple[int, ...], d: int) -> Fraction:
    """E TV(p(x_d | the earlier coordinates), p(x_d))."""
    joint, first, second = (
        restrict(law, [*earlier, d]),
        restrict(law, earlier),
        restrict(law, [d]),
    )
    return sum(abs(p - first[x[:-1]] * second[x[-1:]]) for x, p in joint.items()) / 2


def by_pairs(law: Law, d: int) -> Fraction:
    """The sum of the mean influences of the earlier coordinates, one at a time."""
    return sum((mean_influence(law, (j,), d) for j in range(d)), Fraction(0))


def sub_additive(law: Law) -> bool:
    """Whether the influence of all earlier coordinates is at most that sum, for each coordinate."""
    num_dims = len(next(iter(law)))
    return all(
        mean_influence(law, tuple(range(d)), d) <= by_pairs(law, d) for d in range(1, num_dims)
    )


def cases() -> list[tuple[str, Law]]:
    """Random rational laws of 3 and 4 coordinates."""
    rng = random.Random(0)
    sizes = itertools.product(((3, 2), (3, 3), (4, 2)), range(12))
    return [(f"S = {s}, D = {d}, #{k}", rational_law(rng, d, s)) for (d, s), k in sizes]


@claim(
    "influence-chain",
    "A parallel draw errs by at most the sum over positions of the mean influence of all earlier "
    "ones, in any order.",
    group="beyond",
    source=SOURCE,
    hypotheses="any law; exact rationals; an equality for two positions",
)
def verify_chain(record: Record) -> None:
    """Total variation by the oracle; for D = 2 both sides are equal."""
    for what, law in cases():
        num_dims = len(next(iter(law)))
        right = sum(mean_influence(law, tuple(range(d)), d) for d in range(1, num_dims))
        record.at_most(oracle.total_variation(law, oracle.independent(law)), right, what, largest=1)
    rng = random.Random(1)
    for num_states in (2, 3, 4):
        law = rational_law(rng, 2, num_states)
        left = oracle.total_variation(law, oracle.independent(law))
        record.equal(left, mean_influence(law, (0,), 1), 0, f"D = 2, S = {num_states}")


@claim(
    "influence-pairs",
    "If influences are sub-additive, a parallel draw errs by at most the sum of TV(p_ij, p_i p_j) "
    "over pairs.",
    group="beyond",
    source=SOURCE,
    hypotheses="sub-additive: the mean influence of the earlier positions together is at most the "
    "sum of those of each; exact rationals",
)
def verify_pairs(record: Record) -> None:
    """Random laws that are sub-additive."""
    found = 0
    for what, law in cases():
        if sub_additive(law):
            num_dims, found = len(next(iter(law))), found + 1
            right = sum(by_pairs(law, d) for d in range(1, num_dims))
            left = oracle.total_variation(law, oracle.independent(law))
            record.at_most(left, right, what, largest=1)
    record.exceeds(found, 8, 0, "number of random laws that are sub-additive")


@claim(
    "influence-pairs-fails",
    "False in general: positions without influence on each other in pairs can be drawn in "
    "parallel. Bits of even parity are pairwise independent, and TV is 1/2.",
    group="fails",
    source="this project",
    hypotheses="influences are not sub-additive; near parity the bound fails by any factor",
)
def verify_pairs_fail(record: Record) -> None:
    """Parity, and mixtures of parity with a law of full support."""
    for num_dims in (3, 4, 5):
        law = parity(num_dims)
        left = oracle.total_variation(law, oracle.independent(law))
        record.equal(left, Fraction(1, 2), 0, f"TV, parity, D = {num_dims}")
        total = sum(by_pairs(law, d) for d in range(1, num_dims))
        record.vanishes(total, 0, f"pairs, parity, D = {num_dims}")
        record.exceeds(left, total, Fraction(2, 5), f"parity, D = {num_dims}")
    rng = random.Random(2)
    other = rational_law(rng, 3, 2)
    for share in (Fraction(1, 10), Fraction(1, 100)):
        law = {x: (1 - share) * p + share * other[x] for x, p in parity(3).items()}
        total = sum(by_pairs(law, d) for d in (1, 2))
        left = oracle.total_variation(law, oracle.independent(law))
        record.exceeds(left, total / share / 4, 0, f"near parity, share {share}")
