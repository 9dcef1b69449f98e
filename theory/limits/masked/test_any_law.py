"""The limit for masked noise by hand and from the general formula; wrong weights must fail."""

from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact.limits import limit_direction
from di4c.processes import InterpolatingProcess, MaskedProcess
from di4c.schedules import CosineSchedule, ExponentialSchedule
from theory.claim import Record
from theory.limits.masked import any_law as masked_limit
from theory.limits.masked.any_law import masked_direction, polynomial_limit
from theory.tools import oracle
from theory.tools.finite_mixture import random_law
from theory.tools.laws import sparse_law


def test_repetition_by_hand():
    """D = 3: two bits that disagree (c_0 = 1/2, probability 1/4) leave the third bit fair."""
    equal_bits = {x: Fraction(int(len(set(x)) == 1), 2) for x in oracle.all_states(3, 2)}
    direction = masked_direction(equal_bits)
    for x, value in direction.items():
        assert value == (Fraction(-3, 8) if len(set(x)) == 1 else Fraction(1, 8))


def test_masked_as_one_more_state_of_a_general_chain():
    """The masked formula against the general one on S + 1 states, all of which are reached."""
    generator = torch.Generator().manual_seed(1)
    for schedule in (ExponentialSchedule(1.3), CosineSchedule(0.8)):
        law = random_law(generator, 2**3)
        wide = torch.zeros(3, 3, 3, dtype=torch.float64)
        wide[:2, :2, :2] = law.reshape(2, 2, 2)
        chain = InterpolatingProcess(torch.tensor([0.0, 0.0, 1.0]).double(), schedule)
        right = limit_direction(chain, wide).reshape(3, 3, 3)
        left = limit_direction(MaskedProcess(2, schedule), law)
        torch.testing.assert_close(left, right[:2, :2, :2].flatten(), rtol=0, atol=1e-9)
        assert float(right[2].abs().max()) < 1e-12


def test_polynomial_limit():
    assert polynomial_limit({n: 3 + Fraction(5, n) - Fraction(7, n**2) for n in (1, 2, 3)}) == 3


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([(2, 4), (3, 2), (4, 2)]))
def test_the_schedule_only_scales_the_limit_of_two_coordinates(seed, shape):
    """V has total mass 0 for any D; for D = 2 another schedule multiplies it by a number."""
    generator = torch.Generator().manual_seed(seed)
    law = sparse_law(generator, *shape)
    fast = limit_direction(MaskedProcess(shape[1], ExponentialSchedule(1.0, 3.0)), law)
    linear = limit_direction(MaskedProcess(shape[1]), law)
    assert abs(float(fast.sum())) < 1e-13
    if shape[0] == 2:  # c_0 is the only weight
        weight = 1.5 * (1 - torch.exp(torch.tensor(-6.0, dtype=torch.float64)))
        torch.testing.assert_close(fast, weight * linear, rtol=1e-10, atol=1e-14)


def test_a_wrong_weight_is_rejected(monkeypatch):
    """With (m + 1)! in place of m! the claim fails."""
    wrong = {0: 1, 1: 2, 2: 6}
    monkeypatch.setattr(masked_limit.math, "factorial", lambda m: wrong.get(m, 24))
    record = Record()
    masked_limit.verify_masked_exactly(record)
    assert not record.holds
