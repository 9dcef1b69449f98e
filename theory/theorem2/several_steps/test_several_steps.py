"""Several steps of a student: known values, other ways to the formulas, claims that must fail."""

import itertools
import random
from fractions import Fraction

import pytest
import torch

from di4c.processes import UniformProcess
from theory.claim import Record, all_claims
from theory.theorem1.pairs.uniform_pair import EQUAL_BITS_VALUES
from theory.theorem2.several_steps import imperfect, masked, parity, uniform
from theory.tools.laws import rational_law


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4])
def test_one_call_of_a_perfect_student_is_its_teacher(num_steps):
    """Two bits that always agree, linear schedule: the known values of the uniform pair."""
    alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
    spins = uniform.Spins(Fraction(1), alphas)
    assert uniform.closed_form(spins, (0, num_steps)) == EQUAL_BITS_VALUES[num_steps - 1]


def test_two_calls_under_uniform_noise_by_hand():
    """theta = 1, alpha = 1, 1/2, 0; the teacher errs by 17/50 in two steps, by 3/10 in the last.

    Noise at time 2 is pure, so a spin at time 1 is s_0 with probability 3/4: its mean is s_0 / 2.
    So the first call errs by 1/4 of 17/50. The last step gives each spin the mean
    (2/5) (s_1 + s_2), so s_1 s_2 has the mean (8/25) (1 + s_1 s_2): it passes on 8/25.
    """
    spins = uniform.Spins(Fraction(1), [Fraction(1), Fraction(1, 2), Fraction(0)])
    found = uniform.closed_form(spins, (0, 1, 2))
    assert found == Fraction(3, 10) + Fraction(1, 4) * Fraction(17, 50) * Fraction(8, 25)


def test_a_bridge_is_the_posterior_of_the_library():
    process = UniformProcess(2)
    early, late = (uniform.oracle.uniform_kernel(a, 2) for a in (0.6, 0.25 / 0.6))
    for first, last in itertools.product((0, 1), repeat=2):
        row = process.posterior(torch.tensor([first]), torch.tensor([last]), 0.4, 0.75)
        assert uniform._bridge(early, late, first, last) == pytest.approx(row[0].tolist())


@pytest.mark.parametrize(("bits", "steps"), [(2, 3), (3, 2), (3, 4), (5, 3)])
def test_the_last_step_of_the_teacher_by_counting(bits, steps):
    orders = list(itertools.product(range(steps), repeat=bits))
    tied = sum(order.count(min(order)) > 1 for order in orders)
    assert parity.teacher_errs(bits, steps) == Fraction(tied, len(orders))


def test_ratios_by_hand():
    assert parity.ratio(2, 2) == Fraction(3, 4)
    assert parity.ratio(3, 2) == Fraction(7, 8)
    assert parity.ratio(4, 1) == 1


def test_a_perfect_student_has_no_losses():
    teacher = masked.Teacher(rational_law(random.Random(3), 2, 2), masked.linear(3))
    assert imperfect.loss_roots(teacher, teacher.perfect, 3) == 0
    assert imperfect.loss_roots(teacher, imperfect.imperfect(teacher, Fraction(1, 9)), 3) > 0


BROKEN = [
    ("several-steps-uniform", uniform, "uniform_tv", 1.01),
    ("several-steps-uniform-limit", uniform, "integral", lambda theta, rate, t: t),
    ("several-steps-parity", parity, "teacher_errs", 1.01),
    ("several-steps-parity-limit", parity, "ratio", 1.01),
    ("several-steps-losses", imperfect, "loss_roots", 0.01),
    ("several-steps-bound", imperfect, "mean_distance", 0.1),
]


@pytest.mark.parametrize(("name", "module", "function", "by"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_claim_with_a_wrong_side_fails(name, module, function, by, monkeypatch):
    right = getattr(module, function)
    wrong = by if callable(by) else lambda *args: right(*args) * by
    (claim,) = (known for known in all_claims() if known.name == name)
    monkeypatch.setattr(module, function, wrong)
    record = Record()
    claim.verify(record)
    assert record.failures
