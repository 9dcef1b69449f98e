"""The rate of Theorem 1: the increments of N (out_N - p_0) for laws where they are known."""

import math

import pytest
import torch

from di4c.exact.limits import limit_n_tv
from di4c.exact.pairs import log_coefficient
from di4c.processes import MaskedProcess, UniformProcess, two_state_process
from di4c.schedules import CosineSchedule, ExponentialSchedule, uniform_grid
from theory.theorem1.upper_bound.rate import even_law, increments
from theory.theorem1.upper_bound.step_errors import error
from theory.tools.finite_mixture import random_law
from theory.tools.laws import sparse_law


def test_increments_of_a_pair_with_zeros_are_the_logarithm():
    """Each doubling adds 2 c ln 2 to the 1-norm, where c is the coefficient of log N."""
    table = torch.tensor([[0.5, 0.0], [0.0, 0.5]], dtype=torch.float64)
    process = two_state_process(0.3, 1.0, 2.0)
    added = increments(process, table.flatten(), (512, 1024, 2048))[-1]
    assert added == pytest.approx(2 * log_coefficient(table, 0.3, 1.0, 2.0) * math.log(2), rel=0.02)


def test_increments_halve_where_the_expansion_is_regular():
    law = random_law(torch.Generator().manual_seed(0), 8, spread=0.3)
    first, second, third = increments(UniformProcess(2, ExponentialSchedule(1.0, 0.5)), law)
    assert second / first == pytest.approx(0.5, abs=0.03)
    assert third / second == pytest.approx(0.5, abs=0.02)


def test_masked_pairs_have_no_increments():
    """N TV_N of a masked pair is constant on the linear schedule."""
    law = sparse_law(torch.Generator().manual_seed(1), 2, 3)
    assert max(increments(MaskedProcess(3), law)) < 1e-12


def test_increments_show_a_logarithm_that_a_slope_does_not():
    """The local slope of log TV against log N is within 0.15 of -1; increments do not shrink."""
    law = even_law(2, 3)
    process = two_state_process(0.3, 1.0)
    before, after = increments(process, law, (128, 256, 512))
    assert after > 0.85 * before
    coarse, fine = (error(process, law, uniform_grid(n)) for n in (256, 512))
    assert math.log2(fine / coarse) == pytest.approx(-1, abs=0.15)


def test_even_law_has_its_zeros_between_data():
    law = even_law(3, 2).reshape(3, 3)
    assert law[0, 0] * 6 == pytest.approx(1.0)
    assert [[float(v) > 0 for v in row] for row in law] == [
        [True, False, False],
        [False, False, True],
        [False, True, False],
    ]
    with pytest.raises(ValueError, match="6 of its 9 entries are such"):
        limit_n_tv(UniformProcess(3, ExponentialSchedule()), law)
    assert limit_n_tv(UniformProcess(3, CosineSchedule()), law) > 0
