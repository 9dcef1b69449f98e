"""Forward processes: Markov and Bayes identities at random times, by dense matrices and scipy."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from di4c.processes import (
    InterpolatingProcess,
    MaskedProcess,
    PiecewiseProcess,
    RateMatrixProcess,
    UniformProcess,
    absorbing_process,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule

_CYCLE = torch.tensor(
    [[-1.0, 1.0, 0.0], [0.0, -2.0, 2.0], [0.5, 0.0, -0.5]], dtype=torch.float64
)  # not reversible
PROCESSES = {
    "masked": MaskedProcess(3),
    "masked_cosine": MaskedProcess(2, CosineSchedule(2.0)),
    "uniform": UniformProcess(4),
    "uniform_exponential": UniformProcess(2, ExponentialSchedule(2.0, rate=1.4)),
    "absorbing": absorbing_process(LinearSchedule()),
    "two_state": two_state_process(0.3, 1.1, 2.0),
    "falling": two_state_process(0.0, 0.8, 2.0),
    "gaussian": gaussian_process(8, rate_sigma=1.5, stationary_sigma=3.0),
    "cycle": RateMatrixProcess(_CYCLE, 1.5, integrated_rate=lambda t: t + t * t),
    "piecewise": PiecewiseProcess(
        [UniformProcess(2, ExponentialSchedule(1.0)), two_state_process(0.5, 0.5)]
    ),
}
REVERSIBLE = ["uniform", "uniform_exponential", "two_state", "gaussian"]
process_names = pytest.mark.parametrize("name", PROCESSES)
three_times = st.lists(st.integers(0, 1000).map(lambda k: k / 1000), min_size=3, max_size=3).map(
    sorted
)


def _generator(seed):
    return torch.Generator().manual_seed(seed)


@process_names
@settings(max_examples=40)
@given(times=three_times)
def test_transitions_are_stochastic_and_compose(name, times):
    process = PROCESSES[name]
    s, u, t = (process.horizon * x for x in times)
    kernel = process.transition(s, t)
    assert (kernel >= 0).all()
    ones = torch.ones(process.num_states, dtype=torch.float64)
    torch.testing.assert_close(kernel.sum(1), ones, rtol=0, atol=1e-13)
    composed = process.transition(s, u) @ process.transition(u, t)
    torch.testing.assert_close(composed, kernel, rtol=0, atol=1e-13)
    torch.testing.assert_close(process.transition(t, t), ones.diag(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", REVERSIBLE)
@settings(max_examples=40)
@given(times=three_times)
def test_detailed_balance(name, times):
    process = PROCESSES[name]
    flow = process.prior()[:, None] * process.transition(
        times[0] * process.horizon, times[2] * process.horizon
    )
    torch.testing.assert_close(flow, flow.T, rtol=0, atol=1e-14)


@process_names
def test_the_prior_is_stationary(name):
    process = PROCESSES[name]
    law = process.prior()
    assert float(law.sum()) == pytest.approx(1, abs=1e-14)
    moved = law @ process.transition(0.1, 0.9)
    torch.testing.assert_close(moved, law, rtol=0, atol=1e-13)


@process_names
@settings(max_examples=40)
@given(times=three_times, seed=st.integers(0, 2**31))
def test_posterior_and_reverse_by_bayes_rule(name, times, seed):
    process = PROCESSES[name]
    s, t = process.horizon * times[0], process.horizon * times[2]
    size, values = process.num_states, process.num_values
    q_s, q_t, q_ts = (process.transition(a, b).numpy() for a, b in ((0, s), (0, t), (s, t)))
    x_0 = torch.arange(values).repeat_interleave(size)
    x_t = torch.arange(size).repeat(values)
    posterior = process.posterior(x_0, x_t, s, t).numpy().reshape(values, size, size)
    impossible = q_t[:values, :, None] == 0  # x_t cannot come from x_0: it is carried over
    evidence = np.where(impossible, 1.0, q_t[:values, :, None])
    by_bayes = q_s[:values, None, :] * q_ts.T[None] / evidence
    expected = np.where(impossible, np.eye(size)[None], by_bayes)
    # A small denominator magnifies the rounding of the kernels.
    tolerance = np.where(impossible, 1e-12, 1e-12 + 1e-13 / evidence)
    assert (np.abs(posterior - expected) <= tolerance).all()
    np.testing.assert_allclose(posterior.sum(-1), 1, rtol=0, atol=1e-12)
    p_0 = np.random.default_rng(seed).dirichlet(np.ones(values), size)
    reverse = process.reverse(torch.from_numpy(p_0), torch.arange(size), s, t).numpy()
    error = np.abs(reverse - np.einsum("ba,abs->bs", p_0, expected))
    assert (error <= np.einsum("ba,abs->bs", p_0, tolerance)).all()


@process_names
def test_a_time_for_each_example_equals_one_time(name):
    process = PROCESSES[name]
    generator = torch.Generator().manual_seed(1)
    s = torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64) * process.horizon
    t = torch.tensor([0.3, 0.9, 0.7], dtype=torch.float64) * process.horizon
    x_0 = torch.randint(process.num_values, (3, 5), generator=generator)
    x_t = process.sample(x_0, 0.0, t, generator=generator)
    probs = torch.rand(3, 5, process.num_values, dtype=torch.float64, generator=generator)
    probs = probs / probs.sum(-1, keepdim=True)
    posterior, reverse = process.posterior(x_0, x_t, s, t), process.reverse(probs, x_t, s, t)
    for b in range(3):
        s_b, t_b = float(s[b]), float(t[b])
        exact = {"rtol": 0, "atol": 1e-14}
        kernel = process.transition(s, t)[b]
        torch.testing.assert_close(kernel, process.transition(s_b, t_b), **exact)
        single = process.posterior(x_0[b], x_t[b], s_b, t_b)
        torch.testing.assert_close(posterior[b], single, **exact)
        single = process.reverse(probs[b], x_t[b], s_b, t_b)
        torch.testing.assert_close(reverse[b], single, **exact)
    flat = process.reverse(probs[:, 0], x_t[:, 0], s, t)  # one coordinate an example
    torch.testing.assert_close(flat, reverse[:, 0], **exact)


@process_names
def test_results_are_on_the_device_of_the_states(name):
    """The meta device stands for a GPU. With times given as numbers the kernel is on the CPU."""
    process = PROCESSES[name]
    x = torch.zeros(2, 3, dtype=torch.long, device="meta")
    assert process.likelihood(x, 0.0, 0.1).device == x.device
    assert process.likelihood(x, 0.0, 0.1).shape == (2, 3, process.num_states)


@pytest.mark.parametrize("width", [5.0, 1.5, 1.0, 0.7, 0.5])
def test_peaked_stationary_laws_keep_their_accuracy(width):
    """Stationary probabilities down to e^-128, whose square roots scale an eigenproblem."""
    process = gaussian_process(16, rate_sigma=1.5, stationary_sigma=width)
    elapsed = 3 * (100**0.01 - 1)
    expected = scipy.linalg.expm(elapsed * process.rate_matrix.numpy())
    kernel = process.transition(0.0, 0.01)
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=0, atol=2e-12)
    np.testing.assert_allclose(kernel.sum(1).numpy(), 1, rtol=0, atol=1e-11)


def test_the_posterior_is_regularised_as_in_the_published_sampler():
    """(q_ts + e) (q_s0 + e) / (q_t0 + e) + e, normalised, in this order."""
    epsilon, options = 1e-9, {"rate_sigma": 0.375, "stationary_sigma": 32.0}
    process = gaussian_process(16, floor=1e-8, epsilon=epsilon, **options)
    x_0, x_t = torch.tensor([[0, 3, 15]]), torch.tensor([[15, 3, 2]])
    s, t = 0.05, 0.1
    to_s, to_t, onwards = (process.transition(*pair) for pair in ((0.0, s), (0.0, t), (s, t)))
    for found, a, b in zip(process.posterior(x_0, x_t, s, t)[0], x_0[0], x_t[0], strict=True):
        weights = (onwards[:, b] + epsilon) * (to_s[a] + epsilon) / (to_t[a, b] + epsilon)
        expected = (weights + epsilon) / (weights + epsilon).sum()
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reverse_steps_in_half_precision(dtype):
    """Half precision cannot hold ratios of likelihoods of 1e-5, so the step is not taken in it."""
    process, x_t = UniformProcess(1000), torch.tensor([3, 7])
    probs = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0)).softmax(-1).to(dtype)
    found = process.reverse(probs, x_t, 0.005, 0.01)
    assert found.dtype == dtype
    expected = process.reverse(probs.double(), x_t, 0.005, 0.01)
    torch.testing.assert_close(found.double(), expected, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("name", ["uniform", "uniform_exponential", "masked_cosine", "absorbing"])
@settings(max_examples=40)
@given(times=three_times, seed=st.integers(0, 2**31))
def test_the_flow_of_one_coordinate_follows_the_noise(name, times, seed):
    """A step of any length takes q_t to q_s. The posterior is by Bayes' rule."""
    process = PROCESSES[name]
    s, t = times[0] * process.horizon, times[2] * process.horizon
    assume(t > 0)
    law = torch.rand(process.num_values, dtype=torch.float64, generator=_generator(seed))
    law = process.over_states(law / law.sum())
    noise = process.transition(0.0, t)
    q_t = law @ noise
    posterior = law * noise.T / q_t[:, None].where(q_t[:, None] > 0, 1.0)
    x_t = torch.arange(process.num_states)
    step = process.flow(posterior, x_t, s, t)
    torch.testing.assert_close(q_t @ step, law @ process.transition(0.0, s), rtol=0, atol=1e-13)


