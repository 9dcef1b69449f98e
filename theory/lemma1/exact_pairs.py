"""Lemma 1 for pairs: an exact step error, and an example where no uniform bound holds.

K is the true reverse kernel of a step from t to s, P the product of its marginals.

Masked noise, two coordinates: TV(K, P) = ((alpha_s - alpha_t) / (1 - alpha_t))^2 d_12 where both
coordinates are masked, with d_12 = TV(p_0, p_0^1 x p_0^2), and 0 elsewhere. There is no remainder.

Lemma 1 holds at fixed t and x. A bound that is uniform in t and x needs full support: for two
bits that always agree, 00 or 11 with probability 1/2 each, under uniform noise, the error at
t = eps is 1/2 for every eps.
"""

import itertools
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import rational_law, repetition
from theory.tools.oracle import Law, State


def masked_step_error(law: Law, alpha_s: Fraction, alpha_t: Fraction, x_t: State) -> Fraction:
    """TV(K, P) of one step of masked noise at x_t, from the oracle."""
    num_values = max(map(max, law)) + 1
    earlier = oracle.noised(law, oracle.masked_kernel(alpha_s, num_values, from_data=True))
    kernel = oracle.masked_kernel(alpha_t / alpha_s, num_values)
    row = oracle.reverse_row(earlier, kernel, x_t)
    return oracle.total_variation(row, oracle.independent(row)) if row else Fraction(0)


@claim(
    "lemma1-masked",
    "Masked pair: the error of a step from t to s is exactly "
    "((alpha_s - alpha_t) / (1 - alpha_t))^2 d_12 where both coordinates are masked, and 0 "
    "elsewhere.",
    group="sharper",
    source="Lemma 1; the identity: this project",
    hypotheses="D = 2; any vocabulary, p_0 (zeros allowed) and step size; exact rationals",
)
def verify_masked(record: Record) -> None:
    """Where both are masked, against the closed form; elsewhere the largest error is 0."""
    rng = random.Random(4)
    times = ((1, 2), (3, 4), (9, 10), (1, 9), (0, 5), (2, 7))
    for num_values, (s, t) in itertools.product((2, 3, 4, 5), times):
        law = rational_law(rng, 2, num_values, least=0)
        alpha_s, alpha_t = 1 - Fraction(s, 10), 1 - Fraction(t, 10)
        dependence = oracle.total_variation(law, oracle.independent(law))
        errors = {
            x_t: masked_step_error(law, alpha_s, alpha_t, x_t)
            for x_t in oracle.all_states(2, num_values + 1)
        }
        left = errors.pop((num_values, num_values))
        right = ((alpha_s - alpha_t) / (1 - alpha_t)) ** 2 * dependence
        record.equal(left, right, 0, f"S = {num_values}, s = {s}/10, t = {t}/10: both masked")
        record.vanishes(max(errors.values()), 0, f"S = {num_values}, t = {t}/10: elsewhere")


def first_step_error(law: Law, redraw: Fraction) -> Fraction:
    """max_x TV(K, P) of the step from t = eps to 0 under uniform noise; `redraw` is 1 - alpha."""
    kernel = oracle.uniform_kernel(1 - redraw, 2)
    rows = [oracle.reverse_row(law, kernel, x) for x in law]
    return max(oracle.total_variation(row, oracle.independent(row)) for row in rows)


@claim(
    "lemma1-uniformly",
    "False in general: max_x TV(K(.|x), P(.|x)) = O(eps^2) also at t = eps. Two bits that always "
    "agree, uniform noise: it is 1/2 for every eps.",
    group="fails",
    source="this project; a limit of Lemma 1",
    hypotheses="Lemma 1 is pointwise in t and x; a uniform bound needs full support",
)
def verify_pointwise(record: Record) -> None:
    """Equal bits: error 1/2 at t = eps for every eps. Full support: at most C eps^2."""
    equal_bits = repetition(2)
    full = {x: (p + Fraction(1, 40)) / Fraction(11, 10) for x, p in equal_bits.items()}
    # The constant of lemma1-binary at t = 0 and x = 01, the worst state; a rate is 1/2 here.
    constant = (full[0, 0] ** 2 - full[0, 1] ** 2) / full[0, 1] ** 2 / 2
    for k in range(6, 22):
        bound = constant / 4**k
        error = first_step_error(equal_bits, Fraction(1, 2**k))
        record.equal(error, Fraction(1, 2), 0, f"equal bits, eps = 2^-{k}")
        record.exceeds(error, bound, 0.4, f"equal bits exceed C eps^2, eps = 2^-{k}")
        error = first_step_error(full, Fraction(1, 2**k))
        record.at_most(error, bound, f"full support: C eps^2, eps = 2^-{k}")
