"""HeadMixture: equal to a DenseMixture of the same logits, and never as large as one."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture, LinearHead, LogitsTransform
from di4c.losses import Target, consistency_loss, data_loss, prefetch
from di4c.rng import SampleGenerators

STATISTICS = ("gathered", "marginal_kl", "mean_latent_kl")
TRANSFORMS = ("none", "soft cap", "excluded", "subs", "subs, capped", "given by latent")


class Instance:
    """Features, a head and everything that a loss can ask for, at random."""

    def __init__(self, seed, sizes, transform="none", bias=True, dtype=torch.float64, scale=1.0):
        self.generator = torch.Generator().manual_seed(seed)
        batch, num_latents, num_dims, num_states, num_features, num_atoms = sizes
        self.hidden = self.randn(batch, num_latents, num_dims, num_features, dtype=dtype)
        self.weight = scale * self.randn(num_states, num_features, dtype=dtype)
        self.bias = self.randn(num_states, dtype=dtype) if bias else None
        self.inputs = [x for x in (self.hidden, self.weight, self.bias) if x is not None]
        self.inputs = [x.detach().requires_grad_() for x in self.inputs]
        self.log_weights = self.randn(num_latents).log_softmax(-1)
        self.transform = self._transform(transform, sizes)
        laws = self.randn(3, batch, 1, num_dims, num_states)
        shared = LogitsTransform(None, self.transform.excluded_states, self._given_to_all())
        self.targets = [shared.log_probs(law)[:, 0] for law in laws]
        self.atoms = torch.randint(
            num_states, (batch, num_atoms, num_dims), generator=self.generator
        )
        self.x_0 = torch.randint(num_states, (batch, 1, num_dims), generator=self.generator)

    def randn(self, *shape, dtype=torch.float64):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(dtype)

    def _transform(self, name, sizes):
        batch, num_latents, num_dims, num_states = sizes[:4]
        mask = num_states - 1
        x_t = torch.randint(num_states, (batch, num_dims), generator=self.generator)
        x_t = x_t.where(torch.rand(x_t.shape, generator=self.generator) < 0.4, mask)
        each = torch.randint(
            -1, num_states, (batch, num_latents, num_dims), generator=self.generator
        )
        each = each.where(torch.rand(each.shape, generator=self.generator) < 0.5, -1)
        return {
            "none": LogitsTransform(),
            "soft cap": LogitsTransform(soft_cap=1.5),
            "excluded": LogitsTransform(excluded_states=(0, mask)[: num_states - 1]),
            "subs": LogitsTransform.subs(x_t, mask),
            "subs, capped": LogitsTransform.subs(x_t, mask, soft_cap=2.0),
            "given by latent": LogitsTransform(given=each),
        }[name]

    def _given_to_all(self):
        given = self.transform.given
        return given if given is None or given.ndim == 2 else None

    def head_mixture(self, chunk=None):
        head = LinearHead(*self.inputs[1:])
        return HeadMixture(self.inputs[0], head, self.log_weights, self.transform, chunk)

    def dense_mixture(self):
        hidden, weight, *bias = (x.double() for x in self.inputs)
        logits = hidden @ weight.T + (bias[0] if bias else 0)
        return DenseMixture.from_logits(logits, self.log_weights, self.transform)

    def statistics(self, mixture):
        """(B, L, D, N + 1), (2, B), (2, B)."""
        return (
            torch.cat([mixture.gather(self.atoms), mixture.gather(self.x_0)], -1),
            torch.stack([mixture.marginal_kl(target) for target in self.targets[:2]]),
            torch.stack([mixture.mean_latent_kl(target) for target in self.targets[1:]]),
        )

    def prefetched(self, mixture):
        return mixture.prefetch([self.atoms, self.x_0], self.targets[:2], self.targets[1:])


def value_and_grads(instance, mixture, names=STATISTICS):
    """Statistics and the gradients of a random linear function of those that are finite."""
    found = dict(zip(STATISTICS, instance.statistics(mixture), strict=True))
    found = {name: found[name].double() for name in names}
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros((), dtype=torch.float64)
    for values in found.values():
        factors = torch.randn(values.shape, generator=generator, dtype=torch.float64)
        total = total + (factors * values).where(values.isfinite(), 0).sum()
    grads = torch.autograd.grad(total, instance.inputs, allow_unused=True)
    return found, grads


def assert_equal(found, expected, rtol=1e-12, atol=1e-12):
    for name, values in expected[0].items():
        torch.testing.assert_close(found[0][name], values, rtol=rtol, atol=atol)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)


SIZES = st.tuples(
    st.integers(1, 3),  # batch
    st.integers(1, 4),  # latents
    st.integers(1, 5),  # dimensions
    st.integers(2, 7),  # states
    st.integers(1, 4),  # features
    st.integers(1, 4),  # atoms
)


@pytest.mark.parametrize("transform", TRANSFORMS)
@settings(max_examples=40)
@given(st.integers(0, 2**31), SIZES, st.booleans(), st.sampled_from([None, 1, 2, 3, 7, 100]))
def test_equal_to_the_dense_mixture(transform, seed, sizes, bias, chunk):
    """Values, and gradients for the features, the weight and the bias, fused and one by one."""
    instance = Instance(seed, sizes, transform, bias)
    expected = value_and_grads(instance, instance.dense_mixture())
    mixture = instance.head_mixture(chunk)
    assert_equal(value_and_grads(instance, mixture), expected)
    assert_equal(value_and_grads(instance, instance.prefetched(mixture)), expected)


@pytest.mark.parametrize("name", STATISTICS)
@settings(max_examples=40)
@given(st.integers(0, 2**31), SIZES, st.sampled_from(TRANSFORMS))
def test_each_statistic_alone(name, seed, sizes, transform):
    instance = Instance(seed, sizes, transform)
    expected = value_and_grads(instance, instance.dense_mixture(), [name])
    for mixture in (instance.head_mixture(2), instance.prefetched(instance.head_mixture(2))):
        assert_equal(value_and_grads(instance, mixture, [name]), expected)


@settings(max_examples=40)
@given(st.integers(0, 2**31), SIZES, st.sampled_from([100.0, 1000.0]))
def test_logits_beyond_the_range_of_exp(seed, sizes, scale):
    """Where every softmax underflows the mixture has no mass in floats, yet its log is finite."""
    instance = Instance(seed, sizes, scale=scale)
    expected = value_and_grads(instance, instance.dense_mixture())
    assert all(values.isfinite().all() for values in expected[0].values())
    found = value_and_grads(instance, instance.head_mixture())
    assert_equal(found, expected, atol=1e-12 * scale)  # the rounding of gradients of that size


def test_underflow_is_repaired_in_float32_where_it_happens_at_all():
    """The instance above reaches log-probabilities below log of the smallest float32."""
    sizes = (2, 3, 4, 6, 3, 2)
    instance = Instance(1, sizes, dtype=torch.float32, scale=100.0)
    assert instance.dense_mixture().log_marginals().min() < -110
    expected = value_and_grads(instance, instance.dense_mixture())
    assert_equal(value_and_grads(instance, instance.head_mixture()), expected, 1e-5, 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrow_features_with_float32_sums(dtype):
    """Against float64 on the same rounded inputs: only the gradients are rounded to the input."""
    instance = Instance(2, (2, 3, 9, 50, 8, 4), "subs", dtype=dtype)
    expected = value_and_grads(instance, instance.dense_mixture())
    mixture = instance.prefetched(instance.head_mixture(4))  # each sweep rounds its gradients
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
    """Mixed precision: the head's master weights keep their type, and so do their gradients."""
    instance = Instance(4, (2, 3, 4, 20, 5, 3), dtype=torch.bfloat16)
    instance.inputs[1:] = [x.detach().float().requires_grad_() for x in instance.inputs[1:]]
    expected = value_and_grads(instance, instance.dense_mixture())
    found = value_and_grads(instance, instance.head_mixture())
    assert [grad.dtype for grad in found[1]] == [torch.bfloat16, torch.float32, torch.float32]
    assert_equal((found[0], found[1][1:]), (expected[0], expected[1][1:]), 1e-5, 1e-4)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from(TRANSFORMS))
