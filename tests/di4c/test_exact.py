"""The exact engine against dense kernels and against the plain-Python oracle."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.processes import (
    MaskedProcess,
    UniformProcess,
    absorbing_process,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import CosineSchedule, LinearSchedule, uniform_grid
from theory.tools import oracle

PROCESSES = {
    "masked": lambda num_values: MaskedProcess(num_values, CosineSchedule()),
    "uniform": UniformProcess,
    "gaussian": lambda s: gaussian_process(s, rate_sigma=1.0, stationary_sigma=2.0),
    "two_state": lambda _: two_state_process(0.4, 1.3),
    "absorbing": lambda _: absorbing_process(LinearSchedule()),
}
shapes = st.sampled_from([(1, 3), (2, 2), (2, 3), (3, 2), (4, 2)])


def _random_law(seed, size, zeros=0.0):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(size)) * (rng.random(size) >= zeros)
    if law.sum() == 0:
        law[0] = 1
    return torch.from_numpy(law / law.sum())


def _process_of(name, shape):
    num_dims, num_values = shape
    if name in ("two_state", "absorbing"):
        num_values = 2
    return PROCESSES[name](num_values), num_dims


@pytest.mark.parametrize("name", PROCESSES)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**31), shape=shapes, zeros=st.sampled_from([0.0, 0.5]))
def test_posterior_marginals_are_those_of_the_dense_reverse_kernel(name, seed, shape, zeros):
    process, num_dims = _process_of(name, shape)
    q_0 = _random_law(seed, process.num_values**num_dims, zeros)
    for s, t in ((0.0, 0.4), (0.3, 0.8), (0.5, 1.0)):
        dense = exact.marginals(
            exact.reverse_kernel(process, q_0, s, t), num_dims, process.num_states
        )
        ours = exact.posterior_marginals(process, q_0, s, t)
        reached = exact.forward_law(process, q_0, t) > 0
        torch.testing.assert_close(ours[reached], dense[reached], rtol=0, atol=1e-12)
        ones = torch.ones(ours.shape[:2], dtype=torch.float64)
        torch.testing.assert_close(ours.sum(-1), ones, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PROCESSES)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), shape=shapes, zeros=st.sampled_from([0.0, 0.6]))
def test_composition_against_the_oracle(name, seed, shape, zeros):
    process, num_dims = _process_of(name, shape)
    values = process.num_values
    q_0 = _random_law(seed, values**num_dims, zeros)
    grid = [0.0, 0.2, 0.7, 1.0]
    kernels = [process.transition(s, t).tolist() for s, t in pairwise(grid)]
    kernels[0] = kernels[0][:values]
    law = oracle.law_from(q_0.tolist(), num_dims, values)
    expected = torch.tensor(list(oracle.compose(law, kernels).values()), dtype=torch.float64)
    ours = exact.product_composition(process, q_0, grid)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    assert float(ours.sum()) == pytest.approx(1, abs=1e-12)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), num_dims=st.integers(1, 3), num_values=st.integers(2, 3))
def test_composition_against_fractions(seed, num_dims, num_values):
    """The oracle without rounding, on rational laws with zeros and a rational grid."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, num_values**num_dims).tolist()
    counts[0] += 1
    law = [Fraction(c, sum(counts)) for c in counts]
    alphas = [Fraction(1), Fraction(3, 4), Fraction(1, 5), Fraction(0)]
    ratios = [later / earlier for earlier, later in pairwise(alphas)]
    grid = [float(1 - alpha) for alpha in alphas]
    q_0 = torch.tensor([float(p) for p in law], dtype=torch.float64)
    masked = [
        oracle.masked_kernel(ratio, num_values, from_data=k == 0) for k, ratio in enumerate(ratios)
    ]
    uniform = [oracle.uniform_kernel(ratio, num_values) for ratio in ratios]
    for process, kernels in (
        (MaskedProcess(num_values), masked),
        (UniformProcess(num_values), uniform),
    ):
        out = oracle.compose(oracle.law_from(law, num_dims, num_values), kernels)
        assert sum(out.values()) == 1  # exactly
        expected = torch.tensor([float(p) for p in out.values()], dtype=torch.float64)
        ours = exact.product_composition(process, q_0, grid)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-14)


