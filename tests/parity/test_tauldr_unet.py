"""The recorded U-Nets of tauLDR: raw and averaged weights, outputs, head, parameter names."""

import pytest
import torch

from full_scale.convert.kinds import published_names
from full_scale.models import UNetConfig
from full_scale.models.latent import sinusoidal_features
from full_scale.models.network import Network
from full_scale.models.presets import GaussianProcessConfig
from full_scale.models.truncated_logistic import truncated_logistic
from tests.parity.recordings import BY_DTYPE, FEATURES, FLOAT32, full_size, recording

KNOWN = (
    r"in/(x_t|t|lam|lam_alt)|"
    r"out/(logits|logits_fix_logistic|net_out|net_out_raw_weights|net_out_lam_alt|time_features)"
)
STUDENT = "tauldr_unet_student"


@pytest.fixture(scope="module", params=["tauldr_unet_teacher", STUDENT])
def recorded(request):
    return recording("tauldr", request.param)


def _as_image(features, sizes):
    """Features (B, D, 2) in the recorded layout (B, 2 C, H, W)."""
    return features.movedim(-1, 1).reshape(len(features), -1, *sizes["shape"][1:])


def _features(recorded, network, latent="in/lam"):
    tensors = recorded.tensors
    given = tensors[latent] if network.config.latent else None
    return network(tensors["in/x_t"], tensors["in/t"], latent=given)


def test_every_recorded_tensor_is_read(recorded):
    assert recorded.unread(KNOWN) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_of_the_network(recorded, dtype):
    tensors = recorded.tensors
    outputs = {"out/net_out": True, "out/net_out_raw_weights": False}
    for name, ema in outputs.items():
        features = _features(recorded, recorded.network(ema, dtype))
        image = _as_image(features, recorded.tiny).float()
        torch.testing.assert_close(image, tensors[name], **BY_DTYPE[dtype])
    assert not torch.equal(*(tensors[name] for name in outputs))


def test_another_latent():
    recorded = recording("tauldr", STUDENT)
    features = _features(recorded, recorded.network(ema=True), "in/lam_alt")
    image = _as_image(features, recorded.tiny)
    torch.testing.assert_close(image, recorded.tensors["out/net_out_lam_alt"], **FLOAT32)
    distance = (image - recorded.tensors["out/net_out"]).abs().max()
    assert float(distance) > 100 * FLOAT32["atol"]


def _assert_close_logits(found, recorded):
    """Probabilities agree to 1e-5. A floor in a logarithm limits the accuracy of small logits."""
    torch.testing.assert_close(found.softmax(-1), recorded.softmax(-1), rtol=0, atol=1e-5)
    torch.testing.assert_close(found, recorded, rtol=0, atol=0.1)
    off = (found - recorded).abs() > 1e-3
    assert float(off.float().mean()) < 0.3


def test_logits_of_the_head(recorded):
    num_states = recorded.tiny["S"]
    features = _features(recorded, recorded.network(ema=True))
    logits = truncated_logistic(features, num_states, mirrored=recorded.tiny["fix_logistic"])
    _assert_close_logits(logits, recorded.tensors["out/logits"])
    mirrored = recorded.tensors["out/logits_fix_logistic"]
    found = truncated_logistic(features[: len(mirrored)], num_states, mirrored=True)
    _assert_close_logits(found, mirrored)


def test_the_denoiser_and_the_mixture(recorded):
    """Outputs through both adapters. In the mixture each latent has its own row of x_t."""
    tensors, network = recorded.tensors, recorded.network(ema=True)
    network = Network(network, GaussianProcessConfig(recorded.tiny["S"]).build())
    latent = tensors.get("in/lam")
    log_probs = network.denoise(tensors["in/x_t"], tensors["in/t"], latent)
    probs = tensors["out/logits"].softmax(-1)
    torch.testing.assert_close(log_probs.exp(), probs, rtol=0, atol=1e-5)
    mixture = network.mixture(tensors["in/x_t"][:, None], tensors["in/t"], latent)
    at_x = mixture.gather(tensors["in/x_t"][:, None])[:, 0, :, 0]
    expected = probs.gather(-1, tensors["in/x_t"][..., None])[..., 0]
    torch.testing.assert_close(at_x.exp(), expected, rtol=0, atol=1e-5)


def test_sinusoids(recorded):
    sizes, tensors = recorded.tiny, recorded.tensors
    t = tensors["in/t"] * sizes["time_scale_factor"]
    found = sinusoidal_features(t, sizes["time_embed_dim"])
    torch.testing.assert_close(found, tensors["out/time_features"], **FEATURES)


def test_names_and_order_of_the_parameters(recorded):
    prefix = r"net."
    for sizes, order in (
        (recorded.config, "ema_shadow_params_order"),
        (recorded.full_config, "full_size_ema_shadow_params_order"),
    ):
        published = [
            name.removeprefix(prefix).removeprefix("module.")
            for name in recorded.description[order]
        ]
        assert published_names("tauldr", sizes) == published


def test_the_full_size(recorded):
    sizes = recorded.full_config
    assert full_size(recorded) == UNetConfig(latent=sizes.latent)
    low, high = sizes.value_range
    assert (low, high) == (0, sizes.num_states - 1)  # the meaning of None
