r"""What remasking can do and unmasking cannot: a mixture in three rounds instead of D.

p is a mixture of two product laws on D bits. Given any values of the other bits, two bits are still
dependent, because the component stays unknown.

* A sampler that only unmasks generates $\prod_j q(x_{A_j} \mid x_{A_1}, \dots, x_{A_{j-1}})$ with a
  product law in each round, for any denoiser. If this is p, then the bits of each round are
  independent given the earlier ones. So each round reveals one bit, and it takes D rounds. This
  holds too if the positions of a round depend on what was revealed.
* A sampler that may mask again needs three rounds of product steps. First the last bit draws the
  number of the component. Then the other bits are drawn from that component, while the last one is
  masked again. At last it is drawn from its own conditional law.

The bit that is masked again is a latent: it carries the correlation of all others, as the latent of
Di4C does without using up a position. With the marginals of the true process instead, as in ReMDM,
remasking does not beat unmasking for a masked pair (remasking.py). The gain needs other kernels.

The separation of samplers with and without remasking is known from the literature on parallel
sampling with masked diffusion. The example and its proof are ours.
"""

import functools
import itertools
import math
import random
from collections.abc import Iterator
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import parity
from theory.tools.oracle import Law, State
from theory.tools.partly_masked import MASK, Row, conditional

Components = list[list[Fraction]]
"""For each of the two components the probability of a one, bit by bit."""


def component_law(ones: list[Fraction]) -> Law:
    """The product law of a component."""
    states = oracle.all_states(len(ones), 2)
    return {x: math.prod(p if v else 1 - p for p, v in zip(ones, x, strict=True)) for x in states}


def mixture(weight: Fraction, components: Components) -> Law:
    """The mixture, with the weight of the component of number 1."""
    first, second = map(component_law, components)
    return {x: (1 - weight) * first[x] + weight * second[x] for x in first}


def random_components(rng: random.Random, num_dims: int) -> tuple[Fraction, Components]:
    """A weight, and components that differ on every bit."""
    weight = Fraction(rng.randint(2, 8), 10)
    low = [Fraction(rng.randint(1, 4), 10) for _ in range(num_dims)]
    return weight, [low, [p + Fraction(rng.randint(2, 5), 10) for p in low]]


def with_remasking(weight: Fraction, components: Components) -> Law:
    """The law of the three rounds, by product steps over all states with masks."""
    law, num_dims = mixture(weight, components), len(components[0])

    def rows(seen: State) -> list[dict[int, Fraction]]:
        """The product kernel from a state: the law of each coordinate in the next one."""
        masked = [d for d, v in enumerate(seen) if v == MASK]
        if len(masked) == num_dims:
            return [{MASK: Fraction(1)}] * (num_dims - 1) + [{0: 1 - weight, 1: weight}]
        if len(masked) == num_dims - 1:
            ones = components[seen[-1]]
            return [{0: 1 - p, 1: p} for p in ones[:-1]] + [{MASK: Fraction(1)}]
        return [{v: Fraction(1)} for v in seen[:-1]] + [conditional(law, seen)[-1]]

    now: Law = {(MASK,) * num_dims: Fraction(1)}
    for _ in range(3):
        then: Law = {}
        for seen, mass in now.items():
            for choice in itertools.product(*(row.items() for row in rows(seen))):
                new = tuple(v for v, _ in choice)
                then[new] = then.get(new, 0) + mass * math.prod(p for _, p in choice)
        now = then
    return now


@functools.cache
def rows_of(law: tuple[tuple[State, Fraction], ...]) -> dict[State, list[Row]]:
    """The law of each bit given every partly masked state."""
    seen = itertools.product((MASK, 0, 1), repeat=len(law[0][0]))
    return {x: conditional(dict(law), x) for x in seen}


def unmasked(law: Law, groups: tuple[tuple[int, ...], ...]) -> Law:
    """The law of a sampler that reveals these groups in turn from the true marginals."""
    num_dims, rows = len(next(iter(law))), rows_of(tuple(law.items()))
    result: Law = {}
    for x in law:
        seen, chance = [MASK] * num_dims, Fraction(1)
        for group in groups:
            row = rows[tuple(seen)]
            chance *= math.prod(row[d][x[d]] for d in group)
            for d in group:
                seen[d] = x[d]
        result[x] = chance
    return result


