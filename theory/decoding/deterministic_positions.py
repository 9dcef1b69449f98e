r"""The law of a sampler that chooses its positions deterministically, in closed form.

A sampler reveals positions in batches. Let the batch be a function of what has been revealed. Then
the final state x determines the whole path, and

$$P(x) = \prod_t \prod_{i \in S_t(x)} p(x^i \mid x^{S_1 \cup \dots \cup S_{t-1}}),$$

with one path for each x. So the likelihood of confidence sampling is known exactly, without a
bound and without a sum over orders (DUEL, arXiv 2603.01367, as stated in the abstract). With one
position in each batch the sampler is exact, whatever the rule.

This needs a rule that does not look at the values that are about to be revealed. MaskGIT draws all
masked values first and keeps those that it gave a high probability. Then the final state does not
determine the path, and one position at a time is not exact even for independent coordinates.
"""

import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import rational_law
from theory.tools.oracle import Law, State
from theory.tools.partly_masked import MASK, Row, conditional, with_values

SOURCE = "DUEL, arXiv 2603.01367, as stated in the abstract"
Rule = Callable[[Row], Fraction | float]


def best_value(row: Row) -> float:
    """Confidence: the largest probability."""
    return max(row.values())


def margin(row: Row) -> float:
    """Confidence: the difference of the two largest probabilities."""
    first, second = sorted(row.values())[-2:][::-1]
    return first - second


def low_entropy(row: Row) -> float:
    """Confidence: minus the entropy, rounded so that equal laws tie."""
    return round(math.fsum(float(p) * math.log(p) for p in row.values() if p), 12)


RULES: tuple[Rule, ...] = (best_value, margin, low_entropy)


def batch(law: Law, seen: State, size: int, rule: Rule) -> list[int]:
    """The masked positions of highest confidence; the first ones of those that tie."""
    rows = conditional(law, seen)
    masked = [d for d, v in enumerate(seen) if v == MASK]
    return sorted(masked, key=lambda d: -rule(rows[d]))[:size]


def generated(law: Law, size: int, rule: Rule) -> Law:
    """The law of the sampler, by following the law of its states forward."""
    now = {(MASK,) * len(next(iter(law))): Fraction(1)}
    while any(MASK in x for x in now):
        then: Law = {}
        for seen, mass in now.items():
            rows, chosen = conditional(law, seen), batch(law, seen, size, rule)
            for values in itertools.product(*(rows[d].items() for d in chosen)):
                drawn = {d: value for d, (value, _) in zip(chosen, values, strict=True)}
                new, step = with_values(seen, drawn), math.prod(p for _, p in values)
                if step:
                    then[new] = then.get(new, 0) + mass * step
        now = then
    return now


def closed_form(law: Law, x: State, size: int, rule: Rule) -> Fraction:
    """The probability of x along its only path."""
    seen, result = (MASK,) * len(x), Fraction(1)
    while MASK in seen and result:
        rows, chosen = conditional(law, seen), batch(law, seen, size, rule)
        result *= math.prod(rows[d][x[d]] for d in chosen)
        seen = with_values(seen, {d: x[d] for d in chosen})
    return result


def drawn_first(law: Law) -> Law:
    """MaskGIT without noise, one position a step: of all drawn values the most probable stays."""
    now = {(MASK,) * len(next(iter(law))): Fraction(1)}
    while any(MASK in x for x in now):
        then: Law = {}
        for seen, mass in now.items():
            rows = conditional(law, seen)
            masked = [d for d, v in enumerate(seen) if v == MASK]
            for values in itertools.product(*(rows[d].items() for d in masked)):
                place = max(range(len(masked)), key=lambda k: values[k][1])
                new = with_values(seen, {masked[place]: values[place][0]})
                then[new] = then.get(new, 0) + mass * math.prod(p for _, p in values)
        now = then
    return now


def cases() -> list[tuple[str, Law]]:
    """Random laws with their sizes in words. For the last one no two rules choose alike."""
    rng = random.Random(29)
    sizes = ((2, 3), (3, 2), (4, 2), (3, 3))
    return [(f"S = {s}, D = {d}", rational_law(rng, d, s)) for d, s in sizes]


@claim(
    "deterministic-positions",
    "If the positions of a batch depend on the revealed values only, the sampler generates P(x) = "
    "prod_t prod_{i in S_t(x)} p(x_i | revealed before), along one path for each x.",
    group="beyond",
    source=SOURCE,
    hypotheses="exact conditionals; any rule (confidence, margin, entropy), ties by position; "
    "batches of 1, 2 and 3; exact rationals",
)
def verify_closed_form(record: Record) -> None:
    """The path product against the law of the states, followed forward; a batch of 1 is exact."""
    for (what, law), rule in itertools.product(cases(), RULES):
        for size in (1, 2, 3):
            forward = generated(law, size, rule)
            for x in law:
                right = closed_form(law, x, size, rule)
                record.equal(forward[x], right, 0, f"{rule.__name__}, batch {size}, {what}: {x}")
                if size == 1:
                    record.equal(right, law[x], 0, f"{rule.__name__}, one by one, {what}: {x}")
    _, law = cases()[-1]
    for first, second in itertools.combinations(RULES, 2):
        distance = oracle.total_variation(generated(law, 2, first), generated(law, 2, second))
        what = f"another law by {first.__name__} than by {second.__name__}"
        record.exceeds(distance, 0, Fraction(1, 20), what)


@claim(
    "confidence-of-drawn-values",
    "False in general: one position at a time is exact. MaskGIT keeps the drawn value of highest "
    "probability: two independent bits with P(1) = c come out as 11 with (1 - (1-c)^2) c.",
    group="fails",
    source="this project",
    hypotheses="exact conditionals, no noise in the confidence, c > 1/2; exact rationals",
)
def verify_drawn_first(record: Record) -> None:
    """The law by enumeration of all draws, for independent bits and for random laws."""
    for c in (Fraction(6, 10), Fraction(9, 10)):
        law = oracle.law_from([(1 - c) ** 2, (1 - c) * c, c * (1 - c), c**2], 2, 2)
        left = drawn_first(law)[1, 1]
        record.equal(left, (1 - (1 - c) ** 2) * c, 0, f"P(11), c = {c}")
        record.exceeds(left, law[1, 1], Fraction(2, 100), f"too sure, c = {c}")
    for what, law in cases():
        record.exceeds(oracle.total_variation(drawn_first(law), law), 0, Fraction(1, 100), what)
