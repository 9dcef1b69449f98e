r"""Proposition 1: every law is a mixture of product laws; how many components it needs.

Every law p on S^D is $\mathbb{E}_\lambda \prod_d p^d(\cdot; \lambda)$ with one scalar latent
$\lambda \sim \mathrm{Unif}[0,1]$ (Hayakawa et al. 2025, Proposition 1). The components are point
masses at $F^{-1}(\lambda)$, where F is the cumulative sum of p in any order of the states. No
hypothesis is needed.

The number of components is not in the paper:

* $|S|^{D-1}$ components always suffice. The latent is $(x^2, \dots, x^D)$, and a component is
  $p(x^1 \mid \lambda)$ times a point mass.
* This number cannot be improved, for any S and D. Let $p = \sum_l w_l p_l$ with $w_l > 0$ and
  product laws $p_l$. The support of $p_l$ is a box $A_1 \times \dots \times A_D$ inside supp p, and
  the boxes cover supp p. So p needs at least as many components as its smallest cover has boxes.
  The uniform law on $\sum_d x^d \equiv 0 \bmod S$ has no two support points at Hamming distance 1.
  Its boxes are single points, and it needs $|S|^{D-1}$ components. Parity on D bits thus needs
  $2^{D-1}$, and two bits that always agree need 2.
* The reason is that probabilities are not negative. If the entries of the factors may be negative,
  two products give parity for every D (tensor rank 2).
* The cover is only a lower bound. $(1 + m s_1 s_2)/4$ has full support, which is one box, and
  needs 2 components.
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools.laws import zero_sum_law
from theory.tools.oracle import Law, State, all_states, law_from

Component = tuple[Fraction, list[list[Fraction]]]
Box = frozenset[State]


def inverse_cdf(law: Law, latent: Fraction) -> State:
    """The first state at which the cumulative sum of the law exceeds the latent in [0, 1)."""
    total = Fraction(0)
    for x, p in law.items():
        total += p
        if latent < total:
            return x
    raise ValueError(f"latent must lie in [0, 1); got {latent}")


def latent_measure(law: Law) -> Law:
    r"""Lebesgue measure of $\{\lambda : F^{-1}(\lambda) = x\}$, counted in cells of equal length.

    M is the common denominator of the law. $F^{-1}$ is monotone in the order of the states. It is
    therefore constant on a cell [k/M, (k+1)/M) if it agrees at both ends, and each cell is checked.
    """
    cells = math.lcm(*(Fraction(p).denominator for p in law.values()))
    measure = dict.fromkeys(law, Fraction(0))
    for k in range(cells):
        first = inverse_cdf(law, Fraction(k, cells))
        last = inverse_cdf(law, Fraction(k + 1, cells) - Fraction(1, cells**2))
        if first != last:
            raise ValueError(f"latent cell {k} of {cells} maps to both {first} and {last}")
        measure[first] += Fraction(1, cells)
    return measure


def conditional_mixture(law: Law, num_states: int) -> list[Component]:
    r"""At most $|S|^{D-1}$ product laws: $\lambda = (x^2, \dots, x^D)$, weight $p(\lambda)$."""
    slices: dict[State, list[Fraction]] = {}
    for x, p in law.items():
        slices.setdefault(x[1:], [Fraction(0)] * num_states)[x[0]] += p
    components = []
    for rest, row in slices.items():
        weight = sum(row, Fraction(0))
        if weight:
            points = [[Fraction(v == w) for w in range(num_states)] for v in rest]
            components.append((weight, [[p / weight for p in row], *points]))
    return components


def mixture_law(components: Iterable[Component], num_dims: int, num_states: int) -> Law:
    """The law of a mixture of product laws, summed state by state."""
    parts = list(components)
    return {
        x: sum(
            (weight * math.prod(rows[d][v] for d, v in enumerate(x)) for weight, rows in parts),
            Fraction(0),
        )
        for x in all_states(num_dims, num_states)
    }


def boxes_inside(support: frozenset[State], num_dims: int, num_states: int) -> list[Box]:
    """Every product set of states inside the support that is contained in no larger one."""
    values = range(num_states)
    sides = [c for k in range(1, num_states + 1) for c in itertools.combinations(values, k)]
    boxes = (
        frozenset(itertools.product(*box)) for box in itertools.product(sides, repeat=num_dims)
    )
    inside = sorted({box for box in boxes if box <= support}, key=len, reverse=True)
    maximal: list[Box] = []
    for box in inside:
        if not any(box < other for other in maximal):
            maximal.append(box)
    return maximal


def cover_number(law: Law, num_dims: int, num_states: int) -> int:
    """The fewest product sets whose union is the support.

    No mixture of product laws has fewer components.
    """
    support = frozenset(x for x, p in law.items() if p)
    boxes = boxes_inside(support, num_dims, num_states)

    def coverable(rest: frozenset[State], count: int) -> bool:
        if not rest:
            return True
        if count * max(len(box & rest) for box in boxes) < len(rest):
            return False
        hardest = min(rest, key=lambda x: sum(x in box for box in boxes))
        return any(coverable(rest - box, count - 1) for box in boxes if hardest in box)

    return next(count for count in range(1, len(support) + 1) if coverable(support, count))


def matrix_rank(rows: list[list[Fraction]]) -> int:
    """Rank over the rationals.

    The matrix of a law on two coordinates has at most as high a rank as the law has components.
    """
    rows, rank = [list(row) for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for r in range(rank + 1, len(rows)):
            factor = rows[r][column] / rows[rank][column]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[rank], strict=True)]
        rank += 1
    return rank


def rational_laws(sizes: Iterable[tuple[int, int]], seed: int) -> Iterator[tuple[int, int, Law]]:
    """(D, S, law): random laws with small rational probabilities, some of them 0."""
    draw = random.Random(seed)
    for num_dims, num_states in sizes:
        weights = [draw.choice((0, 0, 1, 2, 3, 5)) for _ in range(num_states**num_dims)]
        weights[0] += 1
        total = sum(weights)
        yield (
            num_dims,
            num_states,
            law_from([Fraction(w, total) for w in weights], num_dims, num_states),
        )


_ZERO_SUM_SIZES = [(d, 2) for d in range(2, 8)] + [(2, 3), (3, 3), (4, 3), (2, 5), (3, 4)]
_SIZES = [(1, 2), (2, 2), (2, 3), (3, 2), (4, 2), (3, 3), (2, 5), (5, 2)]


@claim(
    "proposition1-inverse-cdf",
    "Every law on S^D is a mixture of product laws: point masses at F^-1(lambda), lambda ~ "
    "Unif[0,1].",
    group="paper",
    source="Proposition 1",
    hypotheses="any law on S^D, zeros included; F is its cumulative sum; exact rationals",
)
def verify_inverse_cdf(record: Record) -> None:
    for num_dims, num_states, law in rational_laws(_SIZES * 4, seed=1):
        measure = latent_measure(law)
        for x, p in law.items():
            record.equal(measure[x], p, 0, f"mass of {x}, D={num_dims}, S={num_states}")


@claim(
    "proposition1-component-count",
    "Every law on S^D is a mixture of at most |S|^(D-1) product laws.",
    group="sharper",
    source="Proposition 1; the number of components: this project",
    hypotheses="any law on S^D; the latent is D-1 of the coordinates; exact rationals",
)
def verify_component_count(record: Record) -> None:
    for num_dims, num_states, law in rational_laws(_SIZES * 4, seed=2):
        what = f"D={num_dims}, S={num_states}"
        components = conditional_mixture(law, num_states)
        record.at_most(len(components), num_states ** (num_dims - 1), f"components, {what}")
        for weight, rows in components:
            record.at_most(0, min(weight, *map(min, rows)), f"a negative probability, {what}")
            for row in rows:
                record.equal(sum(row), 1, 0, f"mass of a factor, {what}")
        rebuilt = mixture_law(components, num_dims, num_states)
        for x, p in law.items():
            record.equal(rebuilt[x], p, 0, f"mass of {x}, {what}")


@claim(
    "proposition1-parity",
    "The uniform law on sum_d x^d = 0 mod S needs |S|^(D-1) components: parity on D bits needs "
    "2^(D-1).",
    group="sharper",
    source="Proposition 1; the number of components: this project",
    hypotheses="weights and probabilities are not negative; all covers of the support by boxes are "
    "enumerated. Two bits that always agree need 2",
)
def verify_zero_sum(record: Record) -> None:
    for num_dims, num_states in _ZERO_SUM_SIZES:
        law, what = zero_sum_law(num_dims, num_states), f"D={num_dims}, S={num_states}"
        needed = num_states ** (num_dims - 1)
        largest = max(map(len, boxes_inside(_support(law), num_dims, num_states)))
        record.equal(largest, 1, 0, f"points in the largest box, {what}")
        record.equal(cover_number(law, num_dims, num_states), needed, 0, f"lower bound, {what}")
        record.equal(len(conditional_mixture(law, num_states)), needed, 0, f"upper bound, {what}")


def _support(law: Law) -> frozenset[State]:
    return frozenset(x for x, p in law.items() if p)


@claim(
    "proposition1-signed",
    "Two products give parity on D bits if the factors may have negative entries.",
    group="beyond",
    source="this project",
    hypotheses="D = 2..7. With probabilities, which are not negative, 2^(D-1) are needed",
)
def verify_signed(record: Record) -> None:
    half = Fraction(1, 2)
    for num_dims in range(2, 8):
        plus, minus = [[half, half]] * num_dims, [[half, -half]] * num_dims
        signed = mixture_law([(Fraction(1), plus), (Fraction(1), minus)], num_dims, 2)
        for x, p in zero_sum_law(num_dims, 2).items():
            record.equal(signed[x], p, 0, f"two signed products at {x}")
        if num_dims > 2:
            needed = cover_number(zero_sum_law(num_dims, 2), num_dims, 2)
            record.exceeds(needed, 2, 0, f"components of parity on {num_dims} bits")


@claim(
    "proposition1-cover-is-a-bound",
    "False in general: a law needs only as many components as boxes cover its support. (1 + m s1 "
    "s2)/4 has full support, one box, and needs 2.",
    group="fails",
    source="this project",
    hypotheses="two bits with dependence m = 1/1000, 1/3 and -9/10",
)
def verify_cover_is_a_bound(record: Record) -> None:
    for m in (Fraction(1, 1000), Fraction(1, 3), Fraction(-9, 10)):
        rows = [[(1 + m * a * b) / 4 for b in (1, -1)] for a in (1, -1)]
        law = law_from([p for row in rows for p in row], 2, 2)
        record.equal(cover_number(law, 2, 2), 1, 0, f"boxes to cover, m = {m}")
        needed = matrix_rank(rows)
        record.exceeds(needed, cover_number(law, 2, 2), Fraction(1, 2), f"rank at m = {m}")
        record.equal(len(conditional_mixture(law, 2)), needed, 0, f"components, m = {m}")
