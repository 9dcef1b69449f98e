"""Kernels and laws of chains with rates of all sizes: against exact numbers, or refused."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from di4c.processes import RateMatrixProcess, gaussian_process, two_state_process
from di4c.processes.stiff import law_by_elimination
from tests.helpers.refusals import assert_refused

powers = st.integers(-300, 300)
_OFF = ~np.eye(3, dtype=bool)


def _exact(rates, elapsed):
    """exp(elapsed R) with the diagonal from the other rates, to sixty digits."""
    size = len(rates)
    with mpmath.workdps(60 + max(0, int(np.log10(np.abs(rates).max() * elapsed)))):
        exact = mpmath.matrix(rates.tolist())
        for i in range(size):
            exact[i, i] = -mpmath.fsum(exact[i, j] for j in range(size) if j != i)
        kernel = mpmath.expm(mpmath.mpf(elapsed) * exact)
        return np.array(kernel.tolist(), dtype=float)


def _rates(logs):
    rates = np.zeros((3, 3))
    rates[_OFF] = [0.0 if log is None else 10.0**log for log in logs]
    np.fill_diagonal(rates, -rates.sum(1))
    return rates


wide = st.lists(st.one_of(st.none(), st.floats(-9, 9)), min_size=6, max_size=6).filter(
    lambda logs: any(log is not None for log in logs)
)


@settings(max_examples=60, deadline=None)
@given(logs=wide, horizon=st.integers(-9, 9).map(lambda k: 10.0**k), share=st.floats(0.01, 1))
@example(logs=[0.0, 0.0, 0.0, -9.0, -9.0, -9.0], horizon=1e9, share=1.0)
def test_a_kernel_of_any_rates_against_mpmath(logs, horizon, share):
    rates = _rates(logs)
    stationary = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    process = RateMatrixProcess(torch.from_numpy(rates), horizon, stationary=stationary)
    kernel = process.transition(0.0, share * horizon).numpy()
    np.testing.assert_allclose(kernel.sum(1), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(kernel, _exact(rates, share * horizon), rtol=0, atol=2e-12)


@settings(max_examples=100, deadline=None)
@given(up=powers, down=powers, horizon=powers)
def test_rows_of_two_states_sum_to_1_at_all_horizons_and_rates(up, down, horizon):
    process = two_state_process(10.0**up, 10.0**down, 10.0**horizon)
    for t in (process.horizon / 3, process.horizon):
        kernel = process.transition(0.0, t).numpy()
        np.testing.assert_allclose(kernel.sum(1), 1, rtol=0, atol=1e-12)
        total = process.rate_matrix.abs().diagonal().sum()
        moved = -torch.expm1(-total * t).numpy()
        expected = np.eye(2) * (1 - moved) + moved * process.prior().numpy()
        np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 12),
    horizon=st.floats(0.01, 150),
    rate=st.floats(0.1, 50),
    width=st.floats(0.05, 500),
)
def test_rows_of_the_gaussian_process_sum_to_1(size, horizon, rate, width):
    options = {"horizon": horizon, "rate_sigma": rate, "stationary_sigma": width}
    assume((size - size // 2) ** 2 / (2 * width**2) < 700)  # no probability underflows
    process = gaussian_process(size, **options)
    for share in (1e-3, 0.5, 1.0):
        rows = process.transition(0.0, share * horizon).sum(-1)
        np.testing.assert_allclose(rows.numpy(), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 0.3, 0.2, 0.15])
def test_a_peaked_gaussian_process_against_mpmath(sigma):
    process = gaussian_process(8, stationary_sigma=sigma)
    elapsed = float(process.integrated_rate(torch.tensor(0.5, dtype=torch.float64)))
    expected = _exact(process.rate_matrix.numpy(), elapsed)
    found = process.transition(0.0, 0.5).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-12)


@settings(max_examples=60, deadline=None)
@given(logs=st.lists(st.floats(-9, 9), min_size=6, max_size=6), scale=st.integers(-250, 250))
def test_the_stationary_law_of_any_rates(logs, scale):
    """The law is given by spanning trees, whose products have no difference of two numbers."""
    rates = _rates(logs)
    a, b, c, d, e, f = (mpmath.mpf(x) for x in rates[_OFF])  # 01 02 10 12 20 21
    trees = [c * e + c * f + d * e, a * e + a * f + b * f, b * c + a * d + b * d]
    expected = [float(tree / mpmath.fsum(trees)) for tree in trees]
    found = RateMatrixProcess(torch.from_numpy(rates * 10.0**scale), 1e-5).prior()
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("fast", "slow"), [(1e8, 1e-8), (1e4, 1e-8), (1.0, 1e-14), (1.0, 1e-200)])
def test_the_stationary_law_of_two_fast_pairs_with_a_slow_link(fast, slow):
    """The net flow of a wrong law is below the rounding of the fast rates."""
    rates = torch.zeros(4, 4, dtype=torch.float64)
    rates[0, 1] = rates[1, 0] = rates[2, 3] = rates[3, 2] = fast
    rates[1, 2], rates[2, 1] = slow, 2 * slow
    rates -= rates.sum(1).diag()
    expected = torch.tensor([1 / 3, 1 / 3, 1 / 6, 1 / 6], dtype=torch.float64)
    torch.testing.assert_close(RateMatrixProcess(rates, 1e-3).prior(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("end", range(3))
def test_all_mass_ends_in_the_absorbing_state(end):
    rates = torch.zeros(3, 3, dtype=torch.float64)
    for k in range(2):  # end + 2 -> end + 1 -> end
        rates[(end + k + 1) % 3, (end + k) % 3] = 1.0
    law = RateMatrixProcess(rates - rates.sum(1).diag()).prior()
    torch.testing.assert_close(law, torch.eye(3, dtype=torch.float64)[end], rtol=0, atol=1e-14)


def test_a_time_for_each_example_has_its_kernel():
    process = gaussian_process(8, stationary_sigma=0.3)
    times = torch.tensor([0.1, 0.7], dtype=torch.float64)
    kernels = process.transition(times / 2, times)
    for kernel, t in zip(kernels, times.tolist(), strict=True):
        torch.testing.assert_close(kernel, process.transition(t / 2, t), rtol=0, atol=1e-14)


def test_a_diagonal_with_rounding_makes_no_mass():
    rates = torch.tensor([[-1.0, 1.0 + 9e-10], [1.0, -1.0]], dtype=torch.float64)
    rows = RateMatrixProcess(rates, 1e3).transition(0.0, 1e3).sum(-1)
    torch.testing.assert_close(rows, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)


def test_what_double_precision_cannot_hold_is_refused_by_name():
    assert_refused(lambda: gaussian_process(8, stationary_sigma=0.1), "stationary_sigma.*got 0.1")
    assert_refused(lambda: gaussian_process(8, horizon=400.0), "horizon = 400.0; it grows by inf")
    assert_refused(lambda: gaussian_process(4, rate_sigma=1e300), r"rate_sigma.*got 1e\+300")
    falling = {"integrated_rate": lambda t: -t}
    rates = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    assert_refused(lambda: RateMatrixProcess(rates, **falling), "integrated_rate must.*-1.0")
    apart = torch.tensor([[0, 0, 0, 0], [0, -1, 1, 0], [0, 1, -1, 0], [0, 0, 0, 0]]).double()
    RateMatrixProcess(apart)  # some law of several


def test_a_state_that_is_left_for_good_has_probability_0():
    """Also the first one, from which the elimination would start otherwise."""
    rates = torch.tensor([[-1.0, 1.0, 0.0], [0.0, -2.0, 2.0], [0.0, 3.0, -3.0]])
    found = law_by_elimination(rates.double())
    torch.testing.assert_close(found, torch.tensor([0.0, 0.6, 0.4], dtype=torch.float64))
