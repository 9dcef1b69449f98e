"""Exact teachers, samples of the data, and long jumps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.denoisers import ExactDenoiser
from di4c.exact import (
    forward_law,
    mixture_composition,
    product_composition,
    states,
)
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import ExponentialSchedule
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value
from tests.helpers.toy_cases import PROCESSES, random_law, setting_of, student_of
from toys.students.training import DataSampler
from toys.teachers.exact import BayesDenoiser
from toys.teachers.jumps import StudentJump, TeacherJump


@given(
    shape=st.sampled_from([(2, 1), (2, 4), (2, 5), (3, 3), (4, 2)]),
    process=st.sampled_from(sorted(PROCESSES)),
    seed=st.integers(0, 10**6),
    t=st.floats(0.01, 1.0),
)
@settings(max_examples=60)
def test_bayes_denoiser_is_the_exact_one_without_its_table(shape, process, seed, t):
    num_values, num_dims = shape
    law = random_law(num_values**num_dims, seed, zeros=seed % 2 == 1)
    noise = PROCESSES[process](num_values)
    x_t = states(num_dims, noise.num_states)
    times = torch.full((len(x_t),), t, dtype=torch.float64)
    expected = ExactDenoiser(noise, law)(x_t, times).exp()
    found = BayesDenoiser(noise, law)(x_t, times).exp()
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("rate", [1e-50, 1e3, 1e50])
def test_bayes_denoiser_of_masked_noise_does_not_depend_on_its_rate(rate):
    """Against the marginals of the data law with the values that are not masked, by enumeration."""
    law, x_0 = random_law(8, 3), states(3, 2)
    x_t = states(3, 3)
    fits = ((x_t[:, None] == x_0) | (x_t[:, None] == 2)).all(-1) * law
    expected = torch.stack([fits @ (x_0 == value).double() for value in range(2)], -1)
    teacher = BayesDenoiser(MaskedProcess(2, ExponentialSchedule(rate=rate)), law)
    found = teacher(x_t, torch.full((len(x_t),), 0.5, dtype=torch.float64)).exp()
    torch.testing.assert_close(found, expected / fits.sum(1)[:, None, None], rtol=0, atol=1e-14)


def test_bayes_denoiser_wants_the_dimensions_of_its_law():
    teacher = BayesDenoiser(MaskedProcess(2), random_law(8, 0))
    with pytest.raises(ValueError, match=r"x_t must have shape .* = \(any, 3\)"):
        teacher(torch.zeros(1, 2, dtype=torch.long), torch.ones(1))


@pytest.mark.parametrize("process", PROCESSES)
def test_data_sampler_draws_the_law(process):
    law = random_law(27, 3, zeros=True)
    samples = DataSampler(setting_of(law, 3, 3, process))(20_000, generator(1))
    assert p_value(samples, law, 3) > P_VALUE
    assert p_value(samples, law.roll(1), 3) < P_VALUE


def test_masked_jump_is_the_exact_reverse_law_in_one_call_a_coordinate():
    law, process = random_law(8, 5, zeros=True), MaskedProcess(2)
    calls = []

    def counted(x_t, t, latent=None):
        calls.append(len(x_t))
        return exact(x_t, t)

    exact = ExactDenoiser(process, law)
    count = 30_000
    x_t = torch.full((count, 3), 2)
    t = torch.ones(count, dtype=torch.float64)
    x_u = TeacherJump(process, counted)(x_t, 0.3 * t, t, generator(2))
    # It is the noised data law itself, without an error of factorisation.
    assert p_value(x_u, forward_law(process, law, 0.3), 3) > P_VALUE
    coarse = mixture_composition(process, exact, [0.3, 1.0], forward_law(process, law, 1.0))
    assert p_value(x_u, coarse, 3) < P_VALUE
    assert len(calls) <= 3


def test_masked_jump_keeps_what_is_revealed_and_its_own_times():
    law, process = random_law(8, 6), MaskedProcess(2)
    x_t = torch.tensor([[0, 2, 2], [2, 2, 2], [1, 0, 1]]).repeat(500, 1)
    t = torch.tensor([0.5, 1.0, 0.2], dtype=torch.float64).repeat(500)
    jump = TeacherJump(process, ExactDenoiser(process, law))
    x_u = jump(x_t, 0.0 * t, t, generator(3))
    assert bool((x_u < 2).all())
    assert torch.equal(x_u[x_t < 2], x_t[x_t < 2])
    assert torch.equal(jump(x_t, t, t, generator(3)), x_t)  # u = t


def test_uniform_jump_is_the_composition_of_its_steps():
    law, process = random_law(9, 7), UniformProcess(3)
    count = 30_000
    start = torch.randint(3, (count, 2), generator=generator(4))
    t = torch.ones(count, dtype=torch.float64)
    jump = TeacherJump(process, BayesDenoiser(process, law), num_steps=2)
    x_u = jump(start, 0.2 * t, t, generator(5))
    assert p_value(x_u, product_composition(process, law, [0.2, 0.6, 1.0]), 3) > P_VALUE
    assert p_value(x_u, product_composition(process, law, [0.2, 1.0]), 3) < P_VALUE


def test_student_jump_draws_a_latent_for_each_step():
    setting = setting_of(random_law(8, 8), 2, 3)
    student = student_of(setting)
    count = 30_000
    t = torch.ones(count, dtype=torch.float64)
    jump = StudentJump(setting.process, student.network.denoiser, student.latent, num_steps=2)
    with torch.no_grad():
        x_u = jump(torch.full((count, 3), 2), 0.0 * t, t, generator(6))
        expected = student.law(2, student.latent.support)
    assert p_value(x_u, expected, 2) > P_VALUE
    assert p_value(x_u, student.law(1, student.latent.support), 2) < P_VALUE