def test_gradients_are_derivatives(seed, transform):
    """By finite differences: no formula of ours on the other side."""
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
    """Log-mass of a logistic law in 6 equal bins: a head with two features and no matrix."""
    edges = torch.linspace(-1, 1, 7, dtype=rows.dtype)[1:-1]
    centre, log_scale = rows[:, :1], rows[:, 1:]
    cdf = torch.sigmoid((edges - centre) * sharpness * torch.exp(-log_scale))
    cdf = torch.nn.functional.pad(torch.nn.functional.pad(cdf, (1, 0)), (0, 1), value=1.0)
    return (cdf.diff(dim=-1) + 1e-3).log()


@settings(max_examples=30)
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


@pytest.mark.parametrize("frozen", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
def test_only_what_needs_a_gradient_gets_one(frozen):
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
    """An expanded latent axis, as of a teacher without latent: read, never copied as a whole."""
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


def test_excluding_what_the_target_has_costs_infinity_without_nan():
    instance = Instance(8, (2, 3, 4, 5, 3, 2), "subs")
    flat = torch.full((2, 4, 5), -math.log(5), dtype=torch.float64)
    mixture = instance.head_mixture()
    for value in (mixture.marginal_kl(flat), mixture.mean_latent_kl(flat)):
        assert value.tolist() == [math.inf] * 2
        grads = torch.autograd.grad(value.sum(), instance.inputs)
        assert all(grad.isfinite().all() for grad in grads)


class LargestTensor(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return found


def _losses(instance, mixture):
    consistency = Target.from_samples(instance.atoms, instance.targets[0])
    data = Target.from_samples(instance.x_0, instance.targets[1])
    mixture = prefetch(mixture, [consistency, data])
    total = consistency_loss(mixture, consistency).total + data_loss(mixture, data).total
    return total.sum()


@pytest.mark.parametrize("chunk", [1, 2])
def test_no_tensor_is_ever_as_large_as_the_logits(chunk):
    sizes = (2, 8, 16, 64, 4, 3)
    instance = Instance(9, sizes, "subs")
    batch, num_latents, num_dims, num_states = sizes[:4]
    with LargestTensor() as dense:
        torch.autograd.grad(_losses(instance, instance.dense_mixture()), instance.inputs)
    assert dense.largest == batch * num_latents * num_dims * num_states
    with LargestTensor() as ours:
        torch.autograd.grad(_losses(instance, instance.head_mixture(chunk)), instance.inputs)
    buffers, targets = 2 * chunk * num_latents * num_states, batch * num_dims * num_states
    assert ours.largest == max(buffers, targets)


def test_given_coordinates_take_no_product():
    instance = Instance(10, (2, 3, 8, 5, 3, 2), "subs")
    rows = []

    def function(features):
        rows.append(len(features))
        return features @ instance.weight.T

    mixture = HeadMixture(
        instance.inputs[0], FunctionHead(function, 5), instance.log_weights, instance.transform
    )
    mixture.gather(instance.atoms)
    unknown = int((instance.transform.given < 0).sum())
    assert 0 < unknown < 16
    assert sum(rows) == 3 * unknown
    rows.clear()
    everything = LogitsTransform(given=torch.zeros(2, 8, dtype=torch.long))
    known = HeadMixture(mixture.hidden, mixture.head, mixture.log_weights, everything)
    assert known.gather(torch.zeros(2, 1, 8, dtype=torch.long)).abs().max() == 0
    assert rows == []


def test_what_was_not_prefetched_costs_a_sweep_but_is_right():
    instance = Instance(11, (2, 3, 4, 5, 3, 2))
    ready = instance.head_mixture().prefetch([instance.atoms])
    assert ready.gather(instance.atoms) is ready.gather(instance.atoms)
    expected = value_and_grads(instance, instance.dense_mixture())
    assert_equal(value_and_grads(instance, ready), expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_draw_follows_each_latent_and_gives_the_marginals(transform):
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
    # At most 6 chi-squares of 3 degrees of freedom: 51 is exceeded by one seed in 20,000.
    chi_square = ((counts - expected) ** 2 / expected).where(expected > 0, 0).sum()
    assert chi_square < 51
    torch.testing.assert_close(
        log_marginals[::999].exp(),
        dense.log_marginals().exp().expand(11, -1, -1),
        rtol=1e-12,
        atol=1e-15,
    )
    assert not log_marginals.requires_grad


@pytest.mark.parametrize("positions", [1, 3, 1000])
@pytest.mark.parametrize("per_sample", [False, True])
def test_draws_are_those_of_the_dense_mixture(positions, per_sample):
    """One uniform a coordinate, whatever the chunks: the two forms stay interchangeable."""
    instance = Instance(14, (3, 2, 5, 6, 3, 1))
    draws = []
    for mixture in (instance.dense_mixture(), instance.head_mixture(positions)):
        generator = (
            SampleGenerators(3, range(3)) if per_sample else torch.Generator().manual_seed(3)
        )
        draws.append(mixture.draw(generator)[0])
    assert torch.equal(*draws)


def test_compiled_losses_are_the_same():
    """The graph breaks at the sweep and goes on after it."""
    script = Path(__file__).with_name("compiled_losses.py")
    subprocess.run([sys.executable, script], check=True, timeout=600)


def test_ranks_of_a_distributed_run_agree(tmp_path):
    """Two gloo ranks: every rank has the mean of both gradients."""
    script = Path(__file__).with_name("distributed_losses.py")
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), str(tmp_path / "store")])
        for rank in range(2)
    ]
    try:
        assert [rank.wait(timeout=600) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
