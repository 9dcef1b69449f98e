"""Laws of samplers with a continuous latent: exact for piecewise constant ones, else close."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.exact.quadrature import latent_counts
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import uniform_grid
from tests.helpers.toy_cases import random_law

NOISES = [MaskedProcess(2), UniformProcess(2)]


def _net(size):
    """A scrambled Sobol' net of points on [0, 1)."""
    sobol = torch.quasirandom.SobolEngine(1, scramble=True, seed=0)
    return sobol.draw(size, dtype=torch.float64)[:, 0]


def _network(x_t, t, latents):
    """Probabilities that vary fast with the latent, and with state and time."""
    angle = 60 * latents[..., None] + x_t + t[:, None, None]
    return torch.stack([angle.sin(), torch.zeros_like(angle)], -1).log_softmax(-1)


def _denoiser(x_t, t, latents):
    return _network(x_t[:, None], t, latents[:, None])[:, 0]


def _quarters(x_t, t, latents):
    return _network(x_t, t, (4 * latents).floor() / 4)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31), evaluations=st.integers(1, 10**5), most=st.sampled_from([1, 8, 512])
)
def test_counts_are_powers_of_two_in_proportion_to_the_law(seed, evaluations, most):
    law = random_law(27, seed, zeros=True)
    counts = latent_counts(law, evaluations, most)
    assert ((counts == 0) == (law == 0)).all()
    for count, p in zip(counts.tolist(), law.tolist(), strict=True):
        wanted = evaluations * p
        if p > 0:
            assert math.log2(count).is_integer()
            assert min(1.0, wanted) / 2 < count <= max(1.0, wanted)
            assert count == most or 2 * count > wanted
            assert count <= most
    assert counts.sum() <= evaluations + len(law)


@pytest.mark.parametrize("process", NOISES, ids=["masked", "uniform"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), nfe=st.integers(1, 3))
def test_a_network_constant_on_quarters_is_integrated_exactly(process, seed, nfe):
    """Four or more points of a net fall equally into four quarters. No state has fewer here."""
    start = random_law(process.num_states**3, seed) + 0.01
    start, grid = start / start.sum(), uniform_grid(nfe)
    points = _net(2**9)
    counts = latent_counts(start, 2**18, 2**9)
    assert counts.min() >= 4
    law = exact.mixture_quadrature(process, _quarters, grid, start, points, 2**18)
    quarters = torch.arange(4) / 4 + 0.125

    def denoiser(x_t, t, latents):
        return _quarters(x_t[:, None], t, latents[:, None])[:, 0]

    expected = exact.mixture_composition(process, denoiser, grid, start, quarters.double())
    torch.testing.assert_close(law, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("process", NOISES, ids=["masked", "uniform"])
def test_the_law_converges_to_that_of_a_fine_grid_of_latents(process):
    grid = uniform_grid(3)
    start = random_law(process.num_states**3, 3)
    fine = (torch.arange(2**11, dtype=torch.float64) + 0.5) / 2**11
    expected = exact.mixture_composition(process, _denoiser, grid, start, fine)
    points, errors = _net(2**10), []
    for evaluations in (2**8, 2**14):
        law = exact.mixture_quadrature(process, _network, grid, start, points, evaluations)
        assert float(law.sum()) == pytest.approx(1, abs=1e-12)
        errors.append(float(exact.total_variation(expected, law)))
    assert errors[1] < 1e-3
    assert errors[1] < errors[0] / 20


def test_each_state_has_its_own_points(monkeypatch):
    """The blocks of points follow each other, and the size of a call changes nothing."""
    process, start = UniformProcess(2), random_law(8, 5)
    points, seen = torch.arange(64.0).double(), []

    def network(x_t, t, latents):
        seen.extend(zip(x_t.flatten(0, 1).tolist(), latents.flatten().tolist(), strict=True))
        assert x_t.stride(1) == 0, "a state must be expanded, not copied"
        return _network(x_t, t, latents / 64)

    laws = []
    for rows in (4, 2**12):
        monkeypatch.setattr(exact.quadrature, "_ROWS", rows)
        seen.clear()
        laws.append(exact.mixture_quadrature(process, network, [0.2, 0.9], start, points, 100))
        assert [value for _, value in seen] == [k % 64 for k in range(len(seen))]
        counts = latent_counts(start, 100, 64)
        for state, count in zip(exact.states(3, 2).tolist(), counts.tolist(), strict=True):
            own = [k for k, (x, _) in enumerate(seen) if x == state]
            assert len(own) == count
            assert own[0] % count == 0, "the points of a state must be a block of the net"
            assert own == list(range(own[0], own[0] + len(own)))
    torch.testing.assert_close(laws[0], laws[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [0, 3, 48])
def test_a_number_of_points_that_is_no_power_of_two_is_refused(size):
    start = torch.full((4,), 0.25, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"power of two in number; got {size}"):
        exact.mixture_quadrature(
            UniformProcess(2), _network, [0.0, 1.0], start, torch.rand(size), 100
        )


def test_a_single_point_is_a_student_without_latents():
    process, start, point = UniformProcess(2), random_law(8, 5), torch.full((1,), 0.3).double()
    found = exact.mixture_quadrature(process, _network, [0.2, 0.9], start, point, 1)
    expected = exact.mixture_composition(process, _denoiser, [0.2, 0.9], start, point)
    torch.testing.assert_close(found, expected)
