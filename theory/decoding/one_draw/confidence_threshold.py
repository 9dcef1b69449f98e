r"""Positions whose marginals are all sure: greedy decoding in parallel, and how far it errs.

A law p on $S^n$ and a state $x^*$ whose values have confidences $c_i = P(x_i = x^*_i)$. Parallel
decoding treats the coordinates as independent, with the law $q = \prod_i p_i$.

* If all $c_i > 1 - \varepsilon$ with $(n+1)\varepsilon \le 1$, then $x^*$ is the most likely
  state: $p(x^*) \ge 1 - n\varepsilon \ge \varepsilon > p(y)$. With $(n+1)\varepsilon > 1$ it need
  not be.
* Under the same condition $d_{TV}(p, q) \le 1 - (1-\varepsilon)^n \le n\varepsilon$. Proof. TV is 1
  minus the overlap $\sum \min(p, q)$. If $p(x^*) \ge q(x^*)$, the overlap is at least
  $q(x^*) \ge (1-\varepsilon)^n$. Otherwise let $m_k$ be the probability of k wrong coordinates. The
  overlap is at least $m_0 + (1-\varepsilon)^{n-1} m_1$, where $\sum_k k\, m_k \le n\varepsilon$ and
  $m_0 \ge 1 - n\varepsilon$. The least value of this is at least $(1-\varepsilon)^n$.
* The constant is sharp: let all coordinates be wrong at once, with probability $\varepsilon$, and
  share one of S - 1 wrong values. Then TV is
  $1 - (1-\varepsilon)^n - (S-1)^{1-n}\varepsilon^n$. For two values this is the largest TV of all
  laws with these confidences, for every n: in the first case p has another state y with
  $p(y) \ge q(y) \ge \varepsilon^n$, or its whole rest counts; the second overlap is larger anyway.
  For a given S > 2 we have not proved that it is the largest.

Fast-dLLM states the first part, and $d_{TV} < (3n-1)\varepsilon/2$. We know its Theorem 1 from a
summary only; the proofs here are ours.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.oracle import Law, State

SOURCE = "Fast-dLLM, Theorem 1"


def all_wrong_together(num_dims: int, num_states: int, epsilon: Fraction) -> Law:
    """All coordinates are 0, or, with probability epsilon, all are the same other value."""
    law = dict.fromkeys(oracle.all_states(num_dims, num_states), Fraction(0))
    for v in range(num_states):
        law[(v,) * num_dims] = epsilon / (num_states - 1) if v else 1 - epsilon
    return law


def one_wrong(num_dims: int, num_states: int, epsilon: Fraction) -> Law:
    """Exactly one coordinate is 1, each with probability epsilon; otherwise all are 0."""
    law = dict.fromkeys(oracle.all_states(num_dims, num_states), Fraction(0))
    for d in range(num_dims):
        law[(*(0,) * d, 1, *(0,) * (num_dims - d - 1))] = epsilon
    law[(0,) * num_dims] = 1 - num_dims * epsilon
    return law


def largest(
    objective: Sequence[float], states: Sequence[State], confidences: Sequence[float]
) -> np.ndarray:
    """The law with these confidences of the state 0...0 that maximises a linear objective."""
    right = np.array([[x[d] == 0 for x in states] for d in range(len(confidences))], float)
    equations = np.vstack([right, np.ones(len(states))])
    values = np.array([*confidences, 1.0])
    found = linprog(-np.asarray(objective), A_eq=equations, b_eq=values, method="highs")
    assert found.success, found.message
    return found.x


def independent(states: Iterable[State], confidences: Sequence[float]) -> np.ndarray:
    """The product law of bits that are 0 with these probabilities."""
    rows = [[c if v == 0 else 1 - c for v, c in zip(x, confidences, strict=True)] for x in states]
    return np.prod(rows, 1)


@functools.cache
def subsets_up_to_order(num_dims: int) -> list[tuple[int, ...]]:
    """Sets of states of n bits, as 0 and 1, one of each orbit of the order of the coordinates."""
    states = oracle.all_states(num_dims, 2)
    moves = [
        [states.index(tuple(x[d] for d in order)) for x in states]
        for order in itertools.permutations(range(num_dims))
    ]
    sets = itertools.product((0, 1), repeat=len(states))
    return [a for a in sets if all(a <= tuple(a[k] for k in move) for move in moves)]


@claim(
    "confidence-threshold-argmax",
    "If n coordinates have confidences above 1 - e and (n+1) e <= 1, then the most likely state is "
    "that of the confident values: p(x*) - p(y) >= 1 - (n+1) e.",
    group="beyond",
    source=SOURCE,
    hypotheses="any law on S^n; the least difference by linear programming for n = 2, 3, 4 bits",
)
def verify_argmax(record: Record) -> None:
    """The smallest p(x*) - p(y) over all laws is 1 - (n+1) e for one wrong value, else 1 - n e."""
    for num_dims, epsilon in itertools.product((2, 3, 4), (0.02, 0.1, 0.19)):
        states = oracle.all_states(num_dims, 2)
        for ones in range(1, num_dims + 1):
            objective = np.zeros(len(states))
            objective[states.index((1,) * ones + (0,) * (num_dims - ones))] = 1
            objective[0] -= 1
            least = -objective @ largest(objective, states, [1 - epsilon] * num_dims)
            right = 1 - (num_dims + (ones == 1)) * epsilon
            record.equal(least, right, 1e-9, f"n = {num_dims}, e = {epsilon}, {ones} wrong")


@claim(
    "confidence-threshold-argmax-fails",
    "False in general: coordinates that are each almost certain are decoded together correctly. "
    "With (n+1) e > 1 the most likely state can be another one, which parallel decoding misses.",
    group="fails",
    source="this project; a limit of Fast-dLLM, Theorem 1",
    hypotheses="n e <= 1 < (n+1) e; exactly one coordinate is wrong; exact rationals",
)
def verify_argmax_fails(record: Record) -> None:
    """Confidences above 1 - e for each coordinate, and a state that is more likely than x*."""
    for num_dims in (2, 3, 5, 9):
        epsilon = Fraction(2, 2 * num_dims + 1)
        law = one_wrong(num_dims, 2, epsilon)
        for row in oracle.marginals(law):
            record.equal(row[0], 1 - epsilon, 0, f"confidence, n = {num_dims}")
        other = law[(1, *(0,) * (num_dims - 1))]
        by = 1 / Fraction(2 * num_dims + 2)
        record.exceeds(other, law[(0,) * num_dims], by, f"another state, n = {num_dims}")


@claim(
    "confidence-threshold-tv",
    "Under the same condition TV(p, product) <= 1 - (1-e)^n <= n e. The stated bound "
    "(3n-1) e / 2 is larger.",
    group="beyond",
    source="this project; a constant for Fast-dLLM, Theorem 1",
    hypotheses="confidences at least 1 - e, (n+1) e <= 1; any S; checked at extreme laws of n bits",
)
def verify_tv(record: Record) -> None:
    """Laws that maximise random linear objectives, with equal and with unequal confidences."""
    rng = np.random.default_rng(0)
    for num_dims, share in itertools.product((2, 3, 4, 5), (0.3, 1.0)):
        states, epsilon = oracle.all_states(num_dims, 2), share / (num_dims + 1)
        bound = 1 - (1 - epsilon) ** num_dims
        what = f"n = {num_dims}, e = {epsilon:.3f}"
        record.at_most(bound, num_dims * epsilon, what)
        record.at_most(
            num_dims * epsilon, (3 * num_dims - 1) * epsilon / 2, f"stated bound, {what}"
        )
        for k in range(8):
            confidences = 1 - epsilon * (
                rng.uniform(0.2, 1, num_dims) if k % 2 else np.ones(num_dims)
            )
            law = largest(rng.normal(size=len(states)), states, confidences)
            left = np.abs(law - independent(states, confidences)).sum() / 2
            record.at_most(left, bound, what, rounding=1e-9, largest=1)


@claim(
    "confidence-threshold-tv-sharp",
    "1 - (1-e)^n is sharp: if all coordinates are wrong together, with one of S - 1 values, TV is "
    "1 - (1-e)^n - (S-1)^(1-n) e^n.",
    group="beyond",
    source="this project",
    hypotheses="exact rationals; S -> infinity gives the supremum, which no law attains",
)
def verify_tv_sharp(record: Record) -> None:
    """Total variation by the oracle; n = 2 and 3 bits give n e (1 - e)."""
    for num_dims, num_states in itertools.product((2, 3, 4), (2, 3, 5)):
        for epsilon in (Fraction(1, 10), Fraction(1, num_dims + 1)):
            law = all_wrong_together(num_dims, num_states, epsilon)
            left = oracle.total_variation(law, oracle.independent(law))
            missing = epsilon**num_dims / Fraction(num_states - 1) ** (num_dims - 1)
            what = f"n = {num_dims}, S = {num_states}, e = {epsilon}"
            record.equal(left, 1 - (1 - epsilon) ** num_dims - missing, 0, what)
            if num_states == 2 and num_dims < 4:
                record.equal(left, num_dims * epsilon * (1 - epsilon), 0, f"n e (1-e), {what}")


@claim(
    "confidence-threshold-tv-bits",
    "Bits with confidences 1 - e: the largest TV(p, product) of all laws is 1 - (1-e)^n - e^n.",
    group="beyond",
    source="this project",
    hypotheses="(n+1) e <= 1; proved for every n, checked for n = 2 and 3 by linear programs over "
    "all sets of states",
)
def verify_tv_bits(record: Record) -> None:
    """TV is the largest p(A) - q(A), so one linear program for each set A finds the supremum."""
    for num_dims, epsilon in ((2, 0.05), (2, 1 / 3), (3, 0.1), (3, 0.25)):
        states, confidences = oracle.all_states(num_dims, 2), [1 - epsilon] * num_dims
        product = independent(states, confidences)
        best = max(
            float(np.dot(a, largest(a, states, confidences) - product))
            for a in subsets_up_to_order(num_dims)
        )
        right = 1 - (1 - epsilon) ** num_dims - epsilon**num_dims
        record.equal(best, right, 1e-9, f"n = {num_dims}, e = {epsilon:.3f}")
