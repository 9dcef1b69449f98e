"""The recorded transformers of MaskGIT, and the recorded run of the sampler with our network."""

import pytest
import torch

from full_scale.models import MaskGITConfig
from full_scale.models.latent import latent_features
from full_scale.models.network import Network, head_logits
from full_scale.models.presets import MaskedProcessConfig
from tests.parity.recordings import BY_DTYPE, FEATURES, FLOAT32, full_size, recording
from tests.parity.runs import maskgit_run, replay_maskgit

KNOWN = (
    r"in/(code|label|drop_label|z|z_alt)|"
    r"out/(logits|logits_(cond|uncond|z_alt|no_z)|attention_layer0|z_features)"
)
STUDENT = "maskgit_transformer_student"


@pytest.fixture(scope="module", params=["maskgit_transformer_teacher", STUDENT])
def recorded(request):
    return recording("maskgit", request.param)


def _labels(recorded, drop):
    labels = recorded.tensors["in/label"]
    return torch.where(drop, recorded.tiny["nclass"], labels)


def _logits(recorded, network, labels, latent):
    features = network(recorded.tensors["in/code"].flatten(1), labels=labels, latent=latent)
    return head_logits(network.head(), features).float()


def test_every_recorded_tensor_is_read(recorded):
    assert recorded.unread(KNOWN) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits(recorded, dtype):
    tensors, network = recorded.tensors, recorded.network(dtype=dtype)
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
    tensors, network = recorded.tensors, recorded.network()
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
    published = MaskGITConfig(latent=recorded.tiny["is_student"])
    assert full_size(recorded) == published == recorded.full_config


def test_a_run_of_the_sampler_with_our_network():
    """Labels, latents and draws lead to the recorded codes, with the recorded logits."""
    run, backbone = maskgit_run(), recording("maskgit", STUDENT).network()
    process = MaskedProcessConfig(backbone.config.codebook_size, "arccos").build()
    conditional = Network(backbone, process, labels=run["labels"])
    networks = {"logits_cond": conditional, "logits_uncond": conditional.given(None)}

    def answer(name, step, *arguments):
        log_probs = networks[name].denoise(*arguments)
        torch.testing.assert_close(log_probs, run[name][step].log_softmax(-1), **FLOAT32)
        return log_probs

    replay_maskgit(process, answer)
