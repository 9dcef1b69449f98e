"""Batch-size bounds: the factors by hand, how loose the bound is, a constant too small."""

import math
import random
import statistics
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.claim import Record
from theory.samplers.unmasking.batch_size_bound import (
    information_of_the_rest,
    li_cai_factor,
    looseness,
    random_laws,
    sharp_factor,
)
from theory.samplers.unmasking.information_curve import (
    batched_curve,
    batched_mask_averaged_kl,
    copies,
    information_curve,
    mask_averaged_kl,
)
from theory.tools import oracle
from theory.tools.exact_logs import entropy, log, restrict, total
from theory.tools.laws import rational_law
from theory.tools.unmasking import compositions


@given(st.lists(st.integers(1, 40), min_size=1))
def test_the_factor_is_the_next_power_of_two_less_1(sizes):
    assert li_cai_factor(sizes) == 2 ** math.ceil(math.log2(max(sizes))) - 1
    assert sharp_factor(sizes) <= li_cai_factor(sizes) < 2 * max(sizes) - 1 or max(sizes) == 1


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_the_curve_ends_at_the_information_of_the_rest(seed):
    law = rational_law(random.Random(seed), 3, 2, least=-3)
    mean = information_of_the_rest(law)
    assert mean == information_curve(law)[-1]
    rests = [restrict(law, [j for j in range(3) if j != i]) for i in range(3)]
    singles = [restrict(law, [i]) for i in range(3)]
    dual = total(entropy(p) for p in singles) + total(map(entropy, rests)) - 3 * entropy(law)
    assert 3 * mean == dual


def test_the_factors_in_the_docstring():
    medians, ratios = {}, []
    for num_dims in (3, 4, 5, 6):
        laws = random_laws(200, num_dims, 2)
        for sizes in compositions(num_dims):
            if max(sizes) > 1:
                ratios += looseness(laws, sizes).tolist()
                medians[sizes] = statistics.median(ratios[-200:])
    assert round(min(ratios), 2) == 1.02
    assert round(max(ratios)) == 48
    assert min(medians, key=medians.get) == (2, 2)
    assert max(medians, key=medians.get) == (2, 1, 1, 1, 1)
    assert round(min(medians.values()), 1) == 1.5
    assert round(max(medians.values()), 1) == 12.7


@pytest.mark.parametrize("sizes", [(2, 1, 1), (1, 3), (2, 2)])
def test_looseness_by_its_definition(sizes):
    laws = random_laws(20, 4, 2)
    bounds = li_cai_factor(sizes) * batched_curve(laws)[-1]
    averages = batched_mask_averaged_kl(laws, sizes)
    torch.testing.assert_close(looseness(laws, sizes), bounds / averages, rtol=1e-8, atol=0)


def test_a_smaller_constant_is_rejected():
    law, record = copies(4), Record()
    for sizes in compositions(4):
        if max(sizes) > 1:
            bound = (sharp_factor(sizes) - Fraction(1, 100)) * information_of_the_rest(law)
            record.at_most(mask_averaged_kl(law, sizes), bound, f"sizes {sizes}")
    assert not record.holds


def test_parity_is_far_below_the_bound():
    parity = {x: Fraction(1, 8) for x in oracle.all_states(4, 2) if sum(x) % 2 == 0}
    assert mask_averaged_kl(parity, (4,)) == log(2)
    assert sharp_factor((4,)) * information_of_the_rest(parity) == 3 * log(2)
