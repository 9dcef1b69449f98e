"""The recorded transformers of MDLM and SDTT, and the recorded run with our network."""

import pytest
import torch

from full_scale.convert.kinds import published_names, to_ours
from full_scale.models import DiTConfig
from full_scale.models.latent import latent_features, sinusoidal_features
from full_scale.models.network import Network, head_logits
from full_scale.models.presets import MaskedProcessConfig
from tests.parity.recordings import BY_DTYPE, FEATURES, FLOAT32, full_size, recording
from tests.parity.runs import mdlm_process, replay_sdtt, sdtt_run

KNOWN = (
    r"in/(indices|sigma|z|z_sigma0|z_short)|"
    r"out/(logits|log_probs_subs|logits_(sigma0|short|ema)|log_probs_forward|[z]_features|"
    r"sigma_features)"
)
STUDENT = "sdtt_dit_student"
EXCLUDED = -1e5  # the recordings have a logit minus 1e6 in place of -inf


@pytest.fixture(scope="module", params=["sdtt_dit_teacher", STUDENT])
def recorded(request):
    return recording("sdtt" if request.param == STUDENT else "mdlm", request.param)


def _logits(network, indices, sigma, latent):
    return head_logits(network.head(), network(indices, sigma, latent=latent)).float()


def _assert_close_log_probs(found, recorded):
    """Ours is -inf where the recording is below EXCLUDED; elsewhere both are equal."""
    excluded = recorded < EXCLUDED
    assert torch.equal(found == -torch.inf, excluded)
    torch.testing.assert_close(found[~excluded], recorded[~excluded], **FLOAT32)


def test_every_recorded_tensor_is_read(recorded):
    assert recorded.unread(KNOWN) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ema", [False, True])
def test_logits(recorded, ema, dtype):
    tensors, network = recorded.tensors, recorded.network(ema, dtype)
    indices, sigma = tensors["in/indices"], tensors["in/sigma"]
    found = _logits(network, indices, sigma, tensors.get("in/z"))
    torch.testing.assert_close(
        found, tensors["out/logits_ema" if ema else "out/logits"], **BY_DTYPE[dtype]
    )


def test_logits_without_noise_level_and_of_short_texts(recorded):
    tensors, network = recorded.tensors, recorded.network()
    indices, zero = tensors["in/indices"], torch.zeros_like(tensors["in/sigma"])
    found = _logits(network, indices, zero, tensors.get("in/z_sigma0"))
    torch.testing.assert_close(found, tensors["out/logits_sigma0"], **FLOAT32)
    short = tensors["out/logits_short"]
    found = _logits(network, indices[:, : short.shape[1]], zero, tensors.get("in/z_short"))
    torch.testing.assert_close(found, short, **FLOAT32)


def test_the_denoiser_and_the_mixture(recorded):
    """The adapters exclude the mask and carry over unmasked coordinates."""
    tensors, num_values = recorded.tensors, recorded.tiny["mask_index"]
    backbone = recorded.network()
    network = Network(backbone, MaskedProcessConfig(num_values, "log-linear").build())
    x_t, t, z = tensors["in/indices"], torch.rand(len(tensors["in/indices"])), "in/z_sigma0"
    log_probs = network.denoise(x_t, t, tensors.get(z))
    _assert_close_log_probs(log_probs, tensors["out/log_probs_forward"][..., :num_values])
    assert bool(
        (tensors["out/log_probs_forward"][..., num_values:] < EXCLUDED)
        .logical_or((x_t == num_values)[..., None])
        .all()
    )
    mixture = network.mixture(x_t[:, None], t, tensors.get(z))
    x_0 = torch.where(x_t == num_values, 1, x_t)
    expected = tensors["out/log_probs_forward"].gather(-1, x_0[..., None])[..., 0]
    torch.testing.assert_close(mixture.gather(x_0[:, None])[:, 0, :, 0], expected, **FLOAT32)
    # Logits at the recorded noise level, through the same transform.
    logits = _logits(backbone, x_t, tensors["in/sigma"], tensors.get("in/z"))
    found = network._transform(x_t[:, None]).log_probs(logits[:, None])[:, 0]
    _assert_close_log_probs(found[..., :-1], tensors["out/log_probs_subs"][..., :-1])


def test_sinusoids(recorded):
    tensors = recorded.tensors
    expected = tensors["out/sigma_features"]
    found = sinusoidal_features(tensors["in/sigma"], expected.shape[1], cosines_first=True)
    torch.testing.assert_close(found, expected, **FEATURES)
    if "in/z" in tensors:
        expected = tensors["out/z_features"]
        found = latent_features(tensors["in/z"], expected.shape[1])
        torch.testing.assert_close(found, expected, **FEATURES)


def test_names_and_order_of_the_parameters(recorded):
    for sizes, order in (
        (recorded.config, "ema_shadow_params_order"),
        (recorded.full_config, "full_size_ema_shadow_params_order"),
    ):
        assert published_names(recorded.kind, sizes) == recorded.description[order]


def test_heads_are_counted_by_the_rotary_frequencies(recorded):
    known = {name: value for name, value in recorded.unsaid.items() if name != "num_heads"}
    assert to_ours(recorded.kind, recorded.checkpoint, **known)[0] == recorded.config


def test_the_full_size(recorded):
    published = DiTConfig(latent=recorded.tiny["is_di4c"])
    assert full_size(recorded) == published == recorded.full_config


def test_a_run_of_the_sampler_with_our_network():
    """Latents and uniforms lead to the recorded tokens, with the recorded log-probabilities."""
    run, backbone = sdtt_run(), recording("sdtt", STUDENT).network()
    process = mdlm_process(backbone.config.num_states)
    network = Network(backbone, process)

    def answer(call, *arguments):
        log_probs = network.denoise(*arguments)
        _assert_close_log_probs(log_probs, run["log_p_x0"][call][..., :-1])
        return log_probs

    replay_sdtt(process, answer)
