"""Diagnostics by entropies of enumerated laws, and estimates against the exact numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.diagnostics import (
    LossLog,
    captured_total_correlation,
    collapse_alarm,
    effective_components,
    exact_latent_information,
    exact_total_correlation,
    latent_information,
    mixture_atoms,
)
from di4c.likelihood import DenseMixture
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value


def _mixture(seed, num_latents=3, num_dims=3, num_states=2, batch=2, sharpness=2.0):
    source = generator(seed)
    shape = (batch, num_latents, num_dims, num_states)
    logits = sharpness * torch.randn(shape, generator=source, dtype=torch.float64)
    weights = torch.randn(num_latents, generator=source, dtype=torch.float64)
    return logits.log_softmax(-1), weights.log_softmax(0)


def _even(num_latents):
    return torch.zeros(num_latents, dtype=torch.float64).log_softmax(0)


def _laws(log_probs, log_weights):
    """The mixture and its components over all of S^D: (B, S^D) and (B, L, S^D)."""
    components = exact.product_law(log_probs.exp())
    return (log_weights.exp()[:, None] * components).sum(1), components


sizes = st.tuples(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 3), st.integers(2, 3))


@settings(max_examples=40)
@given(sizes)
def test_exact_numbers_are_differences_of_entropies(size):
    log_probs, log_weights = _mixture(*size)
    law, components = _laws(log_probs, log_weights)
    weights, (_, _, num_dims, num_states) = log_weights.exp(), log_probs.shape
    torch.testing.assert_close(
        exact_total_correlation(log_probs, log_weights),
        exact.total_correlation(law, num_dims, num_states),
        rtol=0,
        atol=1e-12,
    )
    information = exact.entropy(law) - (weights * exact.entropy(components)).sum(1)
    torch.testing.assert_close(
        exact_latent_information(log_probs, log_weights), information, rtol=0, atol=1e-12
    )


@settings(max_examples=40)
@given(sizes)
def test_total_correlation_is_a_difference_of_informations(size):
    """TC = sum_d I(latent; x^d) - I(latent; x), every I by enumeration."""
    log_probs, log_weights = _mixture(*size)
    whole = exact_latent_information(log_probs, log_weights)
    parts = sum(
        exact_latent_information(log_probs[:, :, d : d + 1], log_weights)
        for d in range(log_probs.shape[2])
    )
    correlation = exact_total_correlation(log_probs, log_weights)
    torch.testing.assert_close(correlation, parts - whole, rtol=0, atol=1e-12)
    bound = (log_probs.shape[2] - 1) * whole
    assert bool((correlation <= bound + 1e-12).all())


def test_atoms_are_drawn_from_the_mixture():
    log_probs, log_weights = _mixture(1)
    atoms = mixture_atoms(log_probs, log_weights, 100_000, generator=generator())
    law, _ = _laws(log_probs, log_weights)
    for b in range(2):
        assert p_value(atoms[b], law[b], 2) > P_VALUE
        product = exact.product_law(exact.marginals(law[b], 3, 2))
        assert p_value(atoms[b], product, 2) < P_VALUE  # the product of the marginals is rejected


@pytest.mark.parametrize(
    ("estimate", "truth"),
    [
        (captured_total_correlation, exact_total_correlation),
        (latent_information, exact_latent_information),
    ],
)
def test_estimates_are_unbiased_with_the_right_standard_error(estimate, truth):
    log_probs, log_weights = _mixture(2)
    expected = truth(log_probs, log_weights)
    deviations = []
    for seed in range(40):
        atoms = mixture_atoms(log_probs, log_weights, 500, generator=generator(seed))
        gathered = DenseMixture(log_probs, log_weights).gather(atoms)
        found = estimate(gathered, log_weights)
        deviations.append((found.mean - expected) / found.standard_error)
    scores = torch.stack(deviations)  # standard normal if both numbers are right
    assert float(scores.mean().abs()) * math.sqrt(scores.numel()) < 5
    assert float(scores.std()) == pytest.approx(1, abs=5 / math.sqrt(2 * scores.numel()))


def test_impossible_states_are_harmless():
    log_probs = torch.full((1, 2, 2, 2), -torch.inf, dtype=torch.float64)
    log_probs[0, 0, :, 0] = log_probs[0, 1, :, 1] = 0.0
    weights = _even(2)
    ln2 = pytest.approx(math.log(2), abs=1e-14)
    assert float(exact_total_correlation(log_probs, weights)) == ln2
    assert float(exact_latent_information(log_probs, weights)) == ln2
    atoms = mixture_atoms(log_probs, weights, 50, generator=generator())
    gathered = DenseMixture(log_probs, weights).gather(atoms)
    assert float(captured_total_correlation(gathered, weights).mean) == ln2
    assert float(latent_information(gathered, weights).mean) == ln2


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_equal_components_count_once(groups):
    num_latents = 6
    log_probs = torch.full((1, num_latents, 2, 6), -torch.inf, dtype=torch.float64)
    for k in range(num_latents):
        log_probs[0, k, :, k % groups] = 0.0
    information = exact_latent_information(log_probs, _even(num_latents))
    assert float(effective_components(information)) == pytest.approx(groups, abs=1e-12)


def _alarm(log_probs, log_weights, **options):
    atoms = mixture_atoms(log_probs, log_weights, 200, generator=generator())
    gathered = DenseMixture(log_probs, log_weights).gather(atoms)
    return collapse_alarm(gathered, log_weights, **options)


def test_the_collapse_alarm_reports_an_ignored_latent():
    log_probs, _ = _mixture(3, num_latents=8, num_dims=4, batch=4)
    weights = _even(8)
    used = _alarm(log_probs, weights)
    assert not used.collapsed
    assert used.effective_components > 2
    ignored = _alarm(log_probs[:, :1].expand(-1, 8, -1, -1), weights)
    assert ignored.collapsed
    assert ignored.information == pytest.approx(0, abs=1e-12)
    assert ignored.effective_components == pytest.approx(1)
    # If the latent is nearly ignored the threshold decides.
    faint = log_probs[:, :1] + 0.02 * torch.randn(4, 8, 4, 2, generator=generator()).double()
    faint = faint.log_softmax(-1)
    assert _alarm(faint, weights).collapsed
    assert not _alarm(faint, weights, threshold=1e-6).collapsed
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, inf\); got 0\.0"):
        _alarm(faint, weights, threshold=0.0)


def test_a_single_latent_is_always_an_alarm():
    log_probs, _ = _mixture(4, num_latents=1)
    assert _alarm(log_probs, _even(1)).collapsed


@settings(max_examples=40)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 2**31))
def test_the_loss_log_has_the_moments_of_all_examples(batches, seed):
    source = np.random.default_rng(seed)
    values = [1e3 + source.normal(size=n) for n in batches]
    whole, halves = LossLog(), [LossLog(), LossLog()]
    for i, batch in enumerate(values):
        whole.update({"data": torch.from_numpy(batch)})
        halves[i % 2].update({"data": torch.from_numpy(batch)})
    halves[0].merge(halves[1])
    everything = np.concatenate(values)
    for log in (whole, halves[0]):
        summary = log.summary()["data"]
        assert summary.examples == len(everything)
        assert summary.mean == pytest.approx(everything.mean(), rel=1e-13)
        if len(everything) > 1:
            variance = everything.var(ddof=1)
            assert summary.variance == pytest.approx(variance, rel=1e-9)
            assert summary.standard_error == pytest.approx(
                math.sqrt(variance / len(everything)), rel=1e-9
            )
        else:
            assert math.isnan(summary.variance)


def test_the_loss_log_refuses_nan_and_stays_as_it_was():
    log = LossLog()
    log.update({"consistency": torch.ones(2), "data": torch.zeros(0)})
    bad = torch.tensor([[0.0, 1.0], [2.0, math.nan]])
    with pytest.raises(ValueError, match=r"term 'data' is nan at index \[1, 1\]"):
        log.update({"consistency": torch.ones(2), "data": bad})
    assert log.summary()["consistency"].examples == 2
    assert list(log.summary()) == ["consistency"]
