"""HeadMixture: equal to a DenseMixture of the same logits, in values, gradients and draws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture, LinearHead, LogitsTransform
from di4c.rng import SampleGenerators
from tests.helpers.head_instances import (
    SIZES,
    STATISTICS,
    TRANSFORMS,
    Instance,
    assert_equal,
    value_and_grads,
)


@pytest.mark.parametrize("transform", TRANSFORMS)
@settings(max_examples=20)
@given(st.integers(0, 2**31), SIZES, st.booleans(), st.sampled_from([None, 1, 2, 3, 7, 100]))
def test_equal_to_the_dense_mixture(transform, seed, sizes, bias, chunk):
    """Values and gradients of features, weight and bias, prefetched and one by one."""
    instance = Instance(seed, sizes, transform, bias)
    expected = value_and_grads(instance, instance.dense_mixture())
    mixture = instance.head_mixture(chunk)
    assert_equal(value_and_grads(instance, mixture), expected)
    assert_equal(value_and_grads(instance, instance.prefetched(mixture)), expected)


@pytest.mark.parametrize("name", STATISTICS)
@settings(max_examples=25)
@given(st.integers(0, 2**31), SIZES, st.sampled_from(TRANSFORMS))
def test_each_statistic_alone_equals_the_dense_one(name, seed, sizes, transform):
    instance = Instance(seed, sizes, transform)
    expected = value_and_grads(instance, instance.dense_mixture(), [name])
    for mixture in (instance.head_mixture(2), instance.prefetched(instance.head_mixture(2))):
        assert_equal(value_and_grads(instance, mixture, [name]), expected)


@settings(max_examples=25)
@given(st.integers(0, 2**31), SIZES, st.sampled_from([100.0, 1000.0]))
def test_logits_beyond_the_range_of_exp(seed, sizes, scale):
    """Every softmax underflows to 0 somewhere, and the logarithms are finite all the same."""
    instance = Instance(seed, sizes, scale=scale)
    expected = value_and_grads(instance, instance.dense_mixture())
    assert all(values.isfinite().all() for values in expected[0].values())
    found = value_and_grads(instance, instance.head_mixture())
    assert_equal(found, expected, atol=1e-12 * scale)  # gradients of that size round so


def test_logits_beyond_the_range_of_exp_in_float32():
    """The log-probabilities go below the log of the smallest float32."""
    sizes = (2, 3, 4, 6, 3, 2)
    instance = Instance(1, sizes, dtype=torch.float32, scale=100.0)
    assert instance.dense_mixture().log_marginals().min() < -110
    expected = value_and_grads(instance, instance.dense_mixture())
    assert_equal(value_and_grads(instance, instance.head_mixture()), expected, 1e-5, 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_features_have_float32_sums(dtype):
    """Against float64 on the same rounded inputs; only the gradients are rounded to their type."""
    instance = Instance(2, (2, 3, 9, 50, 8, 4), "subs", dtype=dtype)
    expected = value_and_grads(instance, instance.dense_mixture())
    plain = instance.head_mixture(4)
    assert plain.precision == torch.float32
    mixture = instance.prefetched(plain)  # one sweep: each rounds its gradients
    assert mixture.gather(instance.atoms).dtype == torch.float32
    found = value_and_grads(instance, mixture)
    for name, values in expected[0].items():
        torch.testing.assert_close(found[0][name], values, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


def test_autocast_changes_nothing():
    instance = Instance(3, (2, 3, 4, 20, 5, 3), dtype=torch.float32)
    expected = value_and_grads(instance, instance.head_mixture())
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_grads(instance, instance.head_mixture())
    assert_equal(found, expected, 0, 0)


def test_float32_weights_meet_bfloat16_features():
    """The gradients of the head's float32 weights are float32."""
    instance = Instance(4, (2, 3, 4, 20, 5, 3), dtype=torch.bfloat16)
    instance.inputs[1:] = [x.detach().float().requires_grad_() for x in instance.inputs[1:]]
    expected = value_and_grads(instance, instance.dense_mixture())
    found = value_and_grads(instance, instance.head_mixture())
    assert [grad.dtype for grad in found[1]] == [torch.bfloat16, torch.float32, torch.float32]
    assert_equal((found[0], found[1][1:]), (expected[0], expected[1][1:]), 1e-5, 1e-4)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(TRANSFORMS))
