"""Tau-leaping: the rates are limits of the reverse kernel, and the samples have the right law.

The law is enumerated with scipy: a convolution of Poisson laws for one coordinate, a product over
coordinates, a sum over states and latents.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import expm

from di4c.denoisers import TableDenoiser
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.processes import (
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    gaussian_process,
    two_state_process,
)
from di4c.samplers import poisson_jumps, single_jump, tau_leaping
from di4c.sampling_loop import prior_samples
from di4c.schedules import CosineSchedule, ExponentialSchedule
from tests.helpers.goodness_of_fit import P_VALUE, counts_p_value, generator, p_value

RING = torch.tensor([[-1.0, 0.7, 0.3], [0.2, -0.9, 0.7], [0.8, 0.1, -0.9]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.4, 0.6], dtype=torch.float64)
NUM_SAMPLES = 100_000


def _squared(t: torch.Tensor) -> torch.Tensor:
    return t * t + t / 2


PROCESSES = {
    "ring": RateMatrixProcess(RING, integrated_rate=_squared),
    "two-state": two_state_process(0.3, 1.4),
    "gaussian": gaussian_process(5, rate_sigma=1.5, stationary_sigma=3.0, time_base=0.01),
    "uniform": UniformProcess(3, ExponentialSchedule(rate=0.8)),
    "masked": MaskedProcess(3, CosineSchedule()),
}


@settings(max_examples=50)
@given(st.sampled_from(sorted(PROCESSES)), st.integers(0, 2**31), st.floats(0.1, 0.95))
def test_rates_are_the_limit_of_the_reverse_kernel(name, seed, t):
    process = PROCESSES[name]
    shape = (4, 2, process.num_values)
    probs = torch.rand(shape, generator=generator(seed), dtype=torch.float64)
    probs /= probs.sum(-1, keepdim=True)
    x_t = torch.randint(process.num_states, (4, 2), generator=generator(seed))
    if process.mask_state is not None:  # a known value is its own prediction
        x_t[:] = process.mask_state

    def quotient(step: float) -> torch.Tensor:
        kernel = process.reverse(probs, x_t, t - step, t)
        return kernel.scatter(-1, x_t[..., None], 0.0) / step

    # Richardson extrapolation: three step sizes remove the errors of order h and h^2.
    h = 1e-4
    limit = (quotient(h) - 6 * quotient(h / 2) + 8 * quotient(h / 4)) / 3
    rates = process.reverse_rates(probs, x_t, t)
    torch.testing.assert_close(rates, limit, rtol=2e-5, atol=2e-6)


def test_rates_take_a_time_for_each_example():
    for process in PROCESSES.values():
        times = torch.tensor([0.2, 0.7], dtype=torch.float64)
        probs = torch.full((2, 3, process.num_values), 1 / process.num_values)
        x_t = torch.full((2, 3), process.num_states - 1)
        rates = process.reverse_rates(probs, x_t, times)
        for b in range(2):
            alone = process.reverse_rates(probs[b], x_t[b], float(times[b]))
            torch.testing.assert_close(rates[b], alone)


def test_masked_rates_are_finite_at_the_horizon():
    process = MaskedProcess(2)  # linear: alpha = 0 at the horizon
    probs = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    rates = process.reverse_rates(probs, torch.tensor([2]), 1.0)
    # -alpha' / (1 - alpha) p = p at t = 1.
    torch.testing.assert_close(rates, torch.tensor([[0.3, 0.7, 0.0]], dtype=torch.float64))
    given = process.reverse_rates(probs, torch.tensor([1]), 1.0)
    assert not given.any(), "a value that is not masked stays"


def test_known_values_stay_while_the_rest_is_filled_in():
    process = MaskedProcess(2)
    start = torch.tensor([[0, 2], [1, 2]])
    denoiser = TableDenoiser(torch.full((1, 9, 2, 2), 0.5).log(), 3)
    found = tau_leaping(process, denoiser, start, [0.0, 0.5, 1.0], jumps="single")
    assert found.samples[:, 0].tolist() == [0, 1]
    assert int(found.samples.max()) < 2


def test_the_speed_is_the_derivative_of_the_integrated_rate():
    t = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    torch.testing.assert_close(PROCESSES["ring"].speed(t), 2 * t + 0.5)
    process = gaussian_process(4, time_base=3.0, time_exponential=100.0)
    torch.testing.assert_close(process.speed(t), 3 * math.log(100) * 100**t)


def test_tau_leaping_works_in_inference_mode():
    process, start = PROCESSES["ring"], torch.zeros(3, 1, dtype=torch.long)
    size = process.num_values
    denoiser = TableDenoiser(torch.full((1, size, 1, size), 1 / size).log(), size)
    grid = torch.tensor([0.1, 0.5, 1.0])
    with torch.inference_mode():
        found = tau_leaping(process, denoiser, start, grid, generator=generator(1))
    expected = tau_leaping(process, denoiser, start, grid, generator=generator(1))
    assert torch.equal(found.samples, expected.samples)


def _poisson_law(means: np.ndarray, x: int) -> np.ndarray:
    """The law of clip(x + sum_k n_k (k - x)): convolve the displacements, then clip."""
    size, most = len(means), 40
    reach = most * size * size
    law = np.zeros(2 * reach + 1)
    law[reach] = 1
    for k, mean in enumerate(means):
        if k != x and mean > 0:
            moved = np.zeros_like(law)
            for n, p in enumerate(stats.poisson.pmf(np.arange(most), mean)):
                moved += p * np.roll(law, n * (k - x))
            law = moved
    states = np.clip(np.arange(-reach, reach + 1) + x, 0, size - 1)
    return np.bincount(states, weights=law, minlength=size)


def _single_law(means: np.ndarray, x: int) -> np.ndarray:
    total = means.sum()
    law = means / total * (1 - math.exp(-total)) if total > 0 else np.zeros_like(means)
    law[x] = math.exp(-total)
    return law


LAWS = {"poisson": _poisson_law, "single": _single_law}
JUMPS = {"poisson": poisson_jumps, "single": single_jump}


@pytest.mark.parametrize(
    "means", [[0.0, 0.8, 0.3, 0.1], [0.4, 0.0, 1.5, 0.2], [0.0, 0.0, 0.0, 0.0]]
)
@pytest.mark.parametrize("jumps", JUMPS)
def test_jumps_follow_their_law(jumps, means):
    x = means.index(0.0)
    row = torch.tensor(means, dtype=torch.float64).expand(NUM_SAMPLES, -1)
    drawn = JUMPS[jumps](row, torch.full((NUM_SAMPLES,), x), generator())
    law = torch.from_numpy(LAWS[jumps](np.array(means), x))
    counts = torch.bincount(drawn, minlength=4)
    assert counts_p_value(counts, law) > P_VALUE
    if sum(means) > 0:  # the other kind of jumps is rejected
        other = LAWS["single" if jumps == "poisson" else "poisson"](np.array(means), x)
        assert counts_p_value(counts, torch.from_numpy(other)) < P_VALUE


def _student(num_states: int, num_dims: int) -> TableDenoiser:
    shape = (2, num_states**num_dims, num_dims, num_states)
    logits = torch.randn(shape, generator=generator(3), dtype=torch.float64)
    logits[0, ..., 0] += 3
    logits[1, ..., -1] += 3
    return TableDenoiser(logits.log_softmax(-1), num_states)


def _enumerated(student: TableDenoiser, grid: list[float], jumps: str) -> np.ndarray:
    """The law of tau-leaping in two dimensions on the ring, started from the stationary law."""
    process, size = PROCESSES["ring"], 3
    rates = RING.numpy()
    prior = process.prior().numpy()
    law = np.multiply.outer(prior, prior)
    for s, t in itertools.pairwise(reversed(grid)):
        s, t = t, s  # the grid runs backwards
        kernel = expm((t * t + t / 2) * rates)  # q_{t|0}
        image = np.zeros_like(law)
        for x in itertools.product(range(size), repeat=2):
            for latent, weight in enumerate(WEIGHTS.tolist()):
                probs = student.log_probs[latent, x[0] * size + x[1]].exp().numpy()
                rows = []
                for d, state in enumerate(x):
                    if s == 0:
                        rows.append(probs[d])
                        continue
                    means = np.array(
                        [
                            0.0
                            if k == state
                            else (t - s)
                            * (2 * t + 0.5)
                            * rates[k, state]
                            * sum(
                                kernel[v, k] / kernel[v, state] * probs[d, v] for v in range(size)
                            )
                            for k in range(size)
                        ]
                    )
                    rows.append(LAWS[jumps](means, state))
                image += weight * law[x] * np.multiply.outer(*rows)
        law = image
    return law


@pytest.mark.parametrize("grid", [[0.0, 0.2, 0.5, 0.9], [0.3, 0.6, 0.9]])
@pytest.mark.parametrize("jumps", JUMPS)
def test_tau_leaping_follows_the_enumerated_law(jumps, grid):
    process, student = PROCESSES["ring"], _student(3, 2)
    policy = LatentPolicy(law=FiniteLatent(torch.arange(2), WEIGHTS))
    start = prior_samples(process, NUM_SAMPLES, 2, generator=generator(1))
    samples = tau_leaping(
        process, student, start, grid, latent=policy, jumps=jumps, generator=generator(2)
    ).samples
    law = torch.from_numpy(_enumerated(student, grid, jumps)).flatten()
    assert p_value(samples, law, 3) > P_VALUE
    if grid[0] > 0:
        other = "single" if jumps == "poisson" else "poisson"
        wrong = torch.from_numpy(_enumerated(student, grid, other)).flatten()
        assert p_value(samples, wrong, 3) < P_VALUE


def test_many_small_steps_reach_the_data_law():
    """One dimension and exact rates; 30 steps leave a bias of about 1 %."""
    process = two_state_process(0.8, 1.2)
    q_0 = torch.tensor([0.85, 0.15], dtype=torch.float64)
    kernel = process.transition(0.0, 1.0)
    start = torch.bernoulli((q_0 @ kernel)[1].expand(20_000, 1), generator=generator()).long()

    def denoiser(x_t, t, latent=None):
        joint = q_0[:, None] * process.transition(0.0, float(t[0]))
        return (joint / joint.sum(0)).T[x_t].log()

    grid = torch.linspace(0, 1, 31, dtype=torch.float64)
    samples = tau_leaping(process, denoiser, start, grid, jumps="single", generator=generator(1))
    share = float(samples.samples.double().mean())
    assert share == pytest.approx(0.15, abs=0.02)
    assert samples.nfe == 30
