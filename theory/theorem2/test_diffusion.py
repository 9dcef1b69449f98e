"""Theorem 2 for diffusion: random grids, the oracle, known numbers, and a bound that must fail."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import ExponentialSchedule
from theory.claim import Record
from theory.theorem2.bound import bound, distance
from theory.theorem2.diffusion import (
    as_chains,
    compositions,
    engine_distance,
    quantile_student,
    teacher_kernels,
)
from theory.tools import oracle
from theory.tools.finite_mixture import as_dict, random_law


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 20), st.floats(0, 0.99))
def test_bound_on_random_data_and_grids(seed, num_steps, num_latents, share):
    generator = torch.Generator().manual_seed(seed)
    process = UniformProcess(2, ExponentialSchedule())  # the last state still tells of the data
    q_0 = random_law(generator, 4, spread=2.0)
    inner = torch.rand(num_steps - 1, dtype=torch.float64, generator=generator).sort().values
    grid = [0.0, *(0.01 + 0.98 * inner).tolist(), 1.0]
    composed = compositions(teacher_kernels(process, q_0, grid))
    student = quantile_student(composed, grid, 2, num_latents, share)
    chains = as_chains(process, q_0, grid, student)
    left = engine_distance(process, q_0, grid, student)
    torch.testing.assert_close(left, distance(chains).item(), rtol=0, atol=1e-12)
    assert left <= bound(chains).item() + 1e-12


def test_teacher_side_against_the_oracle():
    q_0 = random_law(torch.Generator().manual_seed(2), 4)
    grid = [0.0, 0.3, 0.7, 1.0]
    kernels = [
        oracle.masked_kernel((1 - t) / (1 - s), 2, from_data=s == 0)
        for s, t in itertools.pairwise(grid)
    ]
    expected = oracle.compose(as_dict(q_0, 2, 2), kernels)
    process = MaskedProcess(2)
    composed = compositions(teacher_kernels(process, q_0, grid))
    ours = (exact.forward_law(process, q_0, 1.0) @ composed[-1]).reshape(3, 3)[:2, :2]
    torch.testing.assert_close(
        ours.reshape(-1), torch.tensor(list(expected.values()), dtype=torch.float64)
    )


def test_a_product_student_equals_a_one_step_teacher():
    process, q_0 = MaskedProcess(2), torch.tensor([0.5, 0, 0, 0.5], dtype=torch.float64)
    composed = compositions(teacher_kernels(process, q_0, [0.0, 1.0]))
    student = quantile_student(composed, [0.0, 1.0], 2, 1, 0.0)
    chains = as_chains(process, q_0, [0.0, 1.0], student)
    assert distance(chains).item() == bound(chains).item() == 0.0


def test_half_the_bound_is_rejected():
    process, q_0 = MaskedProcess(2), torch.tensor([0.4, 0.1, 0.1, 0.4], dtype=torch.float64)
    grid = [0.0, 0.25, 0.5, 0.75, 1.0]
    composed = compositions(teacher_kernels(process, q_0, grid))
    student = quantile_student(composed, grid, 2, 1, 0.0)
    record = Record()
    record.at_most(
        engine_distance(process, q_0, grid, student),
        bound(as_chains(process, q_0, grid, student)).item() / 2,
        "half",
    )
    assert not record.holds


def test_a_point_mass_for_each_quantile():
    law = torch.tensor([[0.25, 0.25, 0.0, 0.5]], dtype=torch.float64)
    student = quantile_student([law.repeat(4, 1)], [0.0, 1.0], 2, 4, 1.0)
    assert student.kernel(1.0)[0].tolist() == [0.25, 0.25, 0.0, 0.5]
