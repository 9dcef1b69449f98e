r"""Proposition 1: mixtures of product laws are universal, and what the number of components is.

Every law p on S^D is $\mathbb{E}_\lambda \prod_d p^d(\cdot; \lambda)$ with one scalar latent
$\lambda \sim \mathrm{Unif}[0,1]$: take point masses at $F^{-1}(\lambda)$, F the cumulative sum of p
in any order of the states. No hypothesis is needed (Hayakawa et al. 2025, Proposition 1).

Beyond the paper, the exact price in components:

* $|S|^{D-1}$ always suffice: the latent is $(x^2, \dots, x^D)$, a component is
  $p(x^1 \mid \lambda)$ times a point mass.
* That is sharp for every S and D. If $p = \sum_l w_l p_l$ with $w_l > 0$ and product laws $p_l$,
  then supp $p_l$ is a box $A_1 \times \dots \times A_D$ inside supp p, and these boxes cover
  supp p: no fewer components than boxes in the smallest such cover. The uniform law on
  $\sum_d x^d \equiv 0 \bmod S$ has no two support points at Hamming distance 1, so its boxes are
  single points and it needs $|S|^{D-1}$ components: parity on D bits needs $2^{D-1}$, HALF needs 2.
* It is the sign that costs: parity is the sum of two products for every D (tensor rank 2) once the
  entries of their factors may be negative.
* The cover is a bound, not the answer: $(1 + m s_1 s_2)/4$ has full support (one box) and needs 2.
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
    """The state at which the cumulative sum of the law first exceeds latent, in [0, 1)."""
    total = Fraction(0)
    for x, p in law.items():
        total += p
        if latent < total:
            return x
    raise ValueError(f"latent must lie in [0, 1); got {latent}")


def latent_measure(law: Law) -> Law:
    r"""Lebesgue measure of $\{\lambda : F^{-1}(\lambda) = x\}$, counted in cells of equal length.

    With M the common denominator of the law, $F^{-1}$ is monotone in the order of the states, so
    it is constant on a cell [k/M, (k+1)/M) on which it agrees at both ends; each cell is checked.
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
    """The law of a mixture of product laws, summed out state by state."""
    parts = list(components)
    return {
        x: sum(
            (weight * math.prod(rows[d][v] for d, v in enumerate(x)) for weight, rows in parts),
            Fraction(0),
        )
        for x in all_states(num_dims, num_states)
    }


def boxes_inside(support: frozenset[State], num_dims: int, num_states: int) -> list[Box]:
    """Every maximal product set of states inside the support."""
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
    """Fewest product sets whose union is the support: no mixture has fewer components."""
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
    """Rank over the rationals; of a law on two coordinates: another bound on the components."""
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
    """(D, S, law) with small integer weights, zeros included."""
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
    "p = E_lambda[point mass at F^-1(lambda)], lambda ~ Unif[0,1]",
    group="paper",
    source="Proposition 1",
    hypotheses="none: any law on S^D, zeros included; exact rationals",
)
def _verify_inverse_cdf(record: Record) -> None:
    for num_dims, num_states, law in rational_laws(_SIZES * 4, seed=1):
        measure = latent_measure(law)
        for x, p in law.items():
            record.equal(measure[x], p, 0, f"mass of {x}, D={num_dims}, S={num_states}")


@claim(
    "proposition1-component-count",
    "|S|^(D-1) product laws always suffice: condition on D-1 coordinates",
    group="beyond",
    source="this project",
    hypotheses="none: any law on S^D; exact rationals",
)
def _verify_component_count(record: Record) -> None:
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
    "sum x = 0 mod S needs exactly |S|^(D-1) components (parity 2^(D-1), HALF 2)",
    group="beyond",
    source="this project",
    hypotheses="weights >= 0; components are boxes in the support, all covers enumerated",
)
def _verify_zero_sum(record: Record) -> None:
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
    "two products give parity for every D once factors may have negative entries",
    group="beyond",
    source="this project",
    hypotheses="nonnegative rank 2^(D-1), rank 2: the price binds through the sign alone",
)
def _verify_signed(record: Record) -> None:
    half = Fraction(1, 2)
    for num_dims in range(2, 8):
        plus, minus = [[half, half]] * num_dims, [[half, -half]] * num_dims
        signed = mixture_law([(Fraction(1), plus), (Fraction(1), minus)], num_dims, 2)
        for x, p in zero_sum_law(num_dims, 2).items():
            record.equal(signed[x], p, 0, f"two signed products at {x}")
        if num_dims > 2:
            needed = cover_number(zero_sum_law(num_dims, 2), num_dims, 2)
            record.exceeds(needed, 2, 0, f"products that parity on {num_dims} bits needs")


@claim(
    "proposition1-cover-is-a-bound",
    "False in general: the box cover of the support counts the components",
    group="fails",
    source="this project",
    hypotheses="fails at full support: (1 + m s1 s2)/4, one box, needs 2",
)
def _verify_cover_is_a_bound(record: Record) -> None:
    for m in (Fraction(1, 1000), Fraction(1, 3), Fraction(-9, 10)):
        rows = [[(1 + m * a * b) / 4 for b in (1, -1)] for a in (1, -1)]
        law = law_from([p for row in rows for p in row], 2, 2)
        record.equal(cover_number(law, 2, 2), 1, 0, f"boxes to cover, m = {m}")
        needed = matrix_rank(rows)
        record.exceeds(needed, cover_number(law, 2, 2), Fraction(1, 2), f"rank at m = {m}")
        record.equal(len(conditional_mixture(law, 2)), needed, 0, f"components, m = {m}")
