"""Statistics of a head where a term is 0 times infinity, given, or below the smallest float."""

import math

import pytest
import torch

from di4c.likelihood import HeadMixture, LinearHead, LogitsTransform
from tests.helpers.head_instances import Instance

SIZES = (2, 3, 4, 5, 3, 2)
TARGET = torch.full((2, 4, 5), -math.log(5), dtype=torch.float64)


def given_by_one_latent():
    """The second latent is told every coordinate, the others are told none."""
    instance = Instance(3, SIZES)
    given = torch.full((2, 3, 4), -1)
    given[:, 1] = 2
    instance.transform = LogitsTransform(given=given)
    return instance


def rows_of(instance):
    """Probabilities of all latents, (B, L, D, S), by softmax; the second latent is told 2."""
    probs = torch.softmax(instance.inputs[0] @ instance.inputs[1].T + instance.inputs[2], -1)
    told = torch.nn.functional.one_hot(torch.tensor(2), 5).double()
    return torch.stack([probs[:, 0], told.expand(2, 4, 5), probs[:, 2]], 1)


@pytest.mark.parametrize("prefetched", [False, True])
def test_a_latent_of_weight_zero_may_exclude_what_the_target_allows(prefetched):
    """The mean over latents of KL(target || p_l), by its definition, without the second latent."""
    instance = given_by_one_latent()
    instance.log_weights = torch.tensor([0.3, 0.0, 0.7], dtype=torch.float64).log()
    mixture = instance.head_mixture(2)
    if prefetched:
        mixture = mixture.prefetch([], [], [TARGET])
    found = mixture.mean_latent_kl(TARGET)
    probs = rows_of(instance)
    kl = (TARGET.exp()[:, None] * (TARGET[:, None] - probs[:, [0, 2]].log())).sum((2, 3))
    torch.testing.assert_close(found, kl @ torch.tensor([0.3, 0.7], dtype=torch.float64))
    grads = torch.autograd.grad(found.sum(), instance.inputs)
    assert all(grad.isfinite().all() for grad in grads)
    assert not grads[0][:, 1].any()


@pytest.mark.parametrize("statistic", ["marginal_kl", "mean_latent_kl"])
def test_a_given_coordinate_sends_no_gradient(statistic):
    """The second latent does not depend on its features, even where its divergence is infinite."""
    instance = given_by_one_latent()
    value = getattr(instance.head_mixture(2), statistic)(TARGET)
    (grad,) = torch.autograd.grad(value.sum(), instance.inputs[:1])
    assert grad[:, [0, 2]].any()
    assert not grad[:, 1].any()


def test_a_given_coordinate_sends_no_gradient_from_its_atoms():
    """The gradient of the log-probability of an atom that the second latent excludes."""
    instance = given_by_one_latent()
    atoms = torch.full((2, 1, 4), 3)
    (grad,) = torch.autograd.grad(instance.head_mixture(2).gather(atoms).sum(), instance.inputs[:1])
    assert grad[:, [0, 2]].any()
    assert not grad[:, 1].any()


def test_gradients_have_no_graph():
    """They are computed by hand for first derivatives: a second one would be silently wrong."""
    instance = Instance(3, SIZES)
    value = instance.head_mixture(2).marginal_kl(TARGET).sum()
    (grad,) = torch.autograd.grad(value, instance.inputs[:1], create_graph=True)
    assert not grad.requires_grad


@pytest.fixture(params=[False, True], ids=["subnormal numbers", "flushed to zero"])
def arithmetic(request):
    """Numbers below the smallest normal float are kept with few digits, or count as 0."""
    torch.set_flush_denormal(request.param)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("depth", [80.0, 85.0, 95.0, 102.0, 120.0, 1000.0])
def test_a_mixture_below_the_smallest_float_keeps_its_digits(depth, arithmetic):
    """Two states; all latents give the second one a log-probability near -depth, in float32.

    The logarithm of the mixture in float64, from the logits. At 85 the sum is just above the
    smallest normal float32 and one of its terms is below it, at 95 and 102 all are below.
    """
    features = torch.tensor([[[[1.0]], [[1.01]], [[1.02]]]])  # (B, L, D, H) = (1, 3, 1, 1)
    head = LinearHead(torch.tensor([[0.0], [-depth]]).requires_grad_())
    log_weights = torch.tensor([0.2, 0.3, 0.5]).log()
    target = torch.tensor([[[0.25, 0.75]]]).log()
    found = HeadMixture(features, head, log_weights).marginal_kl(target)
    (slope,) = torch.autograd.grad(found.sum(), [head.weight])
    weight = head.weight.detach().double().requires_grad_()
    log_probs = (features.double() @ weight.T).log_softmax(-1)[:, :, 0]
    log_mixture = torch.logsumexp(log_probs + log_weights.double()[:, None], 1)
    wide = target[0].double()
    expected = (wide.exp() * (wide - log_mixture)).sum()
    torch.testing.assert_close(found.double().sum(), expected, rtol=2e-6, atol=0)
    (expected_slope,) = torch.autograd.grad(expected, [weight])
    torch.testing.assert_close(slope.double(), expected_slope, rtol=1e-5, atol=0)


def test_a_rare_value_that_the_target_allows_costs_its_share():
    """The target has probability 1e-6 where the student has e^-200: the KL is about 2e-4."""
    features = torch.ones(1, 2, 1, 1)
    head = LinearHead(torch.tensor([[0.0], [-200.0]]).requires_grad_())
    log_weights = torch.tensor([0.5, 0.5]).log()
    share = 1e-6
    target = torch.tensor([[[1 - share, share]]], dtype=torch.float64).log()
    found = HeadMixture(features, head, log_weights).marginal_kl(target.float())
    expected = share * (math.log(share) + 200) + (1 - share) * math.log(1 - share)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-3)
    (slope,) = torch.autograd.grad(found.sum(), [head.weight])
    torch.testing.assert_close(slope, torch.tensor([[share], [-share]]), rtol=0.03, atol=0)


def test_a_frozen_head_sends_the_same_gradient_to_its_features():
    def gradient(instance):
        value = instance.head_mixture(2).marginal_kl(TARGET).sum()
        return torch.autograd.grad(value, instance.inputs[:1])[0]

    frozen = Instance(3, SIZES)
    for parameter in frozen.inputs[1:]:
        parameter.requires_grad_(False)
    torch.testing.assert_close(gradient(frozen), gradient(Instance(3, SIZES)), rtol=0, atol=0)