def test_the_flow_with_masks_is_the_reverse_step():
    """The denoiser keeps the coordinates it sees. Each example has its own times."""
    process, x_t = MaskedProcess(3), torch.tensor([[0, 3, 2], [3, 3, 1]])
    probs = torch.rand(2, 3, 3, dtype=torch.float64, generator=_generator(0))
    probs = probs / probs.sum(-1, keepdim=True)
    seen = torch.nn.functional.one_hot(x_t, 4)[..., :3].double()
    probs = torch.where(x_t[..., None] == 3, probs, seen)
    s, t = torch.tensor([0.1, 0.4]), torch.tensor([0.3, 0.9])
    flow, reverse = process.flow(probs, x_t, s, t), process.reverse(probs, x_t, s, t)
    torch.testing.assert_close(flow, reverse, rtol=0, atol=1e-15)
    assert process.flow(probs.bfloat16(), x_t, s, t).dtype == torch.bfloat16


def test_the_flow_keeps_the_noise_until_it_jumps():
    """By hand: the step from alpha = 1/4 to 5/8 reveals with probability 1/2."""
    step = UniformProcess(2).flow(torch.tensor([[0.9, 0.1]]), torch.tensor([1]), 0.375, 0.75)
    torch.testing.assert_close(step, torch.tensor([[0.45, 0.55]]))


