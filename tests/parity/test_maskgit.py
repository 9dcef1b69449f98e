"""The recorded MaskGIT transformers, and the recorded run of the sampler with the network in it."""

import json

import pytest
import torch
from safetensors.torch import load_file

from di4c.confidence import confidence_sampling
from full_scale.backbones import MaskGITConfig
from full_scale.backbones.latent import latent_features
from full_scale.networks import Network, head_logits
from full_scale.presets import MaskedProcessConfig
from tests.parity.conftest import FOLDER
from tests.parity.recordings import BY_DTYPE, FEATURES, FLOAT32, full_size, recording

KNOWN = (
    r"in/(code|label|drop_label|z|z_alt)|"
    r"out/(logits|logits_(cond|uncond|z_alt|no_z)|attention_layer0|z_features)"
)
STUDENT = "maskgit_transformer_student"


@pytest.fixture(scope="module", params=["maskgit_transformer_teacher", STUDENT])
def recorded(request):
    return recording("maskgit", request.param)


def _network(recorded, dtype=torch.float32):
    sizes = recorded.tiny
    known = {
        "num_classes": sizes["nclass"],
        "num_heads": sizes["heads"],
        "dropout": sizes["dropout"],
    }
    network, config = recorded.network(known, dtype=dtype)
    assert config == MaskGITConfig(
        codebook_size=sizes["codebook_size"],
        num_dims=(sizes["img_size"] // 16) ** 2,
        hidden_size=sizes["hidden_dim"],
        num_blocks=sizes["depth"],
        mlp_size=sizes["mlp_dim"],
        latent=sizes["is_student"],
        **known,
    )
    assert sizes["mask_token"] == config.num_states - 1
    return network


def _labels(recorded, drop):
    labels = recorded.tensors["in/label"]
    return torch.where(drop, recorded.tiny["nclass"], labels)


def _logits(recorded, network, labels, latent):
    features = network(recorded.tensors["in/code"].flatten(1), labels, latent)
    return head_logits(network.head(), features).float()


def test_every_recorded_tensor_is_read(recorded):
    assert recorded.unread(KNOWN) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits(recorded, dtype):
    tensors, network = recorded.tensors, _network(recorded, dtype)
    drop = tensors["in/drop_label"]
    kept, dropped = (torch.full_like(drop, value) for value in (False, True))
    z = tensors.get("in/z")
    calls = {
        "out/logits": (_labels(recorded, drop), z),
        "out/logits_cond": (_labels(recorded, kept), z),
        "out/logits_uncond": (_labels(recorded, dropped), z),
        "out/logits_z_alt": (_labels(recorded, drop), tensors.get("in/z_alt")),
        "out/logits_no_z": (_labels(recorded, drop), None),
    }
    for name, arguments in calls.items():
        if name in tensors:
            found = _logits(recorded, network, *arguments)
            torch.testing.assert_close(found, tensors[name], **BY_DTYPE[dtype])
    assert network.config.latent == ("out/logits_z_alt" in tensors)
    torch.testing.assert_close(
        _logits(recorded, network, None, z), tensors["out/logits_uncond"], **BY_DTYPE[dtype]
    )


def test_attention_of_the_first_block(recorded):
    tensors, network = recorded.tensors, _network(recorded)
    seen = []
    attention = network.blocks[0].attention
    hook = attention.qkv.register_forward_hook(lambda module, inputs, output: seen.append(output))
    _logits(recorded, network, _labels(recorded, tensors["in/drop_label"]), tensors.get("in/z"))
    hook.remove()
    query, key, _ = seen[0].unflatten(-1, (3, network.config.num_heads, -1)).unbind(2)
    scores = torch.einsum("bqhf,bkhf->bhqk", query, key) / query.shape[-1] ** 0.5
    mean = scores.softmax(-1).mean(1)
    torch.testing.assert_close(mean, tensors["out/attention_layer0"], **FLOAT32)


def test_features_of_the_latent():
    tensors = recording("maskgit", STUDENT).tensors
    expected = tensors["out/z_features"]
    found = latent_features(tensors["in/z"], expected.shape[1])
    torch.testing.assert_close(found, expected, **FEATURES)


def test_the_full_size(recorded):
    assert full_size(recorded) == MaskGITConfig(latent=recorded.tiny["is_student"])
    sizes = recorded.description["full_size_config"]
    full = MaskGITConfig()
    assert (full.num_classes, full.num_heads, full.mlp_size, full.dropout) == (
        sizes["nclass"],
        sizes["heads"],
        sizes["mlp_dim"],
        sizes["dropout"],
    )


def test_a_run_of_the_sampler_with_the_network_in_it():
    """From labels, latents and draws alone to the recorded codes; every logit on the way."""
    samplers = load_file(FOLDER / "samplers.safetensors")
    settings = json.loads((FOLDER / "samplers.json").read_text())["config"]
    run = {
        name.removeprefix("maskgit/run/"): tensor
        for name, tensor in samplers.items()
        if name.startswith("maskgit/run/")
    }
    backbone = _network(recording("maskgit", STUDENT))
    config = backbone.config
    process = MaskedProcessConfig(config.codebook_size, "arccos").build()
    conditional = Network(backbone, process, labels=run["labels"])
    num_steps = len(run["code_before"])
    compared = []

    def watched(name, network):
        def denoiser(x_t, t, latent=None):
            step = round((1 - float(t[0])) * num_steps)
            assert torch.equal(x_t, run["code_before"][step].flatten(1))
            log_probs = network.denoise(x_t, t, latent)
            expected = run[name][step].log_softmax(-1)
            torch.testing.assert_close(log_probs, expected, **FLOAT32)
            compared.append((name, step))
            return log_probs

        return denoiser

    result = confidence_sampling(
        process,
        watched("logits_cond", conditional),
        torch.full((len(run["labels"]), config.num_dims), process.mask_state),
        num_steps,
        temperature=settings["r_temp"],
        unconditional=watched("logits_uncond", conditional.given(None)),
        guidance=settings["cfg_w"],
        latent=run["z"],
        recorded=list(zip(run["pred_code"], run["gumbel"], strict=True)),
    )
    assert torch.equal(result.samples, run["code_final"].flatten(1))
    assert [step for name, step in compared if name == "logits_cond"] == list(range(num_steps))
    assert [step for name, step in compared if name != "logits_cond"] == list(range(1, num_steps))
    assert result.nfe == len(compared)  # the first step has no guidance