def test_gradients_are_derivatives(seed, transform):
    """By finite differences along random directions."""
    instance = Instance(seed, (1, 2, 2, 3, 2, 2), transform)
    finite = [values.isfinite() for values in instance.statistics(instance.dense_mixture())]

    def statistics(hidden, weight, bias):
        mixture = HeadMixture(
            hidden, LinearHead(weight, bias), instance.log_weights, instance.transform, 1
        )
        found = instance.statistics(instance.prefetched(mixture))
        return tuple(v.where(keep, 0) for v, keep in zip(found, finite, strict=True))

    assert torch.autograd.gradcheck(statistics, instance.inputs)


def _truncated_logistic(rows, sharpness):
    """The log-masses of a logistic law in 6 equal bins, a head of two features without a matrix."""
    edges = torch.linspace(-1, 1, 7, dtype=rows.dtype)[1:-1]
    centre, log_scale = rows[:, :1], rows[:, 1:]
    cdf = torch.sigmoid((edges - centre) * sharpness * torch.exp(-log_scale))
    cdf = torch.nn.functional.pad(torch.nn.functional.pad(cdf, (1, 0)), (0, 1), value=1.0)
    return (cdf.diff(dim=-1) + 1e-3).log()


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(TRANSFORMS), st.sampled_from([None, 1, 3]))
def test_heads_that_are_functions(seed, transform, chunk):
    sizes = (2, 3, 4, 6, 2, 3)
    instance = Instance(seed, sizes, transform)
    sharpness = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    instance.inputs = [instance.inputs[0], sharpness]
    hidden = instance.inputs[0]
    logits = _truncated_logistic(hidden.flatten(0, 2), sharpness).unflatten(0, sizes[:3])
    dense = DenseMixture.from_logits(logits, instance.log_weights, instance.transform)
    head = FunctionHead(_truncated_logistic, 6, (sharpness,))
    mixture = HeadMixture(hidden, head, instance.log_weights, instance.transform, chunk)
    expected = value_and_grads(instance, dense)
    assert_equal(value_and_grads(instance, mixture), expected)
    assert_equal(value_and_grads(instance, instance.prefetched(mixture)), expected)


@pytest.mark.parametrize("transform", ["none", "subs", "given by latent"])
def test_known_coordinates_replace_what_was_given_there(transform):
    instance = Instance(4, (2, 3, 4, 5, 6, 3), transform)
    known = torch.tensor([[-1, 2, -1, 0], [4, -1, -1, -1]])
    dense = instance.dense_mixture().with_known(known)
    found = instance.head_mixture().with_known(known)
    torch.testing.assert_close(found.log_marginals(), dense.log_marginals())
    assert_equal(
        value_and_grads(instance, instance.prefetched(found)), value_and_grads(instance, dense)
    )


def test_a_parameter_that_a_function_does_not_use_has_gradient_zero():
    hidden, unused = torch.rand(1, 2, 1, 3, requires_grad=True), torch.ones(2, requires_grad=True)
    head = FunctionHead(lambda rows, _: rows, 3, (unused,))
    mixture = HeadMixture(hidden, head, uniform_log_weights(2))
    mixture.marginal_kl(torch.full((1, 1, 3), 1 / 3).log()).sum().backward()
    assert unused.grad.tolist() == [0, 0]


