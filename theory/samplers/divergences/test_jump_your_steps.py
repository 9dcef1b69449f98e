"""The bound by the paths: plain Python, the time-grid form, two equal bits by hand."""

import itertools
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import product_composition, total_variation
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import uniform_grid
from theory.claim import Record
from theory.samplers.divergences.jump_your_steps import (
    output_divergence,
    path_decomposition,
    step_total_correlations,
)
from theory.samplers.unmasking.information_curve import information_curve
from theory.samplers.unmasking.time_grid_kl import time_grid_form
from theory.tools import oracle
from theory.tools.laws import rational_law


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3, unique=True))
def test_the_bound_in_plain_python(seed, inner):
    """Both sides by the oracle: uniform noise on pairs of three states."""
    weights = [random.Random(seed).random() + 0.01 for _ in range(9)]
    law = oracle.law_from([w / sum(weights) for w in weights], 2, 3)
    times = [0.0, *sorted(inner)]
    laws, kernels = [law], []
    for s, t in itertools.pairwise(times):
        kernels.append(oracle.uniform_kernel((1 - t) / (1 - s), 3))
        laws.append(oracle.noised(laws[-1], kernels[-1]))
    right = sum(
        p * oracle.total_correlation(oracle.reverse_row(law_s, kernel, x))
        for law_s, law_t, kernel in zip(laws, laws[1:], kernels, strict=False)
        for x, p in law_t.items()
    )
    left = oracle.kl(law, oracle.compose(law, kernels))
    assert left <= right + 1e-13
    q_0 = torch.tensor(list(law.values()), dtype=torch.float64)
    process = UniformProcess(3)
    assert sum(step_total_correlations(process, q_0, times)) == pytest.approx(right, abs=1e-12)
    assert output_divergence(process, q_0, times) == pytest.approx(left, abs=1e-12)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_masked_steps_cost_what_the_time_grid_form_says(num_steps):
    law = rational_law(random.Random(num_steps), 4, 2)
    q_0 = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
    survivals = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
    right = float(time_grid_form(information_curve(law), survivals))
    steps = step_total_correlations(MaskedProcess(2), q_0, uniform_grid(num_steps))
    assert sum(steps) == pytest.approx(right, abs=1e-13)


def test_a_masked_pair_in_closed_form():
    """Both coordinates are revealed in step k with probability 1/N^2, so it costs TC(q_0) / N^2."""
    q_0 = torch.tensor([0.4, 0.1, 0.2, 0.3], dtype=torch.float64)
    correlation = oracle.total_correlation(oracle.law_from(q_0.tolist(), 2, 2))
    for num_steps in (1, 2, 7):
        steps = step_total_correlations(MaskedProcess(2), q_0, uniform_grid(num_steps))
        assert steps == pytest.approx([correlation / num_steps**2] * num_steps, abs=1e-14)


def test_two_steps_of_two_equal_bits():
    """Half of the paths reveal both bits at once and cost log 2; the output costs -log(3/4)."""
    law = oracle.law_from([0.5, 0.0, 0.0, 0.5], 2, 2)
    kernels = [oracle.masked_kernel(0.5, 2, from_data=True), oracle.masked_kernel(0.0, 2)]
    log_two, log_four_thirds = 0.6931471805599453, 0.28768207245178096
    paths, output, conditional = path_decomposition(law, kernels)
    assert paths == pytest.approx(log_two / 2, abs=1e-15)
    assert output == pytest.approx(log_four_thirds, abs=1e-15)
    assert conditional == pytest.approx(log_two / 2 - log_four_thirds, abs=1e-15)


def test_the_cost_of_one_step_alone_is_rejected():
    record = Record()
    q_0 = torch.tensor([0.4, 0.1, 0.2, 0.3], dtype=torch.float64)
    grid = uniform_grid(4)
    process = UniformProcess(2)
    steps = step_total_correlations(process, q_0, grid)
    record.at_most(output_divergence(process, q_0, grid), min(steps), "the least step alone")
    assert not record.holds
    assert float(total_variation(q_0, product_composition(process, q_0, grid))) > 0.01
