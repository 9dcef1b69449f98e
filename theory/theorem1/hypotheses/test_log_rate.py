"""Logarithmic growth without full support: known numbers and other ways to the coefficient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import product_composition, total_variation
from di4c.exact.pairs import log_coefficient
from di4c.processes import two_state_process
from di4c.schedules import quadratic_grid, uniform_grid
from theory.claim import Record
from theory.theorem1.hypotheses.log_rate import (
    HIDDEN,
    LOGARITHMIC,
    VISIBLE,
    coefficient,
    increments,
    n_times_tv,
    quadratic_times,
    two_point,
)
from theory.tools.extrapolation import extrapolate


@pytest.mark.parametrize(
    ("weight", "up", "down", "horizon", "measured", "predicted"),
    [(0.5, 0.3, 1.0, 2.0, 0.2465, 0.2485), (0.7, 0.5, 0.5, 1.0, 0.0842, 0.0840)],
)
def test_known_increments(
    weight: float, up: float, down: float, horizon: float, measured: float, predicted: float
) -> None:
    """(4096 TV_4096 - 1024 TV_1024) / ln 4 and the coefficient, to four digits."""
    chain = (two_point(weight), up, down, horizon)
    growth = (n_times_tv(chain, 4096) - n_times_tv(chain, 1024)) / math.log(4)
    assert growth == pytest.approx(measured, abs=5e-5)
    assert coefficient(chain) == pytest.approx(predicted, abs=5e-5)
    assert coefficient(HIDDEN) == pytest.approx(0.0050, abs=5e-5)


@pytest.mark.parametrize("chain", VISIBLE[:4], ids=lambda chain: str(chain[0].tolist()))
def test_engine_agrees(chain: tuple[np.ndarray, float, float, float]) -> None:
    """The enumerated sampler of the claims and the exact engine, on both grids."""
    p_0, up, down, horizon = chain
    process = two_state_process(up, down, horizon)
    law = torch.from_numpy(p_0)
    for grid, times in ((uniform_grid, None), (quadratic_grid, quadratic_times)):
        output = product_composition(process, law, grid(24, horizon))
        tv = 24 * float(total_variation(output, law.reshape(-1)))
        other = n_times_tv(chain, 24, times) if times else n_times_tv(chain, 24)
        assert other == pytest.approx(tv, abs=1e-12)


rates = st.floats(0.05, 5)


@settings(max_examples=50)
@given(rates, rates, st.integers(0, 3), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_one_zero(up: float, down: float, zero: int, share: float, rest: float) -> None:
    """One zero: c = T R_1 R_2 p_1 p_2 / (R_1 p_1 + R_2 p_2), whatever the opposite state has."""
    p = np.zeros(4)
    p[zero ^ 2], p[zero ^ 1] = rest * share, rest * (1 - share)
    p[zero ^ 3] = 1 - p.sum()
    first = (up if zero & 2 else down) * p[zero ^ 2]
    second = (up if zero & 1 else down) * p[zero ^ 1]
    found = log_coefficient(torch.from_numpy(p.reshape(2, 2)), up, down, 1.5)
    assert found == pytest.approx(1.5 * first * second / (first + second), rel=1e-12)


@settings(max_examples=40)
@given(rates, rates, st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_symmetries(up: float, down: float, weights: list[float]) -> None:
    """Full support gives 0. Swapping coordinates, or values and rates, changes nothing."""
    p = np.array(weights).reshape(2, 2)
    assert log_coefficient(torch.from_numpy(p / p.sum()), up, down, 1.0) == 0
    p[0, 1] = 0.0
    law = torch.from_numpy(p / p.sum())
    value = log_coefficient(law, up, down, 1.0)
    assert log_coefficient(law.T, up, down, 1.0) == pytest.approx(value, rel=1e-12)
    assert log_coefficient(law.flip(0, 1), down, up, 1.0) == pytest.approx(value, rel=1e-12)


def test_a_wrong_coefficient_is_rejected() -> None:
    """A coefficient wrong by 1 %, or 0, fails."""
    chain = VISIBLE[0]
    grown = extrapolate(increments(chain), LOGARITHMIC)
    for wrong in (1.01 * coefficient(chain), 0.0):
        record = Record()
        record.equal(grown, wrong, 1e-4, "wrong coefficient")
        assert not record.holds


@pytest.mark.parametrize(
    ("p_0", "up", "down", "horizon", "message"),
    [
        (torch.full((2, 2), 0.25), -1.0, 1.0, 1.0, r"rate_up must lie in \[0, inf\); got -1.0"),
        (torch.full((2, 2), 0.25), 1.0, math.inf, 1.0, "rate_down must lie in"),
        (torch.full((2, 2), 0.25), 1.0, 1.0, 0.0, "horizon must lie in"),
        (torch.full((2, 2), 0.26), 1.0, 1.0, 1.0, "p_0 must sum to 1"),
        (torch.full((2, 3), 1 / 6), 1.0, 1.0, 1.0, "p_0 must be a"),
        (torch.full((1, 4), 1 / 4), 1.0, 1.0, 1.0, "p_0 must be a"),
    ],
)
def test_bad_input_is_named(
    p_0: torch.Tensor, up: float, down: float, horizon: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        log_coefficient(p_0, up, down, horizon)


def test_a_state_that_is_never_reached_is_carried_over() -> None:
    """Bits that only rise, from 01 and 10: the measure is c at 00 and -c/2 at both, and c = a/4."""
    law = torch.tensor([[0.0, 0.5], [0.5, 0.0]])
    assert log_coefficient(law, 0.8, 0.0, 3.0) == pytest.approx(3.0 * 0.8 / 4, rel=1e-12)
