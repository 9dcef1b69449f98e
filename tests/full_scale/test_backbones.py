"""Each network alone: sizes, gradients, precision, the effect of the latent, and its parts."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from full_scale.models.network import Network
from full_scale.models.rotary import rotary_table, rotate
from full_scale.models.truncated_logistic import truncated_logistic
from tests.helpers.tiny_models import (
    DENOISERS,
    DIT,
    UNET,
    VQGAN,
    built,
    each_denoiser,
    network_of,
    states,
    times,
)

# Outputs of a network


@each_denoiser
def test_shapes_and_normalisation(config):
    for latent in (None, torch.rand(3)):
        network = network_of(replace(config, latent=latent is not None))
        x_t = states(network, 3)
        log_probs = network.denoise(x_t, times(3), latent)
        excluded = config is DIT  # MaskGIT keeps the mask in its softmax
        assert log_probs.shape == (*x_t.shape, config.num_states - excluded)
        torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(x_t.shape))


@each_denoiser
def test_gradients_reach_every_parameter(config):
    network = network_of(replace(config, latent=True), labels=torch.tensor([0, 2]))
    network.backbone.train()
    x_0 = states(network, 2, 4).clamp_max(network.process.num_values - 1)
    x_t = states(network, 2)
    if network.process.mask_state is not None:
        x_t[:, ::2] = network.process.mask_state
    mixture = network.mixture(x_t[:, None].expand(-1, 3, -1), times(2), torch.rand(2, 3))
    mixture.gather(x_0).masked_fill(mixture.gather(x_0) == -torch.inf, 0).sum().backward()
    for name, parameter in network.backbone.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


@each_denoiser
def test_a_fresh_network_trains(config):
    """A new network has weights that are zero. All gradients are finite and the loss falls."""
    torch.manual_seed(0)
    backbone = replace(config, latent=True, dropout=0.0).build()
    network = Network(backbone, config.default_process().build())
    x_t, x_0 = states(network, 4), states(network, 4, 1, seed=5)
    if (mask := network.process.mask_state) is not None:
        x_t, x_0 = torch.full_like(x_t, mask), x_0.clamp_max(mask - 1)
    optimizer = torch.optim.Adam(backbone.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = -network.mixture(x_t[:, None], times(4), torch.full((4, 1), 0.5)).gather(x_0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.05


def test_the_scale_of_times_is_that_of_the_latent():
    """Half the scale with twice the time and twice the latent gives the same output."""
    network, slower = (
        network_of(replace(UNET, latent=True, time_scale=scale)) for scale in (1000.0, 500.0)
    )
    slower.backbone.load_state_dict(network.backbone.state_dict())
    x_t, t, latent = states(network, 3), times(3) / 2, torch.tensor([0.1, 0.3, 0.45])
    expected = network.denoise(x_t, t, latent)
    torch.testing.assert_close(slower.denoise(x_t, 2 * t, 2 * latent), expected)
    assert (slower.denoise(x_t, 2 * t, latent) - expected).abs().max() > 1e-3


def test_the_first_scale_may_be_wider_than_the_input():
    """The input convolution has base_width channels, whatever the first multiplier."""
    config = replace(UNET, multipliers=(2, 1, 3), height=4, width=8, latent=True)
    network = network_of(config)
    state = network.backbone.state_dict()
    assert len(state["input.weight"]) == config.base_width
    assert len(state["output_norm.weight"]) == 2 * config.base_width
    log_probs = network.denoise(states(network, 2), times(2), torch.rand(2))
    assert bool(log_probs.isfinite().all())


@each_denoiser
def test_the_latent_changes_the_output(config):
    network = network_of(replace(config, latent=True))
    x_t, t = states(network, 2), times(2)
    if network.process.mask_state is not None:
        x_t[:] = network.process.mask_state
    first, second, same = (
        network.denoise(x_t, t, torch.tensor(latents))
        for latents in ([0.1, 0.7], [0.1, 0.2], [[0.1], [0.7]])
    )
    torch.testing.assert_close(first, same, rtol=0, atol=0)
    torch.testing.assert_close(first[0], second[0])
    assert float((first[1].exp() - second[1].exp()).detach().abs().max()) > 1e-3


@each_denoiser
def test_rows_do_not_see_each_other(config):
    """A row alone gives the same output, so latents, times and labels belong to their own rows."""
    network = network_of(replace(config, latent=True), dtype=torch.float64, labels=torch.arange(3))
    x_t, t, latent = states(network, 3), times(3), torch.rand(3, dtype=torch.float64)
    together = network.denoise(x_t, t, latent)
    for i in range(3):
        alone = network.given(network.labels[i : i + 1])
        found = alone.denoise(x_t[i : i + 1], t[i : i + 1], latent[i : i + 1])
        torch.testing.assert_close(found[0], together[i], rtol=0, atol=1e-10)


@each_denoiser
def test_precisions_agree(config):
    exact = network_of(replace(config, latent=True), dtype=torch.float64)
    x_t, t, latent = states(exact, 2), times(2), torch.rand(2, dtype=torch.float64)
    probs = exact.denoise(x_t, t, latent).exp()
    assert probs.dtype == torch.float64
    single = network_of(replace(config, latent=True)).denoise(x_t, t, latent.float()).exp()
    torch.testing.assert_close(single.double(), probs, rtol=0, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        half = network_of(replace(config, latent=True)).denoise(x_t, t, latent.float()).exp()
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), probs, rtol=0, atol=0.1)
    assert float((half - single).detach().abs().max()) > 0  # autocast did something


def test_bfloat16_weights():
    for config in DENOISERS.values():
        network = network_of(replace(config, latent=True), dtype=torch.bfloat16)
        log_probs = network.denoise(states(network, 2), times(2), torch.rand(2))
        assert bool(log_probs.detach().logsumexp(-1).abs().max() < 1e-4)


# Parts of networks


@settings(max_examples=20)
@given(
    mean=st.floats(-1, 1),
    log_scale=st.floats(-3, 1.5),
    num_states=st.integers(2, 40),
    mirrored=st.booleans(),
)
def test_bins_are_the_mass_of_the_logistic(mean, log_scale, num_states, mirrored):
    """Compared with the distribution function in double precision, including the floor."""
    features = torch.tensor([mean, log_scale], dtype=torch.float64)
    edges = -1 + 2 * torch.arange(num_states + 1, dtype=torch.float64) / num_states
    cdf = 1 / (1 + torch.exp(-(edges - mean) / math.exp(log_scale - 2)))
    left, right = cdf[:-1], cdf[1:]
    expected = right - left + 1e-6 * right
    if mirrored:
        expected = torch.minimum(expected, right - left + 1e-6 * (1 - left))
    found = truncated_logistic(features, num_states, mirrored=mirrored).exp()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


@settings(max_examples=20)
@given(
    num_tokens=st.integers(2, 9),
    half=st.integers(1, 4),
    shift=st.integers(1, 5),
    seed=st.integers(),
)
def test_rotary_products_depend_on_distance_alone(num_tokens, half, shift, seed):
    generator = torch.Generator().manual_seed(seed)
    query, key = torch.randn(2, 2 * half, generator=generator, dtype=torch.float64)
    tokens = num_tokens + shift
    table = rotary_table(tokens, tokens, 2 * half, query)
    turned = [rotate(x.expand(tokens, -1), table) for x in (query, key)]
    products = turned[0] @ turned[1].T
    torch.testing.assert_close(
        products[shift:, shift:], products[:num_tokens, :num_tokens], rtol=0, atol=1e-5
    )
    torch.testing.assert_close(turned[0].norm(dim=-1), query.norm().expand(tokens))
    appended = rotate(query.expand(tokens, -1), rotary_table(num_tokens, tokens, 2 * half, query))
    torch.testing.assert_close(appended[num_tokens:], query.expand(shift, -1))


def test_texts_of_any_length():
    network = network_of(replace(DIT, latent=True))
    for length in (1, 3, 11):
        x_t = torch.full((2, length), DIT.num_states - 1)
        log_probs = network.denoise(x_t, times(2), torch.rand(2))
        assert log_probs.shape == (2, length, DIT.num_states - 1)


@pytest.mark.parametrize("sides", [(8, 8), (4, 12), (20, 8)])
def test_images_of_any_size(sides):
    network = built(VQGAN)
    image = torch.rand(2, 3, *sides) * 2 - 1
    codes = network.encode(image)
    assert codes.shape == (2, sides[0] // 4, sides[1] // 4)
    assert network(image).shape == image.shape
    distances = torch.cdist(
        network.features(image).movedim(1, -1).flatten(1, 2), network.codebook.weight
    )
    assert torch.equal(distances.argmin(-1), codes.flatten(1))
    with pytest.raises(ValueError, match="image must have sides divisible by 4"):
        network.encode(image[..., 1:])
