r"""Unmasking policies that look at what was revealed: an exact divergence, and where it fails.

A deterministic policy reads the revealed values and names the next batch of coordinates. Each of
them is drawn from its true conditional law, independently of the others in the batch. The values x
determine the batches $S_1(x), S_2(x), \dots$ and the sets $C_t(x)$ known before them. So x can be
generated along one path only, and the generated law is
$\mathrm{out}(x) = \prod_t \prod_{i \in S_t(x)} p(x_i | x_{C_t(x)})$. Hence

$$\mathrm{KL}(p \| \mathrm{out}) = \mathbb{E}_{x \sim p} \sum_t \mathrm{TC}(X_{S_t} \mid x_{C_t}),$$

where the total correlation is that of the conditional law given the values $x_{C_t}$. Fixed
partitions, confidence thresholds and entropy budgets are policies of this kind.

The identity fails for two other kinds:

* A randomised policy reaches x along many paths, and its output mixes them. By convexity the
  divergence is at most the mean over paths, and in general less. Random order is an example
  (`information_curve.py`).
* A policy can draw candidates for all hidden coordinates first and keep those that came out most
  probable, as MaskGIT does. It reads values that are not revealed yet, and what it keeps does not
  follow the conditional law. It is wrong even for independent data, one coordinate at a time, where
  every total correlation is 0.

Source: Wen et al. (2026) for the identity. The rest is enumerated by this project.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.samplers.unmasking.information_curve import mask_averaged_kl
from theory.tools import oracle
from theory.tools.exact_logs import ZERO, LogSum, entropy, kl, restrict, total
from theory.tools.laws import rational_law
from theory.tools.oracle import Law
from theory.tools.unmasking import output_law

Partial = tuple[int | None, ...]
"""The values of all coordinates, None where hidden."""

Choices = Sequence[tuple[Fraction, tuple[int, ...]]]
Policy = Callable[[Partial], Choices]
"""The possible next batches with their probabilities; a deterministic policy returns one."""


def hidden(state: Partial) -> list[int]:
    """The coordinates not revealed yet."""
    return [i for i, value in enumerate(state) if value is None]


def given(law: Law, state: Partial) -> Law:
    """The law of x given the revealed values; empty if they are impossible."""
    agree = {
        x: p
        for x, p in law.items()
        if p and all(s in (None, v) for s, v in zip(state, x, strict=True))
    }
    mass = sum(agree.values())
    return {x: p / mass for x, p in agree.items()}


def reveal(state: Partial, batch: Sequence[int], values: Sequence[int]) -> Partial:
    """The state with the batch filled in."""
    filled = dict(zip(batch, values, strict=True))
    return tuple(filled.get(i, value) for i, value in enumerate(state))


def generated_law(law: Law, policy: Policy) -> Law:
    """The law of the samples, for the left side.

    Mass outside the support of the data is dropped, because KL from the data does not see it.
    """
    return {x: p for x, (p, _) in _walk(law, policy, oracle.independent).items()}


def expected_total_correlation(law: Law, policy: Policy) -> LogSum:
    """The right side: the sum of TC(X_S | x_C), averaged over data and draws of the policy."""
    visited = _walk(law, policy, lambda joint: joint)
    return total(paid for _, paid in visited.values())


def _walk(
    law: Law, policy: Policy, step: Callable[[Law], Law]
) -> dict[Partial, tuple[Fraction, LogSum]]:
    """For every complete state its probability and, weighted by it, the correlations on the way."""
    current = {(None,) * len(next(iter(law))): (Fraction(1), ZERO)}
    complete: dict[Partial, tuple[Fraction, LogSum]] = {}
    while current:
        following: dict[Partial, tuple[Fraction, LogSum]] = {}
        for state, (mass, paid) in current.items():
            conditional = given(law, state)
            for chance, batch in policy(state):
                joint = restrict(conditional, batch)
                singles = (restrict(conditional, [i]) for i in batch)
                correlation = total(map(entropy, singles)) - entropy(joint)
                for values, p in step(joint).items():
                    target = reveal(state, batch, values)
                    reached = following if hidden(target) else complete
                    before, owed = reached.get(target, (Fraction(0), ZERO))
                    added = chance * p * (paid + mass * correlation)
                    reached[target] = (before + chance * p * mass, owed + added)
        current = following
    return complete


def random_policy(seed: int, choices: int = 1) -> Policy:
    """A random batch for every partial state, or several that are equally likely.

    A given state always gets the same ones.
    """

    def policy(state: Partial) -> Choices:
        draw = random.Random(f"{seed} {state}")
        remaining = hidden(state)
        batches = [
            tuple(sorted(draw.sample(remaining, draw.randint(1, len(remaining)))))
            for _ in range(choices)
        ]
        return [(Fraction(1, choices), batch) for batch in batches]

    return policy


def threshold_policy(law: Law, threshold: Fraction) -> Policy:
    """Reveal every coordinate whose most probable value has at least probability `threshold`.

    If there is none, reveal the surest coordinate.
    """

    def policy(state: Partial) -> Choices:
        conditional = given(law, state)
        surest = {i: max(restrict(conditional, [i]).values()) for i in hidden(state)}
        batch = tuple(i for i, p in surest.items() if p >= threshold)
        return [(Fraction(1), batch or (max(surest, key=lambda i: surest[i]),))]

    return policy


def random_order(state: Partial) -> Choices:
    """Reveal two coordinates, all pairs equally likely, then the rest."""
    remaining = hidden(state)
    batches = list(itertools.combinations(remaining, min(2, len(remaining))))
    return [(Fraction(1, len(batches)), batch) for batch in batches]


def all_policies_of_three_bits() -> Iterator[Policy]:
    """All 31 deterministic policies on {0, 1}^3."""
    subsets = [s for k in (1, 2, 3) for s in itertools.combinations(range(3), k)]
    for first in subsets:
        rest = [s for s in subsets if not set(s) & set(first)]
        # After one coordinate the choice may depend on its value; later ones are forced.
        for second in itertools.product(rest, repeat=2) if len(first) == 1 else [()]:
            yield _two_stage(first, second)


def _two_stage(first: tuple[int, ...], second: tuple[tuple[int, ...], ...]) -> Policy:
    def policy(state: Partial) -> Choices:
        remaining = hidden(state)
        if len(remaining) == 3:
            return [(Fraction(1), first)]
        if len(remaining) == 2:
            return [(Fraction(1), second[state[first[0]] or 0])]
        return [(Fraction(1), tuple(remaining))]

    return policy


def confident_candidates_law(law: Law) -> Law:
    """The law generated by drawing candidates for all coordinates and keeping the most probable.

    One coordinate is kept in each step.
    """
    current: dict[Partial, Fraction] = {(None,) * len(next(iter(law))): Fraction(1)}
    for _ in next(iter(law)):
        following: dict[Partial, Fraction] = {}
        for state, mass in current.items():
            remaining, conditional = hidden(state), given(law, state)
            singles = {i: restrict(conditional, [i]) for i in remaining}
            for draw in itertools.product(*(singles[i].items() for i in remaining)):
                kept = max(range(len(draw)), key=lambda k: draw[k][1])
                target = reveal(state, [remaining[kept]], draw[kept][0])
                chance = math.prod(p for _, p in draw)
                following[target] = following.get(target, Fraction(0)) + mass * chance
        current = following
    return current


def three_coordinate_laws() -> list[Law]:
    """Rational laws on 2^3 and 3^3 states, with and without zeros."""
    rng = random.Random(0)
    return [rational_law(rng, 3, s, least) for s in (2, 3) for least in (1, 1, -3)]


@claim(
    "adaptive-policy",
    "A deterministic policy that reads revealed values has KL(p || out) = E sum_t TC(X_{S_t} | "
    "x_{C_t}).",
    group="beyond",
    source="Wen et al. (2026)",
    hypotheses="S_t is the batch t, C_t what is known before it; true conditional laws, any law, "
    "without rounding",
)
def verify_deterministic(record: Record) -> None:
    for law in three_coordinate_laws():
        policies = [random_policy(seed) for seed in range(4)]
        policies += [threshold_policy(law, Fraction(k, 10)) for k in (4, 5, 6, 8)]
        for policy in policies:
            left = kl(law, generated_law(law, policy))
            record.equal(left, expected_total_correlation(law, policy), 0, "three coordinates")
    law = rational_law(random.Random(1), 4, 2)
    for seed in range(6):
        policy = random_policy(seed)
        left = kl(law, generated_law(law, policy))
        record.equal(left, expected_total_correlation(law, policy), 0, "four bits")


@claim(
    "adaptive-policy-all",
    "The same identity holds for all 31 deterministic policies on three bits.",
    group="beyond",
    source="Wen et al. (2026)",
    hypotheses="as for adaptive-policy",
)
def verify_every_policy(record: Record) -> None:
    for law in three_coordinate_laws()[:3]:
        for policy in all_policies_of_three_bits():
            left = kl(law, generated_law(law, policy))
            record.equal(left, expected_total_correlation(law, policy), 0, "three bits")


@claim(
    "randomised-policy",
    "A randomised policy has KL(p || out) <= E sum_t TC(X_{S_t} | x_{C_t}), the mean over its "
    "paths.",
    group="beyond",
    source="this project, by convexity",
    hypotheses="the draws of the policy depend on revealed values only",
)
def verify_randomised(record: Record) -> None:
    for law in three_coordinate_laws():
        for seed in range(3):
            policy = random_policy(seed, choices=2)
            left = oracle.kl(law, generated_law(law, policy))
            right = float(expected_total_correlation(law, policy))
            record.at_most(
                left,
                right,
                "divergence and mean over paths, two equally likely batches",
                rounding=1e-15,
            )
    for law in three_coordinate_laws()[:3]:
        right = expected_total_correlation(law, random_order)
        record.equal(right, mask_averaged_kl(law, (2, 1)), 0, "random order, mean over paths")
        generated = generated_law(law, random_order)
        for x, p in output_law(law, (2, 1)).items():
            record.equal(generated[x], p, 0, "random order, law of the samples")


@claim(
    "randomised-policy-strict",
    "False in general: for randomised policies both sides are equal. In random order the output "
    "mixes the paths and is closer to the data.",
    group="fails",
    source="this project",
    hypotheses="three coordinates; two of them at random, then the third",
)
def verify_randomised_is_not_an_equality(record: Record) -> None:
    for law in three_coordinate_laws():
        left = oracle.kl(law, generated_law(law, random_order))
        record.exceeds(
            float(expected_total_correlation(law, random_order)), left, 1e-3, "random order"
        )


@claim(
    "confident-candidates",
    "False in general: revealing one coordinate at a time is exact. It is not if the most probable "
    "of drawn candidates is kept, as MaskGIT does.",
    group="fails",
    source="this project",
    hypotheses="independent data, KL above 0.05; the choice reads values that are not revealed yet",
)
def verify_candidates(record: Record) -> None:
    for law in three_coordinate_laws():
        independent = oracle.independent(law)
        output = confident_candidates_law(independent)
        record.equal(sum(output.values()), Fraction(1), 0, "total mass")
        record.exceeds(oracle.kl(independent, output), 0.0, 0.05, "independent data")
