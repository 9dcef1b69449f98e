r"""Entropy-bounded unmasking: the sum of entropies minus the largest bounds the dependence.

A sampler reveals a batch U in parallel if $\sum_{i \in U} H(x_i) - \max_{i \in U} H(x_i) \le
\gamma$, with entropies given what was revealed before. The error of the step is the total
correlation

$$TC(x_U) = \sum_i H(x_i) - H(x_U) \le \sum_i H(x_i) - \max_i H(x_i),$$

because a joint entropy is at least each of its parts. So each step costs at most gamma in KL, and
$\sqrt{\gamma / 2}$ in total variation by Pinsker's inequality. The bound is attained by coordinates
that are functions of the one of largest entropy. The rule is that of the EB-Sampler (Ben-Hamu et
al. 2025), of which we know the abstract; the statements here are derived.

It is a bound and no measure: independent coordinates have no error and any sum of entropies. And a
small entropy of each coordinate alone says nothing about many of them.
"""

import itertools
import math
import random

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import rational_law, repetition
from theory.tools.oracle import Law

SOURCE = "EB-Sampler, Ben-Hamu et al. 2025, as stated in the abstract"


def entropies(law: Law) -> list[float]:
    """The entropy of each coordinate."""
    return [oracle.entropy({(v,): p for v, p in row.items()}) for row in oracle.marginals(law)]


def budget(law: Law) -> float:
    """The sum of the entropies minus the largest."""
    values = entropies(law)
    return math.fsum(values) - max(values)


def functions_of_one(rng: random.Random, num_dims: int, num_states: int) -> Law:
    """The first coordinate is random; the others are functions of it."""
    weights = [rng.randint(1, 9) for _ in range(num_states)]
    maps = [[rng.randrange(num_states) for _ in range(num_states)] for _ in range(num_dims - 1)]
    law = dict.fromkeys(oracle.all_states(num_dims, num_states), 0.0)
    for v, weight in enumerate(weights):
        law[(v, *(each[v] for each in maps))] += weight / sum(weights)
    return law


@claim(
    "entropy-rule",
    "A batch drawn in parallel costs at most the sum of its entropies minus the largest, in KL, "
    "and half of that under a square root in TV.",
    group="beyond",
    source=SOURCE,
    hypotheses="exact conditionals; the laws given what was revealed before",
)
def verify_rule(record: Record) -> None:
    """Random laws, with and without zeros; an equality for functions of one coordinate."""
    rng = random.Random(0)
    for num_dims, num_states, least in itertools.product((2, 3, 4), (2, 3), (1, -6)):
        law = rational_law(rng, num_dims, num_states, least)
        what = f"D = {num_dims}, S = {num_states}, least weight {least}"
        correlation = oracle.total_correlation(law)
        record.at_most(correlation, budget(law), f"KL, {what}")
        distance = float(oracle.total_variation(law, oracle.independent(law)))
        record.at_most(distance, math.sqrt(budget(law) / 2), f"TV, {what}", largest=1)
    for num_dims, num_states in itertools.product((2, 3), (3, 4)):
        law = functions_of_one(rng, num_dims, num_states)
        what = f"functions of one, D = {num_dims}, S = {num_states}"
        record.equal(oracle.total_correlation(law), budget(law), 1e-12, what)


@claim(
    "entropy-rule-each-alone",
    "False in general: coordinates of small entropy can be drawn in parallel. Many equal bits have "
    "any small entropy each and a total correlation that grows with their number.",
    group="fails",
    source="this project",
    hypotheses="a threshold for each coordinate, none for the sum",
)
def verify_each_alone(record: Record) -> None:
    """All bits are 0, or all are 1 with a small probability: TC = (D - 1) H."""
    for num_dims in (2, 4, 8):
        rare = 1 / 50
        law = {x: p * 2 * (rare if x[0] else 1 - rare) for x, p in repetition(num_dims).items()}
        single = -rare * math.log(rare) - (1 - rare) * math.log(1 - rare)
        record.at_most(max(entropies(law)), 0.1, f"entropy of each, D = {num_dims}")
        correlation = oracle.total_correlation(law)
        record.equal(correlation, (num_dims - 1) * single, 1e-12, f"TC, D = {num_dims}")
        record.exceeds(correlation, 0, 0.09 * (num_dims - 1), f"grows, D = {num_dims}")
