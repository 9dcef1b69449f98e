"""The upper bounds of Theorem 1 in exact rationals; constants that are too small must fail."""

import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import ExponentialSchedule, uniform_grid
from theory.claim import Record
from theory.theorem1.upper_bound import step_errors as upper_bound
from theory.theorem1.upper_bound.step_errors import largest_ratio, masked_bound, uniform_bound
from theory.tools import oracle
from theory.tools.dense_chain import dense_chain
from theory.tools.finite_mixture import random_law
from theory.tools.laws import rational_law
from theory.tools.unmasking import masked_out


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([(2, 3), (3, 2)]), st.integers(1, 5))
def test_masked_bound_in_rationals(seed, shape, num_steps):
    """TV_N <= C(D, 2) / N on the linear schedule, without rounding."""
    law = rational_law(random.Random(seed), *shape, least=-4)
    left = oracle.total_variation(masked_out(law, num_steps), law)
    assert left <= Fraction(shape[0] * (shape[0] - 1), 2 * num_steps)


@settings(max_examples=30)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(2, 3), (3, 2)]),
    st.lists(st.fractions(Fraction(1, 10), Fraction(9, 10), max_denominator=20), max_size=3),
)
def test_uniform_bound_in_rationals(seed, shape, ratios):
    """The bound for the sampler of the oracle; `ratios` are alpha_k / alpha_{k-1}."""
    num_dims, size = shape
    law = rational_law(random.Random(seed), num_dims, size)
    kernels = [oracle.uniform_kernel(r, size) for r in (*ratios, Fraction(1, 2))]
    left = oracle.total_variation(oracle.compose(law, kernels), law)
    rho = max(
        law[x] / law[y]
        for x in law
        for y in law
        if sum(a != b for a, b in zip(x, y, strict=True)) == 1
    )
    changes = [(1 - r) * (size - 1) / size for r in (*ratios, Fraction(1, 2))]
    assert left <= num_dims * (num_dims - 1) * (1 + rho) * sum(h * h for h in changes)
    vector = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
    assert largest_ratio(vector, num_dims, size) == pytest.approx(float(rho))


def test_probability_of_a_change():
    """The probability of a change is at most rho h at every state, and exactly h in the mean."""
    process = UniformProcess(3, ExponentialSchedule())
    law = random_law(torch.Generator().manual_seed(0), 27)
    rho = largest_ratio(law, 3, 3)
    grid = uniform_grid(6)
    chain = dense_chain(process, law, grid)
    table = torch.cartesian_prod(*[torch.arange(3)] * 3)
    changed = (table[:, None] != table[None]).double()
    chance = torch.einsum("kxy,xyd->kxd", chain.true, changed)
    step = (1 - process.survival(grid[:-1], grid[1:])) * 2 / 3
    assert bool((chance <= rho * step[:, None, None]).all())
    mean = torch.einsum("kx,kxd->kd", chain.laws[1:], chance)
    torch.testing.assert_close(mean, step[:, None].expand(-1, 3), rtol=1e-12, atol=0)


def test_known_bounds():
    grid = uniform_grid(4)
    assert masked_bound(MaskedProcess(2), grid, 3) == pytest.approx(3 / 4)
    process = UniformProcess(2, ExponentialSchedule(1.0, 2.0))
    step = (1 - torch.exp(torch.tensor(-0.5, dtype=torch.float64))) / 2
    assert uniform_bound(process, grid, 2, 3.0) == pytest.approx(2 * 4 * 4 * float(step**2))
    assert largest_ratio(torch.tensor([0.5, 0.0, 0.0, 0.5]), 2, 2) == float("inf")


@pytest.mark.parametrize(
    ("name", "factor", "verify"),
    [
        ("masked_bound", 0.999, upper_bound.verify_masked),
        ("error", 1.001, upper_bound.verify_masked),
        ("uniform_bound", 0.5, upper_bound.verify_uniform),
    ],
)
def test_smaller_constants_are_rejected(monkeypatch, name, factor, verify):
    """The masked constant is sharp, the uniform one within a factor of two."""
    right = getattr(upper_bound, name)
    monkeypatch.setattr(upper_bound, name, lambda *args: factor * right(*args))
    record = Record()
    verify(record)
    assert not record.holds
