"""Rates of the divergences: masked pairs in closed form, quadrature, wrong rates."""

import math
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from di4c.exact import total_correlation
from di4c.processes import MaskedProcess, RateMatrixProcess, two_state_process
from theory.claim import Record
from theory.samplers.divergences import kl_rates
from theory.samplers.divergences.kl_limits import (
    masked_path_limit,
    output_limit,
    pair_output_limit,
    pair_path_limit,
    path_limit,
)
from theory.samplers.divergences.kl_rates import STEPS, divergences, measured_samplers
from theory.samplers.unmasking.information_curve import information_curve
from theory.samplers.unmasking.time_grid_kl import time_grid_form
from theory.tools.exact_logs import LogSum
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law
from theory.tools.laws import rational_law


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_a_masked_pair_in_closed_form(seed, num_steps):
    """The output is q_0 + (independent - q_0) / N and the paths cost TC(q_0) / N."""
    q_0 = random_law(torch.Generator().manual_seed(seed), 4)
    square = q_0.reshape(2, 2)
    independent = (square.sum(1)[:, None] * square.sum(0)).reshape(-1)
    output = q_0 + (independent - q_0) / num_steps
    measured = divergences(MaskedProcess(2), q_0, num_steps)
    correlation = float(total_correlation(q_0, 2, 2))
    assert measured.output == pytest.approx(float((q_0 * (q_0 / output).log()).sum()), abs=1e-13)
    assert measured.path == pytest.approx(correlation / num_steps, abs=1e-13)
    assert masked_path_limit(q_0, 2) == pytest.approx(correlation, abs=1e-13)
    chi_square = float(((independent - q_0) ** 2 / q_0).sum())
    assert output_limit(MaskedProcess(2), q_0) == pytest.approx(chi_square / 2, abs=1e-12)


@pytest.mark.parametrize("num_dims", [2, 3, 4])
def test_the_limit_of_masked_paths_without_rounding(num_dims):
    """N path_N is a polynomial of degree D - 1 in 1/N, so D exact values give its limit."""
    law = rational_law(random.Random(num_dims), num_dims, 2)
    curve = information_curve(law)
    nodes = range(1, num_dims + 1)
    limit = LogSum()
    for n in nodes:
        survivals = [1 - Fraction(k, n) for k in range(n + 1)]
        weight = math.prod(  # Lagrange at 1/N = 0
            Fraction(-1, m) / (Fraction(1, n) - Fraction(1, m)) for m in nodes if m != n
        )
        limit += weight * n * time_grid_form(curve, survivals)
    assert limit == Fraction(num_dims, 2) * curve[-1]
    q_0 = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
    assert masked_path_limit(q_0, 2) == pytest.approx(float(limit), abs=1e-13)


@pytest.mark.parametrize(("theta", "rate", "horizon"), [(0.5, 0.5, 1.0), (-0.7, 1.3, 0.4)])
def test_enclosures_agree_with_the_general_formulas(theta, rate, horizon):
    """The same pair as a chain with a rate matrix, by quadrature in floats."""
    process = two_state_process(rate, rate, horizon)
    q_0 = torch.tensor([1 + theta, 1 - theta, 1 - theta, 1 + theta], dtype=torch.float64) / 4
    arguments = [Fraction(str(number)) for number in (theta, rate, horizon)]
    general = path_limit(process, q_0), output_limit(process, q_0)
    assert general[0] == pytest.approx(float(pair_path_limit(*arguments).mid()), rel=1e-9)
    assert general[1] == pytest.approx(float(pair_output_limit(*arguments).mid()), rel=1e-6)


def test_the_integrand_of_a_pair_by_hand():
    """a = r^2; b = r^2 rho^2 where the bits are equal and r^2 / rho^2 where they are not."""

    def density(t):
        w = 0.5 * math.exp(-2 * t)
        equal, unequal = ((1 - w) / (1 + w)) ** 2, ((1 + w) / (1 - w)) ** 2
        value = (1 + w) / 2 * (math.log(1 / equal) - 1 + equal)
        return 0.25 * (value + (1 - w) / 2 * (math.log(1 / unequal) - 1 + unequal))

    enclosed = pair_path_limit(Fraction(1, 2), Fraction(1, 2), Fraction(1))
    assert quad(density, 0, 1)[0] == pytest.approx(float(enclosed.mid()), rel=1e-12)


def test_independent_data_have_path_limit_0():
    rates = torch.tensor([[-1.0, 1.0], [0.5, -0.5]], dtype=torch.float64)
    q_0 = torch.tensor([0.06, 0.14, 0.24, 0.56], dtype=torch.float64)
    assert path_limit(RateMatrixProcess(rates), q_0) == pytest.approx(0, abs=1e-14)


def test_wrong_rates_are_rejected():
    """A limit that is off by 0.1 % is refused, and so is N KL in place of N^2 KL."""
    sampler = measured_samplers()[2]
    values = [n**2 * m.output for n, m in zip(STEPS, sampler.measured, strict=True)]
    record = Record()
    record.equal(extrapolate(values) / (1.001 * sampler.output_limit), 1.0, 1e-4, "limit + 0.1 %")
    record.at_most(sampler.output_limit / 10, STEPS[-1] * sampler.measured[-1].output, "N KL")
    assert len(record.failures) == 2


def test_the_masked_path_rate_is_checked_on_laws_with_zeros(monkeypatch):
    """A limit that is wrong only for laws with zeros is refused."""
    right = kl_rates.masked_path_limit
    monkeypatch.setattr(
        kl_rates,
        "masked_path_limit",
        lambda q_0, num_values: right(q_0, num_values) * (1.001 if (q_0 == 0).any() else 1),
    )
    record = Record()
    kl_rates.verify_path(record)
    assert len(record.failures) == 3
    assert all("zeros of" in line for line in record.failures)
