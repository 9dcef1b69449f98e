r"""Unmasking policies that look at what was revealed: an exact divergence, and what breaks it.

A deterministic policy reads the revealed values and names the next batch of coordinates to reveal,
each drawn from its true conditional law, independently of the others in the batch. The values
x then determine the batches $S_1(x), S_2(x), \dots$ and the sets $C_t(x)$ known before them, so x
can be generated along one path only and the generated law is
$\mathrm{out}(x) = \prod_t \prod_{i \in S_t(x)} p(x_i | x_{C_t(x)})$. Hence, with equality,

$$\mathrm{KL}(p \| \mathrm{out}) = \mathbb{E}_{x \sim p} \sum_t \mathrm{TC}(X_{S_t} \mid x_{C_t}),$$

where the total correlation is that of the conditional law given the values $x_{C_t}$. Fixed
partitions, confidence thresholds and entropy budgets are of this kind.

Two things break it. A randomised policy reaches x along many paths, its output mixes them, and by
convexity the divergence is at most the mean over paths, in general less (random order is one, see
`information_curve.py`). And a policy that draws candidates for all hidden coordinates first and
keeps the ones that came out most probable (as MaskGIT does) reads values that are not revealed yet:
what it keeps no longer follows the conditional law. It is wrong even on independent data, one
coordinate at a time, where every total correlation is 0.

Source: Wen et al. (2026) for the identity; the rest by enumeration.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.samplers.information_curve import mask_averaged_kl
from theory.tools import oracle
from theory.tools.exact_logs import ZERO, LogSum, entropy, kl, restrict, total
from theory.tools.laws import rational_law
from theory.tools.oracle import Law
from theory.tools.unmasking import output_law

Partial = tuple[int | None, ...]  # None where hidden
Choices = Sequence[tuple[Fraction, tuple[int, ...]]]
Policy = Callable[[Partial], Choices]  # next batches with their probabilities; one: deterministic


def hidden(state: Partial) -> list[int]:
    """The coordinates not revealed yet."""
    return [i for i, value in enumerate(state) if value is None]


def given(law: Law, state: Partial) -> Law:
    """The law of x given the revealed values; empty where they are impossible."""
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
    """Left side: the law of the samples, all partial states pushed forward.

    Mass that falls outside the support of the data is dropped: KL from the data does not see it.
    """
    return {x: p for x, (p, _) in _walk(law, policy, oracle.independent).items()}


def expected_total_correlation(law: Law, policy: Policy) -> LogSum:
    """Right side: the sum of TC(X_S | x_C), averaged over the data and the draws of the policy."""
    visited = _walk(law, policy, lambda joint: joint)
    return total(paid for _, paid in visited.values())


def _walk(
    law: Law, policy: Policy, step: Callable[[Law], Law]
) -> dict[Partial, tuple[Fraction, LogSum]]:
    """Probability of every complete state, and the correlations paid on the way, weighted by it."""
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
    """A batch (or several, equally likely) for every partial state, drawn once and for all."""

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
    """Reveal every coordinate that is sure to `threshold`; the surest one if there is none."""

    def policy(state: Partial) -> Choices:
        conditional = given(law, state)
        surest = {i: max(restrict(conditional, [i]).values()) for i in hidden(state)}
        batch = tuple(i for i, p in surest.items() if p >= threshold)
        return [(Fraction(1), batch or (max(surest, key=lambda i: surest[i]),))]

    return policy


def random_order(state: Partial) -> Choices:
    """Two coordinates, any two equally likely, then the rest."""
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
    """One coordinate at a time: draw candidates for all, keep the most probable one."""
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


def small_laws() -> list[Law]:
    """Rational laws on 2^3 and 3^3 states, with and without zeros."""
    rng = random.Random(0)
    return [rational_law(rng, 3, s, least) for s in (2, 3) for least in (1, 1, -3)]


@claim(
    "adaptive-policy",
    "KL(p || out) = E sum_t TC(X_{S_t} | x_{C_t}), without rounding",
    group="beyond",
    source="Wen et al. (2026)",
    hypotheses="batches are functions of revealed values; true conditionals; any law",
)
def verify_deterministic(record: Record) -> None:
    for law in small_laws():
        policies = [random_policy(seed) for seed in range(4)]
        policies += [threshold_policy(law, Fraction(k, 10)) for k in (4, 5, 6, 8)]
        for policy in policies:
            left = kl(law, generated_law(law, policy))
            record.equal(left, expected_total_correlation(law, policy), 0, "S = 2, 3, D = 3")
    law = rational_law(random.Random(1), 4, 2)
    for seed in range(6):
        policy = random_policy(seed)
        left = kl(law, generated_law(law, policy))
        record.equal(left, expected_total_correlation(law, policy), 0, "four bits")


@claim(
    "adaptive-policy-all",
    "the same for all 31 deterministic policies of three bits",
    group="beyond",
    source="Wen et al. (2026)",
    hypotheses="as above",
)
def verify_every_policy(record: Record) -> None:
    for law in small_laws()[:3]:
        for policy in all_policies_of_three_bits():
            left = kl(law, generated_law(law, policy))
            record.equal(left, expected_total_correlation(law, policy), 0, "three bits")


@claim(
    "randomised-policy",
    "a randomised policy: KL(p || out) <= E sum_t TC(X_{S_t} | x_{C_t})",
    group="beyond",
    source="convexity",
    hypotheses="draws of the policy depend on revealed values only",
)
def verify_randomised(record: Record) -> None:
    for law in small_laws():
        for seed in range(3):
            policy = random_policy(seed, choices=2)
            left = oracle.kl(law, generated_law(law, policy))
            right = float(expected_total_correlation(law, policy))
            record.at_most(left, right, "two equally likely batches", rounding=1e-15)
    for law in small_laws()[:3]:
        right = expected_total_correlation(law, random_order)
        record.equal(right, mask_averaged_kl(law, (2, 1)), 0, "random order, mean over paths")
        generated = generated_law(law, random_order)
        for x, p in output_law(law, (2, 1)).items():
            record.equal(generated[x], p, 0, "random order, law of the samples")


@claim(
    "randomised-policy-strict",
    "False in general: the equality holds for randomised policies",
    group="fails",
    source="this project",
    hypotheses="fails for random order: the output mixes the paths",
)
def verify_randomised_is_not_an_equality(record: Record) -> None:
    for law in small_laws():
        left = oracle.kl(law, generated_law(law, random_order))
        record.exceeds(float(expected_total_correlation(law, random_order)), left, 1e-3, "order")


@claim(
    "confident-candidates",
    "False in general: single coordinates are exact if the most confident candidates are kept",
    group="fails",
    source="this project",
    hypotheses="fails on independent data: the choice reads values not yet revealed",
)
def verify_candidates(record: Record) -> None:
    for law in small_laws():
        independent = oracle.independent(law)
        output = confident_candidates_law(independent)
        record.equal(sum(output.values()), Fraction(1), 0, "total mass")
        record.exceeds(oracle.kl(independent, output), 0.0, 0.05, "independent data")