def test_a_step_in_eight_dimensions_against_a_dense_product():
    process = UniformProcess(2)
    q_0 = _random_law(3, 2**8)
    probs = exact.posterior_marginals(process, q_0, 0.25, 0.5)
    law = exact.forward_law(process, q_0, 0.5)
    dense = law @ exact.product_kernel(probs)
    torch.testing.assert_close(exact.product_step(law, probs), dense, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("num_dims", "num_values"), [(7, 2), (3, 7), (1, 400)])
def test_a_masked_step_may_skip_the_impossible_moves(num_dims, num_values):
    process = MaskedProcess(num_values)
    q_0 = _random_law(5, num_values**num_dims, 0.3)
    probs = exact.posterior_marginals(process, q_0, 0.25, 0.5)
    law = exact.forward_law(process, q_0, 0.5)
    sparse = exact.product_step(law, probs, process.mask_state)
    torch.testing.assert_close(sparse, exact.product_step(law, probs), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "process", [MaskedProcess(2), UniformProcess(2)], ids=["masked", "uniform"]
)
@pytest.mark.parametrize("together", [1, 2, 3], ids="{} latents a call".format)
def test_mixture_composition_by_literal_sums(process, together, monkeypatch):
    """Two steps of a denoiser with a latent against nested Python loops."""
    num_dims, grid = 2, [0.0, 0.4, 1.0]
    monkeypatch.setattr(exact.composition, "_CALL_ROWS", together * process.num_states**num_dims)
    latents = torch.tensor([0.2, 0.9, 0.5], dtype=torch.float64)
    weights = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)

    def denoiser(x_t, t, latent):
        assert latent is not None
        logit = torch.stack(
            [x_t * 0.7 - latent[:, None], t[:, None] + 3 * latent[:, None] * x_t], -1
        )
        return logit.log_softmax(-1)

    start = exact.product_law(torch.rand(2, process.num_states, dtype=torch.float64).softmax(-1))
    ours = exact.mixture_composition(process, denoiser, grid, start, latents, weights)
    size = process.num_states
    table = exact.states(num_dims, size)
    law = start.tolist()
    for s, t in ((0.4, 1.0), (0.0, 0.4)):
        pairs = torch.cartesian_prod(torch.arange(2), torch.arange(size)).T
        bridge = process.posterior(*pairs, s, t).reshape(2, size, size).tolist()  # x_0, x_t, x_s
        image = [0.0] * len(law)
        for i, x in enumerate(table):
            for latent, weight in zip(latents, weights.tolist(), strict=True):
                time = torch.tensor([t], dtype=torch.float64)
                p_0 = denoiser(x[None], time, latent[None]).exp()[0].tolist()
                for j, y in enumerate(table.tolist()):
                    term = law[i] * weight
                    for d in range(num_dims):
                        term *= sum(bridge[v][x[d]][y[d]] * p_0[d][v] for v in range(2))
                    image[j] += term
        law = image
    expected = torch.tensor(law, dtype=torch.float64)
    if process.mask_state is not None:
        expected = expected.reshape(3, 3)[:2, :2].flatten()
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-14)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), shape=shapes)
def test_divergences_against_the_oracle(seed, shape):
    num_dims, num_states = shape
    p, q = _random_law(seed, num_states**num_dims), _random_law(seed + 1, num_states**num_dims)
    p_, q_ = (oracle.law_from(x.tolist(), num_dims, num_states) for x in (p, q))
    assert float(exact.total_variation(p, q)) == pytest.approx(oracle.total_variation(p_, q_))
    assert float(exact.kl(p, q)) == pytest.approx(oracle.kl(p_, q_), abs=1e-13)
    ours = float(exact.total_correlation(p, num_dims, num_states))
    assert ours == pytest.approx(oracle.total_correlation(p_), abs=1e-12)


