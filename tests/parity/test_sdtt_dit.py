"""The recorded transformers of MDLM and SDTT, and the recorded run with the network in it."""

import json

import pytest
import torch
from safetensors.torch import load_file

from di4c.generation import call_grid
from di4c.samplers import ancestral
from full_scale.backbones import DiTConfig
from full_scale.backbones.latent import latent_features, sinusoidal_features
from full_scale.naming import published_names
from full_scale.networks import Network, head_logits
from full_scale.presets import MaskedProcessConfig
from tests.parity.conftest import FOLDER
from tests.parity.recordings import BY_DTYPE, FEATURES, FLOAT32, full_size, recording

KNOWN = (
    r"in/(indices|sigma|z|z_sigma0|z_short)|"
    r"out/(logits|log_probs_subs|logits_(sigma0|short|ema)|log_probs_forward|[z]_features|"
    r"sigma_features)"
)
STUDENT = "sdtt_dit_student"
EXCLUDED = -1e5  # recorded in place of -inf: -1e6, give or take a logit


@pytest.fixture(scope="module", params=["sdtt_dit_teacher", STUDENT])
def recorded(request):
    return recording("sdtt" if request.param == STUDENT else "mdlm", request.param)


def _config(sizes, num_dims) -> DiTConfig:
    model = sizes["model"]
    assert not model["tie_word_embeddings"]
    return DiTConfig(
        num_states=sizes["vocab_size"],
        num_dims=num_dims,
        hidden_size=model["hidden_size"],
        condition_size=model["cond_dim"],
        num_blocks=model["n_blocks"],
        num_heads=model["n_heads"],
        mlp_ratio=sizes["mlp_ratio"],
        noise_features=sizes["frequency_embedding_size"],
        time_conditioning=sizes["time_conditioning"],
        dropout=model["dropout"],
        latent=sizes["is_di4c"],
    )


def _network(recorded, ema=False, dtype=torch.float32):
    sizes = _config(recorded.tiny, recorded.tiny["model"]["length"])
    known = {name: getattr(sizes, name) for name in ("num_dims", "time_conditioning", "dropout")}
    network, config = recorded.network(known, ema, dtype)
    assert config == sizes
    return network


def _logits(network, indices, sigma, latent):
    return head_logits(network.head(), network(indices, sigma, latent)).float()


def _assert_close_log_probs(found, recorded):
    """-inf where the recording has about -1e6."""
    excluded = recorded < EXCLUDED
    assert torch.equal(found == -torch.inf, excluded)
    torch.testing.assert_close(found[~excluded], recorded[~excluded], **FLOAT32)


def test_every_recorded_tensor_is_read(recorded):
    assert recorded.unread(KNOWN) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ema", [False, True])
def test_logits(recorded, ema, dtype):
    tensors, network = recorded.tensors, _network(recorded, ema, dtype)
    indices, sigma = tensors["in/indices"], tensors["in/sigma"]
    found = _logits(network, indices, sigma, tensors.get("in/z"))
    torch.testing.assert_close(
        found, tensors["out/logits_ema" if ema else "out/logits"], **BY_DTYPE[dtype]
    )


def test_logits_without_noise_level_and_of_short_texts(recorded):
    tensors, network = recorded.tensors, _network(recorded)
    indices, zero = tensors["in/indices"], torch.zeros_like(tensors["in/sigma"])
    found = _logits(network, indices, zero, tensors.get("in/z_sigma0"))
    torch.testing.assert_close(found, tensors["out/logits_sigma0"], **FLOAT32)
    short = tensors["out/logits_short"]
    found = _logits(network, indices[:, : short.shape[1]], zero, tensors.get("in/z_short"))
    torch.testing.assert_close(found, short, **FLOAT32)


def test_the_denoiser_and_the_mixture(recorded):
    """The adapters exclude the mask and carry over what is not masked."""
    tensors, num_values = recorded.tensors, recorded.tiny["mask_index"]
    assert num_values == recorded.tiny["vocab_size"] - 1
    backbone = _network(recorded)
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
    # The same at the recorded noise level, through the same transform.
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
    for prefix in ("", "full_size_"):
        sizes = _config(recorded.description[f"{prefix or 'tiny_'}config"], 1)
        order = recorded.description[f"{prefix}ema_shadow_params_order"]
        assert published_names(recorded.kind, sizes) == order


def test_the_full_size(recorded):
    sizes = _config(recorded.description["full_size_config"], DiTConfig.num_dims)
    assert full_size(recorded) == sizes == DiTConfig(latent=recorded.tiny["is_di4c"])


def test_a_run_of_the_sampler_with_the_network_in_it():
    """From latents and uniforms alone to the recorded tokens; every log-probability on the way."""
    samplers = load_file(FOLDER / "samplers.safetensors")
    settings = json.loads((FOLDER / "samplers.json").read_text())["config"]
    mdlm = json.loads((FOLDER / "sdtt_process.json").read_text())["config"]
    run = {
        name.removeprefix("sdtt/run/"): tensor
        for name, tensor in samplers.items()
        if name.startswith("sdtt/run/")
    }
    backbone = _network(recording("sdtt", STUDENT))
    process = MaskedProcessConfig(backbone.config.num_states - 1, "log-linear").build()
    network = Network(backbone, process)
    calls = []

    def denoiser(x_t, t, latent=None):
        call = len(calls)
        assert torch.equal(x_t, run["x_before"][call])
        log_probs = network.denoise(x_t, t, latent)
        _assert_close_log_probs(log_probs, run["log_p_x0"][call][..., :-1])
        calls.append(float(t[0]))
        return log_probs

    result = ancestral(
        process,
        denoiser,
        torch.full(run["x_final"].shape, process.mask_state),
        call_grid(settings["sd_run_steps"] + 1, mdlm["full_size"]["sampling_eps"]),
        latent=run["z"],
        last="argmax",
        uniforms=run["uniform"],
    )
    assert torch.equal(result.samples, run["x_final"])
    assert calls == pytest.approx(run["t"].tolist(), abs=1e-6)
