"""Arbitrary product kernels: the sampler in other ways, and wrong kernels that must fail."""

import math
import random
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.claim import Record
from theory.theorem1.hypotheses import arbitrary_products
from theory.theorem1.hypotheses.arbitrary_products import all_mask, batches, generate, reveal
from theory.tools import oracle
from theory.tools.laws import parity, rational_law, repetition
from theory.tools.unmasking import masked_out


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([(2, 3), (3, 2)]))
def test_sequential_generation_is_the_chain_rule(seed, shape):
    law = rational_law(random.Random(seed), *shape, least=-3)
    kernels = batches(law, [[d] for d in range(shape[0])])
    out = generate(all_mask(*shape), kernels)
    assert {x: p for x, p in out.items() if p} == {x: p for x, p in law.items() if p}


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_revealing_in_every_way_is_the_marginal_matching_sampler(seed):
    """D = 2: the mean over the steps that reveal each coordinate equals the oracle's sampler."""
    law = rational_law(random.Random(seed), 2, 3, least=-3)
    together = generate(all_mask(2, 3), [reveal(law, [], [0, 1])])
    for num_steps in (1, 2, 5):
        share = Fraction(1, num_steps)
        out = masked_out(law, num_steps)
        assert all(out[x] == share * together.get(x, 0) + (1 - share) * law[x] for x in law)


def test_minimum_over_product_laws_on_a_grid():
    """On a grid of all (a, b) in steps of 1/400 the error is never below sqrt2 - 1."""
    ones = np.linspace(0, 1, 401)
    a, b = ones[:, None], ones[None, :]
    both, none = a * b, (1 - a) * (1 - b)
    distance = (abs(both - 0.5) + abs(none - 0.5) + (1 - both - none)) / 2
    assert math.sqrt(2) - 1 <= distance.min() < math.sqrt(2) - 1 + 1e-2
    assert distance[200, 200] == 0.5


def test_one_batch_is_not_enough():
    """A sampler that draws all bits at once has an error of at least 1/2."""
    for law in (parity(3), repetition(3)):
        out = generate(all_mask(3, 2), batches(law, [[0, 1, 2]]))
        assert oracle.total_variation(out, law) >= Fraction(1, 2)


def test_a_wrong_order_is_rejected(monkeypatch):
    """Parity with one bit first and the others at once: the claim fails."""
    monkeypatch.setattr(arbitrary_products, "repetition", parity)
    record = Record()
    arbitrary_products.verify_two_steps(record)
    assert not record.holds


def test_a_wrong_optimum_is_rejected(monkeypatch):
    """With 3/5 in place of 1/sqrt2 the product law is not the best one, and the claim fails."""
    monkeypatch.setattr(arbitrary_products.math, "isqrt", lambda _: 6 * 2**40 // 10)
    record = Record()
    arbitrary_products.verify_one_step(record)
    assert not record.holds