def test_order_of_states_and_infinite_divergences():
    assert exact.states(2, 3).tolist() == [list(x) for x in oracle.all_states(2, 3)]
    point = torch.tensor([1.0, 0.0], dtype=torch.float64)
    other = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert float(exact.kl(point, other)) == math.inf
    assert float(exact.kl(point, point)) == 0


def test_unreachable_states_keep_their_unmasked_coordinates():
    """Three equal bits never become (0, 1, mask), but a product sampler visits that state."""
    process, q_0 = MaskedProcess(2), torch.zeros(8, dtype=torch.float64)
    q_0[0], q_0[7] = 0.25, 0.75
    probs = exact.posterior_marginals(process, q_0, 0.0, 0.5).reshape(3, 3, 3, 3, 3)[0, 1, 2]
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0.25, 0.75, 0]], dtype=torch.float64)
    torch.testing.assert_close(probs, expected, rtol=0, atol=1e-15)


def test_a_product_denoiser_is_called_once_a_step_with_each_state_once():
    seen = []

    def denoiser(x_t, t, latent):
        seen.append(x_t.tolist())
        return torch.full((*x_t.shape, 2), math.log(0.5), dtype=torch.float64)

    start = torch.full((4,), 0.25, dtype=torch.float64)
    exact.mixture_composition(UniformProcess(2), denoiser, [0.0, 0.5, 1.0], start)
    assert seen == 2 * [[[0, 0], [0, 1], [1, 0], [1, 1]]]


def test_laws_to_start_from():
    process, q_0 = UniformProcess(2, CosineSchedule()), _random_law(0, 4)
    grid = uniform_grid(3)
    prior = exact.product_composition(process, q_0, grid, start="prior")
    uniform = torch.full((4,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(prior, exact.product_composition(process, q_0, grid, start=uniform))
    # With alpha_T = 0 the noised data follow the prior.
    torch.testing.assert_close(prior, exact.product_composition(process, q_0, grid))
    early = exact.product_composition(MaskedProcess(2), q_0, [0.1, 1.0])
    assert early.shape == (9,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p, q: exact.product_composition(p, q, [0.0, 0.5, 0.4]), "grid must increase"),
        (lambda p, q: exact.product_composition(p, q * 1.1, [0.0, 1.0]), "q_0 must sum to 1.*1.1"),
        (lambda p, q: exact.product_composition(p, q - 0.3, [0.0, 1.0]), "q_0.*non-negative"),
        (lambda p, q: exact.product_composition(p, q[:3], [0.0, 1.0]), "2\\^D entries; got 3"),
        (lambda p, q: exact.product_composition(p, q.reshape(1, 4), [0.0, 1.0]), "shape"),
        (lambda p, q: exact.product_composition(p, q, [0.0, 1.0], start="noise"), "start.*'noise'"),
        (lambda p, q: exact.product_composition(p, q, [0.0, 1.0], start=q[:2] * 2), "start"),
        (lambda p, q: exact.states(60, 2), "2\\^60.* 5.15e\\+11 GiB"),
        (lambda p, q: exact.states(5000, 2), "2\\^5000.* 10\\^1500 GiB"),
        (lambda p, q: exact.states(0, 2), "num_dims.*0"),
        (lambda p, q: exact.forward_kernel(p, 20, 0.0, 0.5), "1048576 x 1048576.* 8.19e\\+03 G"),
        (lambda p, q: exact.total_variation(q, q[:2]), "4 and 2"),
    ],
)
def test_bad_input_is_refused_with_argument_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call(UniformProcess(2), torch.full((4,), 0.25, dtype=torch.float64))
