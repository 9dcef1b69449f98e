"""DenseMixture: statistics against loops over Python floats, infinities, precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, LogitsTransform, log_joint, log_product

INF = float("inf")


def dense(seed, batch=2, num_latents=3, num_dims=4, num_states=5, **options):
    """A random mixture with random weights, and a random law for each coordinate."""
    generator = torch.Generator().manual_seed(seed)

    def law(*shape):
        logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
        return logits.log_softmax(-1)

    mixture = DenseMixture(
        law(batch, num_latents, num_dims, num_states), law(num_latents), **options
    )
    return mixture, law(batch, num_dims, num_states)


SIZES = st.tuples(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 5),
)


@settings(max_examples=50)
@given(SIZES, st.integers(1, 4))
def test_gather_joint_and_product_against_loops(sizes, num_atoms):
    mixture, _ = dense(*sizes)
    batch, num_latents, num_dims, num_states = mixture.log_probs.shape
    generator = torch.Generator().manual_seed(sizes[0])
    atoms = torch.randint(num_states, (batch, num_atoms, num_dims), generator=generator)
    gathered = mixture.gather(atoms)
    assert gathered.shape == (batch, num_latents, num_dims, num_atoms)
    joint, product = (f(gathered, mixture.log_weights) for f in (log_joint, log_product))
    p, w = mixture.log_probs.exp().tolist(), mixture.log_weights.exp().tolist()
    for b, rows in enumerate(atoms.tolist()):
        for n, x in enumerate(rows):
            each = [[p[b][k][d][s] for d, s in enumerate(x)] for k in range(num_latents)]
            for k in range(num_latents):
                assert gathered[b, k, :, n].exp().tolist() == pytest.approx(each[k], rel=1e-13)
            shared = math.fsum(w[k] * math.prod(each[k]) for k in range(num_latents))
            independent = math.prod(
                math.fsum(w[k] * each[k][d] for k in range(num_latents)) for d in range(num_dims)
            )
            assert joint[b, n].exp().item() == pytest.approx(shared, rel=1e-12)
            assert product[b, n].exp().item() == pytest.approx(independent, rel=1e-12)


@settings(max_examples=50)
@given(SIZES)
def test_divergences_against_loops(sizes):
    mixture, log_target = dense(*sizes)
    batch, num_latents, num_dims, num_states = mixture.log_probs.shape
    p, w, r = (x.exp().tolist() for x in (mixture.log_probs, mixture.log_weights, log_target))
    cells = [(d, s) for d in range(num_dims) for s in range(num_states)]
    for b in range(batch):
        mean = {
            (d, s): math.fsum(w[k] * p[b][k][d][s] for k in range(num_latents)) for d, s in cells
        }
        marginal = math.fsum(r[b][d][s] * math.log(r[b][d][s] / mean[d, s]) for d, s in cells)
        latent = math.fsum(
            w[k] * r[b][d][s] * math.log(r[b][d][s] / p[b][k][d][s])
            for k in range(num_latents)
            for d, s in cells
        )
        assert mixture.marginal_kl(log_target)[b].item() == pytest.approx(marginal, abs=1e-12)
        assert mixture.mean_latent_kl(log_target)[b].item() == pytest.approx(latent, abs=1e-12)


@settings(max_examples=50)
@given(SIZES)
def test_the_latent_kl_bounds_the_marginal_kl_and_both_are_0_at_the_target(sizes):
    mixture, log_target = dense(*sizes)
    gap = mixture.mean_latent_kl(log_target) - mixture.marginal_kl(log_target)
    assert gap.min() >= -1e-13  # convexity
    num_latents = mixture.log_probs.shape[1]
    same = DenseMixture(
        log_target[:, None].expand(-1, num_latents, -1, -1).clone(), mixture.log_weights
    )
    assert same.marginal_kl(log_target).abs().max() < 1e-13
    assert same.mean_latent_kl(log_target).abs().max() < 1e-13


def _two_latents(zero):
    """Two latents, one coordinate, three states.

    State 2 is impossible, and state 1 is impossible for the second latent.
    """
    probs = torch.tensor([[[[0.25, 0.75, 0.0]], [[1.0, 0.0, 0.0]]]], dtype=torch.float64)
    return probs.log().clamp(min=zero).requires_grad_()


@pytest.mark.parametrize("zero", [-INF, -1e6])
def test_zero_log_zero_counts_as_zero_in_value_and_gradient(zero):
    log_probs = _two_latents(zero)
    mixture = DenseMixture(log_probs, uniform_log_weights(2))
    # The mean is (0.625, 0.375, 0), and the target has no mass on state 2.
    log_target = torch.tensor([[[0.5, 0.5, 0.0]]], dtype=torch.float64).log().clamp(min=zero)
    value = mixture.marginal_kl(log_target)
    expected = 0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)
    assert value.item() == pytest.approx(expected, abs=1e-14)
    (grad,) = torch.autograd.grad(value.sum(), log_probs)
    # The gradient is -P times the share of each latent in the mean.
    shares = torch.tensor([[[[0.2, 1.0, 0.0]], [[0.8, 0.0, 0.0]]]], dtype=torch.float64)
    torch.testing.assert_close(grad, -0.5 * shares, rtol=0, atol=1e-14)


def test_a_target_outside_the_support_costs_infinity_without_nan():
    log_probs = _two_latents(-INF)
    mixture = DenseMixture(log_probs, uniform_log_weights(2))
    log_target = torch.tensor([[[0.5, 0.0, 0.5]]], dtype=torch.float64).log()
    for value in (mixture.marginal_kl(log_target), mixture.mean_latent_kl(log_target)):
        assert value.item() == INF
        (grad,) = torch.autograd.grad(value.sum(), log_probs)
        assert grad.isfinite().all()
    gathered = mixture.gather(torch.tensor([[[2], [1]]]))
    joint = log_joint(gathered, mixture.log_weights)
    assert joint[0].tolist() == pytest.approx([-INF, math.log(0.375)])
    (grad,) = torch.autograd.grad(joint[0, 0], log_probs)
    assert grad.tolist() == torch.zeros_like(log_probs).tolist()


def test_a_latent_of_weight_zero_does_not_count():
    log_probs = torch.tensor([[[[0.5, 0.5]], [[1.0, 0.0]]]], dtype=torch.float64).log()
    mixture = DenseMixture(log_probs, torch.tensor([1.0, 0.0], dtype=torch.float64).log())
    log_target = torch.tensor([[[0.25, 0.75]]], dtype=torch.float64).log()
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert mixture.mean_latent_kl(log_target).item() == pytest.approx(expected, abs=1e-15)
    assert mixture.marginal_kl(log_target).item() == pytest.approx(expected, abs=1e-15)


def test_targets_get_no_gradient():
    mixture, log_target = dense(0)
    log_target.requires_grad_()
    assert not mixture.marginal_kl(log_target).requires_grad
    assert not mixture.mean_latent_kl(log_target).requires_grad


def test_half_precision_is_reduced_in_float32():
    mixture, log_target = dense(1, num_states=50)
    coarse = DenseMixture(mixture.log_probs.bfloat16(), mixture.log_weights)
    exact = DenseMixture(coarse.log_probs.double(), mixture.log_weights, validate=False)
    atoms = torch.zeros(2, 3, 4, dtype=torch.long)
    assert coarse.gather(atoms).dtype == coarse.marginal_kl(log_target).dtype == torch.float32
    for name in ("marginal_kl", "mean_latent_kl"):
        values = [getattr(m, name)(log_target).double() for m in (coarse, exact)]
        torch.testing.assert_close(*values, rtol=1e-5, atol=1e-5)


def test_draws_follow_each_latent_and_come_with_the_marginals():
    mixture, _ = dense(2, batch=1, num_latents=2, num_dims=2, num_states=3)
    many = DenseMixture(mixture.log_probs.expand(20_000, -1, -1, -1), mixture.log_weights)
    samples, log_marginals = many.draw(torch.Generator().manual_seed(0))
    counts = torch.nn.functional.one_hot(samples, 3).double().sum(0)  # (L, D, S)
    expected = 20_000 * mixture.log_probs[0].exp()
    # 4 chi-squares of 2 degrees of freedom; 33.4 is exceeded by one seed in 20,000.
    assert ((counts - expected) ** 2 / expected).sum().item() < 33.4
    mean = (mixture.log_weights[:, None, None] + mixture.log_probs[0]).exp().sum(0)
    torch.testing.assert_close(log_marginals[7].exp(), mean, rtol=1e-13, atol=0)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.booleans())
def test_the_transform_is_the_masked_parametrisation(seed, capped):
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    x_t = torch.randint(5, (2, 4), generator=generator)
    soft_cap = 3.0 if capped else None
    transform = LogitsTransform.subs(x_t, mask_state=4, soft_cap=soft_cap)
    mixture = DenseMixture.from_logits(logits, uniform_log_weights(3), transform)
    for b in range(2):
        for k in range(3):
            for d in range(4):
                z = logits[b, k, d].tolist()[:4]
                z = [3.0 * math.tanh(v / 3.0) for v in z] if capped else z
                total = math.fsum(map(math.exp, z))
                law = [*(math.exp(v) / total for v in z), 0.0]
                if x_t[b, d] != 4:
                    law = [float(s == x_t[b, d]) for s in range(5)]
                assert mixture.log_probs[b, k, d].exp().tolist() == pytest.approx(law, rel=1e-12)


def test_known_coordinates_get_no_gradient():
    logits = torch.randn(1, 1, 2, 3, dtype=torch.float64)
    logits[0, 0, 0] = -INF
    logits.requires_grad_()
    found = LogitsTransform(given=torch.tensor([[1, -1]])).log_probs(logits)
    found[0, 0, :, 1].sum().backward()
    assert not logits.grad[0, 0, 0].any()
    torch.testing.assert_close(logits.grad[0, 0, 1].sum(), torch.zeros(()).double())
    assert logits.grad[0, 0, 1].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_in_half_precision_are_normalised_in_float32(dtype):
    """The softmax of 3072 equal logits in bfloat16 sums to 1.03."""
    logits = torch.zeros(1, 1, 1, 3072, dtype=dtype)
    mixture = DenseMixture.from_logits(logits, uniform_log_weights(1))
    assert mixture.log_probs.dtype == torch.float32
    assert float(mixture.log_probs[0, 0, 0, 0]) == pytest.approx(-math.log(3072), rel=1e-6)


@pytest.mark.parametrize("num_states", [3072, 50_258, 51_213])
def test_uniform_laws_in_bfloat16_are_accepted(num_states):
    """Half a unit in the last place at log 51,213 moves the sum to 1.032."""
    log_probs = torch.full((1, 1, 1, num_states), -math.log(num_states)).bfloat16()
    DenseMixture(log_probs, uniform_log_weights(1))


def test_draws_have_no_gradient():
    logs = torch.zeros(1, 1, 2, 3, requires_grad=True).log_softmax(-1)
    assert not DenseMixture(logs, torch.zeros(1)).draw(torch.Generator())[1].requires_grad
