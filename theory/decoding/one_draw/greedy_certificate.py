r"""Certificates that greedy decoding of several positions finds the most likely state.

Let $c_1, \dots, c_n$ be the confidences of the values of $x^*$. Then
$p(x^*) \ge L = \max(0, \sum_i c_i - (n-1))$, and every other state has
$p(y) \le U = 1 - \min_i c_i$. So L > U certifies that $x^*$ is the most likely state (Fast-dLLM++,
arXiv 2606.02955, as stated in the abstract). Beyond it:

* No other rule that knows only the confidences certifies more: if $L \le U$, some law with these
  confidences has another state that is at least as likely.
* A product of confidences above 1/2 is enough, for every n. By the inequality of the means
  $\sum_i c_i + \min_i c_i \ge n\,(2 \prod_i c_i)^{1/n} > n$ if one of the n numbers is
  $2 \min_i c_i$. The number 1/2 is the best possible.
* A threshold for each confidence alone is not enough, however high it is.
"""

import itertools
import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from theory.claim import Record, claim
from theory.decoding.one_draw.confidence_threshold import largest, one_wrong
from theory.tools import oracle


def bounds(confidences: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """L and U."""
    lower = max(Fraction(0), sum(confidences) - (len(confidences) - 1))
    return lower, 1 - min(confidences)


def least_lead(confidences: Sequence[float]) -> float:
    """The smallest p(x*) - max_y p(y) over all laws of bits with these confidences."""
    states = oracle.all_states(len(confidences), 2)
    leads = []
    for k in range(1, len(states)):
        objective = np.zeros(len(states))
        objective[0], objective[k] = -1, 1
        leads.append(-objective @ largest(objective, states, confidences))
    return min(leads)


def random_confidences(rng: random.Random, num_dims: int) -> list[Fraction]:
    """Confidences from 1/2 to 1 in steps of 1/40, high ones more often."""
    return [1 - Fraction(int(20 * rng.random() ** 2), 40) for _ in range(num_dims)]


@claim(
    "greedy-certificate",
    "Greedy parallel decoding finds the most likely state if L > U, L = max(0, sum c - (n-1)), U = "
    "1 - min c. If L <= U, a law with these confidences has another state at least as likely.",
    group="beyond",
    source="Fast-dLLM++, arXiv 2606.02955, as stated in the abstract; the converse: this project",
    hypotheses="confidences of at least 1/2; checked over all laws of n = 2 and 3 bits by linear "
    "programming",
)
def verify_certificate(record: Record) -> None:
    """The least lead of x* over all laws is L - U where L > 0, and at most 0 where L = 0."""
    rng = random.Random(0)
    for num_dims, _ in itertools.product((2, 3), range(8)):
        confidences = random_confidences(rng, num_dims)
        lower, upper = bounds(confidences)
        lead, what = (
            least_lead([float(c) for c in confidences]),
            f"c = {list(map(str, confidences))}",
        )
        if lower > 0:
            record.equal(lead, float(lower - upper), 1e-9, f"lead, {what}")
        else:
            record.at_most(lead, 0, f"no certificate, {what}", rounding=1e-9)


@claim(
    "greedy-certificate-product",
    "A product of the confidences above 1/2 certifies the greedy decision for every n: it implies "
    "L > U. No smaller number than 1/2 does.",
    group="beyond",
    source="this project",
    hypotheses="any law; the inequality of the arithmetic and the geometric mean; exact rationals",
)
def verify_product(record: Record) -> None:
    """Random confidences just above the threshold, and n - 1 certain coordinates just below."""
    rng = random.Random(1)
    for num_dims in (2, 3, 5, 10, 40):
        for _ in range(20):
            confidences = [
                1 - Fraction(rng.randint(0, 400), 1000 * num_dims) for _ in range(num_dims)
            ]
            rest = np.prod([float(c) for c in confidences[1:]])
            confidences[0] = Fraction(int(1e6 * 0.5001 / rest) + 1, 10**6)
            if confidences[0] > 1:
                continue
            lower, upper = bounds(confidences)
            record.exceeds(lower, upper, 0, f"n = {num_dims}, product just above 1/2")
        share = Fraction(1, 2) - Fraction(1, 10**9)
        lower, upper = bounds([Fraction(1)] * (num_dims - 1) + [share])
        record.exceeds(upper, lower, 0, f"n = {num_dims}, product just below 1/2")


@claim(
    "greedy-certificate-each-alone",
    "False in general: a high threshold for each confidence certifies the greedy decision. With "
    "confidences 1 - 1/n the state x* can be impossible.",
    group="fails",
    source="this project",
    hypotheses="n coordinates of which always exactly one is wrong; exact rationals",
)
def verify_each_alone(record: Record) -> None:
    """Confidences of 1/2, 3/4 and 9/10, and p(x*) = 0."""
    for num_dims in (2, 4, 10):
        law = one_wrong(num_dims, 2, Fraction(1, num_dims))
        for row in oracle.marginals(law):
            record.equal(row[0], 1 - Fraction(1, num_dims), 0, f"confidence, n = {num_dims}")
        record.vanishes(law[(0,) * num_dims], 0, f"p(x*), n = {num_dims}")
        record.exceeds(max(law.values()), 0, Fraction(1, num_dims + 1), f"p(y), n = {num_dims}")
