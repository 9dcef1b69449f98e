"""Every recorded checkpoint is saved as published, converted by the command, loaded and compared.

A published file also holds other objects, such as optimiser states, counters, and configs of
programs that are not installed. The tests add them to the recorded tensors.
"""

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from full_scale import load_model
from full_scale.convert import __main__ as convert
from reporting.programs import run_here
from tests.helpers.published import nested, save, surroundings
from tests.parity.recordings import FLOAT32, recording

KINDS = {
    "tauldr_unet_teacher": "tauldr",
    "tauldr_unet_student": "tauldr",
    "maskgit_transformer_teacher": "maskgit",
    "maskgit_transformer_student": "maskgit",
    "maskgit_vqgan": "vqgan",
    "sdtt_dit_teacher": "sdtt",
    "sdtt_dit_student": "sdtt",
}


def named(name):
    return recording(KINDS[name], name)


def options(recorded):
    """Options for the sizes that the command cannot infer from the weights of a small network."""
    return [word for item in recorded.unsaid.items() for word in ("--set", "{}={}".format(*item))]


def saved(recorded, folder):
    content = nested(recorded.checkpoint) | surroundings(recorded.kind)
    return save(folder / "published.pt", content)


@pytest.fixture(params=[*KINDS])
def recorded(request):
    return named(request.param)


def check(recorded, model, averaged):
    """Compare the outputs of the loaded model with the recorded ones."""
    tensors = recorded.tensors
    assert model.is_student == getattr(recorded.config, "latent", False)
    if recorded.kind == "vqgan":
        assert torch.equal(model.encode(tensors["in/image"]), tensors["out/indices"].flatten(1))
        decoded = model.decode(tensors["in/code"].flatten(1), height=tensors["in/code"].shape[1])
        assert_close(decoded, tensors["out/decoded"].clamp(-1, 1), **FLOAT32)
    elif recorded.kind == "tauldr":
        x_t, t, latent = tensors["in/x_t"], tensors["in/t"], tensors.get("in/lam")
        net_out = tensors["out/net_out" if averaged else "out/net_out_raw_weights"]
        expected = torch.stack([half.flatten(1) for half in net_out.chunk(2, 1)], -1)
        assert_close(model.backbone(x_t, t, latent=latent), expected, **FLOAT32)
        if averaged:
            probs = model.network.denoise(x_t, t, latent).exp()
            assert_close(probs, tensors["out/logits"].softmax(-1), rtol=1e-4, atol=5e-6)
    elif recorded.kind == "maskgit":
        x_t, z = tensors["in/code"].flatten(1), tensors.get("in/z")
        network = model.network.given(tensors["in/label"])
        found = network.denoise(x_t, torch.ones(len(x_t)), z)
        assert_close(found, tensors["out/logits_cond"].log_softmax(-1), **FLOAT32)
    else:
        x_t = tensors["in/indices"]
        if averaged:
            features = model.backbone(x_t, tensors["in/sigma"], latent=tensors.get("in/z"))
            logits = features @ model.backbone.output.weight.T + model.backbone.output.bias
            assert_close(logits, tensors["out/logits_ema"], **FLOAT32)
        else:
            z = tensors.get("in/z_sigma0")
            found = model.network.denoise(x_t, torch.ones(len(x_t)), z).exp()
            expected = tensors["out/log_probs_forward"].exp()[..., :-1]
            assert_close(found, expected, **FLOAT32)


def test_command_converts_and_the_model_agrees(recorded, tmp_path):
    out = tmp_path / "model.safetensors"
    words = [recorded.kind, str(saved(recorded, tmp_path)), str(out), *options(recorded)]
    result = run_here(["-m", "full_scale.convert", *words], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    check(recorded, load_model(out), averaged=recorded.kind == "tauldr")


def test_the_other_weights(recorded, tmp_path):
    if recorded.kind not in ("tauldr", "sdtt"):
        with pytest.raises(ValueError, match="hold no averaged weights"):
            convert.main([recorded.kind, str(saved(recorded, tmp_path)), "x.safetensors", "--ema"])
        return
    out = tmp_path / "model.safetensors"
    other = "--raw" if recorded.kind == "tauldr" else "--ema"
    words = [recorded.kind, str(saved(recorded, tmp_path)), str(out), other, *options(recorded)]
    convert.main(words)
    check(recorded, load_model(out), averaged=other == "--ema")


@pytest.mark.parametrize("prefix", ["", "backbone.", "backbone.backbone.", "backbone._orig_mod."])
@pytest.mark.parametrize("name", ["sdtt_dit_teacher", "sdtt_dit_student"])
def test_safetensors_of_the_hub(name, prefix, tmp_path):
    """MDLM and SDTT publish plain tensors with several prefixes of their names."""
    recorded = named(name)
    bare = {
        prefix + place.removeprefix("state_dict/backbone."): tensor
        for place, tensor in recorded.checkpoint.items()
        if place.startswith("state_dict/")
    }
    save_file(bare, tmp_path / "published.safetensors")
    for kind in ("sdtt", "mdlm"):
        out = tmp_path / f"{kind}.safetensors"
        convert.main([kind, str(tmp_path / "published.safetensors"), str(out), *options(recorded)])
        check(recorded, load_model(out), averaged=False)


@pytest.mark.parametrize("name", ["tauldr_unet_teacher", "tauldr_unet_student"])
def test_prefixes_of_distributed_training(name, tmp_path):
    recorded = named(name)
    for old, new in (("net.module.", "net."), ("net.", "net.module.")):
        checkpoint = {
            place.replace(f"model/{old}", f"model/{new}"): tensor
            for place, tensor in recorded.checkpoint.items()
        }
        recorded = recorded._replace(checkpoint=checkpoint)
        out = tmp_path / "model.safetensors"
        words = ["tauldr", str(saved(recorded, tmp_path)), str(out), "--raw", "--force"]
        convert.main([*words, *options(recorded)])
        check(recorded, load_model(out), averaged=False)


def test_training_keys_of_the_vqgan(tmp_path):
    """A checkpoint from the training of the VQGAN also holds tensors of its losses."""
    recorded = named("maskgit_vqgan")
    recorded.checkpoint["state_dict/loss.discriminator.main.0.weight"] = torch.ones(3)
    out = tmp_path / "model.safetensors"
    convert.main(["vqgan", str(saved(recorded, tmp_path)), str(out), *options(recorded)])
    check(recorded, load_model(out), averaged=False)