@process_names
def test_samples_follow_the_kernel(name):
    """40 000 draws from each state; a correct sampler fails the chi-square with chance < 1e-5."""
    process = PROCESSES[name]
    generator = torch.Generator().manual_seed(7)
    s, t, draws = 0.2 * process.horizon, 0.8 * process.horizon, 40_000
    kernel = process.transition(s, t)
    x_s = torch.arange(process.num_states).repeat_interleave(draws)
    x_t = process.sample(x_s, s, t, generator=generator).reshape(process.num_states, draws)
    for row, probs in zip(x_t, kernel.numpy(), strict=True):
        counts = np.bincount(row, minlength=process.num_states)
        assert counts[probs == 0].sum() == 0
        kept = probs > 0
        if kept.sum() > 1:
            expected = probs[kept] / probs[kept].sum() * draws
            p_value = scipy.stats.chisquare(counts[kept], expected).pvalue
            assert p_value > 1e-5 / (process.num_states * len(PROCESSES))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), size=st.integers(2, 6), elapsed=st.floats(0.01, 3))
def test_a_rate_matrix_against_scipy(seed, size, elapsed):
    rates = np.random.default_rng(seed).exponential(size=(size, size))
    np.fill_diagonal(rates, 0)
    np.fill_diagonal(rates, -rates.sum(1))
    process = RateMatrixProcess(torch.from_numpy(rates), horizon=4.0)
    expected = scipy.linalg.expm(elapsed * rates)
    ours = process.transition(0.5, 0.5 + elapsed).numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(process.prior().numpy() @ rates, 0, rtol=0, atol=1e-12)