def ordered_groups(places: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every way to reveal the places in rounds."""
    if not places:
        yield ()
    for size in range(1, len(places) + 1):
        for group in itertools.combinations(places, size):
            rest = tuple(d for d in places if d not in group)
            yield from ((group, *more) for more in ordered_groups(rest))


def least_dependence(law: Law) -> Fraction:
    """The smallest |p(00) p(11) - p(01) p(10)| of two bits given the values of some others."""
    num_dims, least = len(next(iter(law))), Fraction(1)
    for seen in itertools.product((MASK, 0, 1), repeat=num_dims):
        masked = [d for d, v in enumerate(seen) if v == MASK]
        for pair in itertools.combinations(masked, 2):
            table = dict.fromkeys(oracle.all_states(2, 2), Fraction(0))
            for x, p in law.items():
                if all(v in (MASK, w) for v, w in zip(seen, x, strict=True)):
                    table[x[pair[0]], x[pair[1]]] += p
            total = sum(table.values())
            size = abs(table[0, 0] * table[1, 1] - table[0, 1] * table[1, 0]) / total**2
            least = min(least, size)
    return least


@claim(
    "remasking-three-rounds",
    "A mixture of two products on D bits: a sampler that may mask again generates it exactly in "
    "three rounds of product steps, for every D.",
    group="beyond",
    source="this project; the separation is known from work on parallel sampling",
    hypotheses="any product kernels; the same works for S products on S values; exact rationals",
)
def verify_three_rounds(record: Record) -> None:
    """The law of three product steps over all states with masks, D = 3 to 7."""
    rng = random.Random(0)
    for num_dims in (3, 4, 5, 7):
        weight, components = random_components(rng, num_dims)
        law, made = mixture(weight, components), with_remasking(weight, components)
        for x, p in law.items():
            record.equal(made.get(x, 0), p, 0, f"D = {num_dims}: {x}")


@claim(
    "unmasking-needs-every-round",
    "A mixture of two products on D bits: a sampler that only unmasks is exact if and only if it "
    "reveals one bit in each of D rounds.",
    group="beyond",
    source="this project; the separation is known from work on parallel sampling",
    hypotheses="components differ on every bit; positions in advance or as a function of what was "
    "revealed; the proof holds for any denoiser, the numbers are for true marginals",
)
def verify_every_round(record: Record) -> None:
    """All 75 orders of groups of four bits, and the dependence that the proof needs."""
    law = mixture(*random_components(random.Random(1), 4))
    record.exceeds(least_dependence(law), 0, Fraction(1, 10**4), "dependent given any others")
    for groups in ordered_groups((0, 1, 2, 3)):
        error = oracle.total_variation(unmasked(law, groups), law)
        if len(groups) == 4:
            record.vanishes(error, 0, f"one by one: {groups}")
        else:
            record.exceeds(error, 0, Fraction(1, 1000), f"together: {groups}")


@claim(
    "unmasking-as-good",
    "False in general: what a sampler with remasking generates in some number of rounds, one that "
    "only unmasks generates in as many. In three rounds it misses a mixture on 4 and 5 bits.",
    group="fails",
    source="this project; the separation is known from work on parallel sampling",
    hypotheses="product steps; true for parity, which takes two rounds either way",
)
def verify_as_good(record: Record) -> None:
    """The best groups of three rounds; parity in two rounds as the counterpart."""
    rng = random.Random(2)
    for num_dims in (4, 5):
        weight, components = random_components(rng, num_dims)
        law = mixture(weight, components)
        orders = [g for g in ordered_groups(tuple(range(num_dims))) if len(g) == 3]
        best = min(oracle.total_variation(unmasked(law, groups), law) for groups in orders)
        record.exceeds(best, 0, Fraction(1, 1000), f"unmasking, D = {num_dims}")
        made = oracle.total_variation(with_remasking(weight, components), law)
        record.vanishes(made, 0, f"remasking, D = {num_dims}")
    first = oracle.independent({x[:3]: p for x, p in parity(4).items() if p})
    two_rounds = {(*x, sum(x) % 2): p for x, p in first.items()}
    record.vanishes(oracle.total_variation(two_rounds, parity(4)), 0, "parity in two rounds")