@pytest.mark.parametrize("frozen", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
def test_frozen_inputs_get_no_gradient(frozen):
    instance = Instance(5, (2, 3, 4, 5, 3, 2))
    expected = value_and_grads(instance, instance.head_mixture())
    for i in frozen:
        instance.inputs[i].requires_grad_(False)
    mixture = instance.prefetched(instance.head_mixture())
    values = instance.statistics(mixture)
    free = [x for x in instance.inputs if x.requires_grad]
    instance.inputs, kept = free, [g for i, g in enumerate(expected[1]) if i not in frozen]
    found = value_and_grads(instance, mixture)
    assert_equal(found, (expected[0], kept))
    assert all(v.requires_grad for v in values)


def test_features_that_latents_share():
    """A teacher without latent has an expanded latent axis."""
    instance = Instance(6, (2, 1, 4, 5, 3, 2))
    hidden = instance.inputs[0].expand(-1, 3, -1, -1)
    head = LinearHead(*instance.inputs[1:])
    mixture = HeadMixture(hidden, head, uniform_log_weights(3))
    one = HeadMixture(instance.inputs[0], head, uniform_log_weights(1))
    for target in instance.targets:
        torch.testing.assert_close(mixture.marginal_kl(target), one.marginal_kl(target))


def test_a_latent_of_weight_zero_does_not_count():
    instance = Instance(7, (2, 3, 4, 5, 3, 2), "excluded")
    instance.log_weights = torch.tensor([0.5, 0.0, 0.5], dtype=torch.float64).log()
    expected = value_and_grads(instance, instance.dense_mixture())
    assert_equal(value_and_grads(instance, instance.head_mixture()), expected)


def test_a_target_outside_the_support_costs_infinity_without_nan():
    instance = Instance(8, (2, 3, 4, 5, 3, 2), "subs")
    flat = torch.full((2, 4, 5), -math.log(5), dtype=torch.float64)
    mixture = instance.head_mixture()
    for value in (mixture.marginal_kl(flat), mixture.mean_latent_kl(flat)):
        assert value.tolist() == [math.inf] * 2
        grads = torch.autograd.grad(value.sum(), instance.inputs)
        assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_draws_follow_each_latent_and_come_with_the_marginals(transform):
    instance = Instance(12, (1, 2, 3, 4, 2, 1), transform)
    dense, count = instance.dense_mixture(), 10_000
    many = HeadMixture(
        instance.inputs[0].expand(count, -1, -1, -1),
        LinearHead(*instance.inputs[1:]),
        instance.log_weights,
        LogitsTransform(
            instance.transform.soft_cap,
            instance.transform.excluded_states,
            None
            if instance.transform.given is None
            else instance.transform.given.expand(count, *instance.transform.given.shape[1:]),
        ),
        positions_per_chunk=7001,
    )
    samples, log_marginals = many.draw(torch.Generator().manual_seed(0))
    counts = torch.nn.functional.one_hot(samples, 4).double().sum(0)  # (L, D, S)
    expected = count * dense.log_probs[0].exp()
    assert counts[expected == 0].sum() == 0
    # At most 6 chi-squares of 3 degrees of freedom; 51 is exceeded by one seed in 20,000.
    chi_square = ((counts - expected) ** 2 / expected).where(expected > 0, 0).sum()
    assert chi_square < 51
    torch.testing.assert_close(
        log_marginals[::999].exp(),
        dense.log_marginals().exp().expand(11, -1, -1),
        rtol=1e-12,
        atol=1e-15,
    )
    assert torch.equal(many.log_marginals(), log_marginals)
    assert not log_marginals.requires_grad


@pytest.mark.parametrize("positions", [1, 3, 1000])
@pytest.mark.parametrize("per_sample", [False, True])
def test_draws_are_those_of_the_dense_mixture(positions, per_sample):
    """Both use one uniform for each coordinate, whatever the chunks."""
    instance = Instance(14, (3, 2, 5, 6, 3, 1))
    draws = []
    for mixture in (instance.dense_mixture(), instance.head_mixture(positions)):
        generator = (
            SampleGenerators(3, range(3)) if per_sample else torch.Generator().manual_seed(3)
        )
        draws.append(mixture.draw(generator)[0])
    assert torch.equal(*draws)


def test_a_state_that_no_latent_gives_adds_nothing_to_the_gradient():
    """The divergence is infinite there. Its gradient is that of the other states."""
    hidden = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(3)).double()
    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(4)).double()
    log_teacher = torch.tensor([0.3, 0.1, 0.2, 0.2, 0.2]).double().log().expand(1, 2, 5)
    features = hidden.clone().requires_grad_()
    excluding = LogitsTransform(excluded_states=(1,))
    log_weights = uniform_log_weights(3).double()
    mixture = HeadMixture(features, LinearHead(weight), log_weights, excluding)
    divergence = mixture.marginal_kl(log_teacher)
    assert divergence.isposinf().all()
    (found,) = torch.autograd.grad(divergence.sum(), features)
    features = hidden.clone().requires_grad_()
    logits = (features @ weight.T)[..., [0, 2, 3, 4]]
    marginals = (logits.log_softmax(-1) + log_weights[:, None, None]).logsumexp(1)
    mass = log_teacher[..., [0, 2, 3, 4]].exp()
    (expected,) = torch.autograd.grad(-(mass * marginals).sum(), features)
    torch.testing.assert_close(found, expected)