def test_the_three_ways_to_flip_a_bit_agree():
    rate, horizon = 0.7, 2.0
    flips = two_state_process(rate, rate, horizon).transition(0.3, 1.1)
    stay = (1 + math.exp(-2 * rate * 0.8)) / 2
    expected = torch.tensor([[stay, 1 - stay], [1 - stay, stay]], dtype=torch.float64)
    torch.testing.assert_close(flips, expected, rtol=0, atol=1e-15)
    uniform = UniformProcess(2, ExponentialSchedule(horizon, rate=2 * rate)).transition(0.3, 1.1)
    torch.testing.assert_close(uniform, expected, rtol=0, atol=1e-15)


def test_a_large_vocabulary_needs_no_square_matrix():
    process = MaskedProcess(50_257)
    x_t = torch.tensor([[3, process.mask_state]])
    probs = torch.full((1, 2, 50_257), 1 / 50_257)
    step = process.reverse(probs, x_t, 0.25, 0.5)
    assert step.dtype == torch.float32
    assert float(step[0, 0, 3]) == 1
    assert float(step[0, 1, -1]) == pytest.approx(0.5)
    torch.testing.assert_close(step[0, 1, :-1], probs[0, 1] / 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: UniformProcess(1), "num_states.*1"),
        (lambda: MaskedProcess(1), "num_values.*1"),
        (lambda: two_state_process(-0.1, 1.0), "-0.1"),
        (lambda: two_state_process(0.0, 0.0), "rate_up . rate_down must"),
        (lambda: RateMatrixProcess(torch.tensor([[-1.0, 2.0], [1.0, -1.0]])), "rows.*sum to 0"),
        (lambda: RateMatrixProcess(torch.tensor([[1.0, -1.0], [1.0, -1.0]])), "rates >= 0"),
        (lambda: RateMatrixProcess(torch.zeros(2, 3)), "square"),
        (lambda: RateMatrixProcess(_CYCLE, horizon=-1.0), "horizon.*-1.0"),
        (lambda: gaussian_process(8, rate_sigma=0.0), "rate_sigma.*0.0"),
        (lambda: InterpolatingProcess(torch.tensor([0.5, 0.6]), LinearSchedule()), "sum to 1"),
        (lambda: UniformProcess(3).transition(0.7, 0.2), "s = 0.7, t = 0.2"),
        (lambda: UniformProcess(3).transition(0.7, 1.2), "horizon = 1.0"),
        (
            lambda: UniformProcess(3).reverse(torch.ones(1, 5) / 5, torch.tensor([0]), 0.1, 0.2),
            "probs.*got 5",
        ),
        (
            lambda: UniformProcess(4).reverse(torch.ones(1, 3) / 3, torch.tensor([0]), 0.1, 0.2),
            "probs.*4 values.*got 3",
        ),
        (lambda: RateMatrixProcess(_CYCLE, stationary=torch.ones(2) / 2), "stationary.*3 states"),
        (lambda: RateMatrixProcess(_CYCLE, stationary=torch.ones(3)), "stationary.*sums to 3"),
    ],
)
def test_bad_input_is_refused_with_argument_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()
