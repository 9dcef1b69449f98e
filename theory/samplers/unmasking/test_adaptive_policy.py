"""Policies: the path of each x, the number of policies, simulation, known values."""

import functools
import random
from fractions import Fraction

import numpy as np
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from scipy import stats

from theory.claim import Record
from theory.samplers.unmasking.adaptive_policy import (
    all_policies_of_three_bits,
    confident_candidates_law,
    expected_total_correlation,
    generated_law,
    given,
    hidden,
    random_order,
    random_policy,
    reveal,
    threshold_policy,
)
from theory.samplers.unmasking.information_curve import copies
from theory.tools import oracle
from theory.tools.exact_logs import ZERO, kl, log, restrict
from theory.tools.laws import rational_law
from theory.tools.unmasking import path_law


@settings(max_examples=30)
@for_all(st.integers(0, 10**6), st.integers(0, 10**6))
def test_every_state_has_one_path(seed, policy_seed):
    """The batches on the way to x form a partition, and out(x) is the path law of it."""
    law, policy = rational_law(random.Random(seed), 3, 2, least=-1), random_policy(policy_seed)
    generated, divergence = generated_law(law, policy), ZERO
    for x, p in law.items():
        if not p:
            continue
        state, partition = (None,) * 3, []
        while hidden(state):
            ((chance, batch),) = policy(state)
            assert chance == 1
            partition.append(batch)
            state = reveal(state, batch, [x[i] for i in batch])
        along = path_law(law, tuple(partition))[x]
        assert generated[x] == along
        divergence += p * log(p / along)
    assert divergence == expected_total_correlation(law, policy)


def test_there_are_31_policies():
    law = rational_law(random.Random(0), 3, 2)
    outputs = [tuple(sorted(generated_law(law, p).items())) for p in all_policies_of_three_bits()]
    assert len(outputs) == 31
    # Policies of single coordinates are exact: 3 first ones, 2 choices for each of the 2 values.
    assert sum(dict(output) == law for output in outputs) == 3 * 2 * 2
    # The others are not: all at once, one of 3 pairs first, or one of 3 coordinates first and then
    # the other two at once, after value 0, after value 1 or after both.
    assert len(set(outputs)) == 1 + 1 + 3 + 3 * 3


def test_the_samples_of_a_randomised_policy():
    """12000 simulated samples, fixed seed, against the generated law by chi-square at 1e-6."""
    law, number = rational_law(random.Random(3), 3, 2), 12000
    generator = np.random.default_rng(0)

    @functools.cache
    def chances_of_one(state, batch):
        return [float(restrict(given(law, state), [i]).get((1,), 0)) for i in batch]

    counts = dict.fromkeys(law, 0)
    for _ in range(number):
        state = (None,) * 3
        while hidden(state):
            choices = random_order(state)
            batch = choices[generator.integers(len(choices))][1]
            draws = generator.random(len(batch)) < chances_of_one(state, batch)
            state = reveal(state, batch, draws.astype(int).tolist())
        counts[state] += 1
    generated = generated_law(law, random_order)
    observed = [counts[x] for x in generated]
    expected = [number * float(p) for p in generated.values()]
    assert stats.chisquare(observed, expected).pvalue > 1e-6
    # The same test rejects the data law.
    assert stats.chisquare(observed, [number * float(law[x]) for x in generated]).pvalue < 1e-6


def test_threshold_0_is_one_batch_and_threshold_2_single_coordinates():
    law = rational_law(random.Random(4), 3, 3)
    product = oracle.independent(law)
    assert generated_law(law, threshold_policy(law, Fraction(0))) == product
    assert generated_law(law, threshold_policy(law, Fraction(2))) == law


def test_copies_of_a_bit_need_two_steps():
    """After one coordinate the others are certain, so a threshold of 1 is exact."""
    law = copies(4)
    assert generated_law(law, threshold_policy(law, Fraction(1))) == law
    assert expected_total_correlation(law, random_policy(0)) == kl(
        law, generated_law(law, random_policy(0))
    )


def test_confident_candidates_of_two_biased_coins():
    """A one has probability 7/10. The output is 00 after two zeros and a third in the redraw."""
    p = Fraction(7, 10)
    law = {(a, b): (p if a else 1 - p) * (p if b else 1 - p) for a in (0, 1) for b in (0, 1)}
    output = confident_candidates_law(law)
    assert output[0, 0] == (1 - p) ** 3
    assert law[0, 0] == (1 - p) ** 2


def test_a_divergence_off_by_log_101_percent_is_rejected():
    law, policy = copies(3), random_policy(1)
    record = Record()
    right = expected_total_correlation(law, policy) + log(Fraction(101, 100))
    record.equal(kl(law, generated_law(law, policy)), right, 0, "off by log 1.01")
    assert not record.holds
