"""Every recorded checkpoint, saved as published, converted by the command, loaded, and compared.

What a published file holds besides the recorded tensors (optimiser states, counters, config
objects of programs that are not installed) is put around them.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from full_scale import convert
from full_scale.load import load_model
from tests.parity.conftest import FOLDER
from tests.programs import run_here
from tests.published import nested, save, surroundings

KINDS = {
    "tauldr_unet_teacher": "tauldr",
    "tauldr_unet_student": "tauldr",
    "maskgit_transformer_teacher": "maskgit",
    "maskgit_transformer_student": "maskgit",
    "maskgit_vqgan": "vqgan",
    "sdtt_dit_teacher": "sdtt",
    "sdtt_dit_student": "sdtt",
}
CHECKPOINTS = [*KINDS]
CLOSE = {"rtol": 1e-5, "atol": 2e-5}


class Recording:
    """One fixture: its tensors, and the checkpoint among them."""

    def __init__(self, name):
        self.name = name
        self.kind = KINDS[name]
        self.tensors = load_file(FOLDER / f"{name}.safetensors")
        self.sizes = json.loads((FOLDER / f"{name}.json").read_text())["tiny_config"]
        self.checkpoint = {
            place.removeprefix("ckpt/"): tensor
            for place, tensor in self.tensors.items()
            if place.startswith("ckpt/")
        }
        assert self.checkpoint

    def __getitem__(self, name):
        return self.tensors[name]

    def __contains__(self, name):
        return name in self.tensors

    def options(self):
        """What the command has to be told, since the weights of a small network do not say it."""
        if self.kind == "tauldr":
            height, width = self.sizes["shape"][1:]
            known = {"height": height, "width": width, "num_states": self.sizes["S"]}
        elif self.kind == "maskgit":
            known = {"num_classes": self.sizes["nclass"], "num_heads": self.sizes["heads"]}
        elif self.kind == "vqgan":
            known = {"resolution": self.sizes["ddconfig"]["resolution"]}
        else:
            known = {"num_dims": self.sizes["model"]["length"]}
            known["num_heads"] = self.sizes["model"]["n_heads"]
        return [word for item in known.items() for word in ("--set", "{}={}".format(*item))]

    def saved(self, folder):
        return save(folder / "published.pt", nested(self.checkpoint) | surroundings(self.kind))


@pytest.fixture(params=CHECKPOINTS)
def recording(request):
    return Recording(request.param)


def check(recording, model, averaged):
    """Outputs of the loaded model against the recorded ones."""
    assert model.is_student == recording.name.endswith("student")
    if recording.kind == "vqgan":
        assert torch.equal(model.encode(recording["in/image"]), recording["out/indices"].flatten(1))
        decoded = model.decode(
            recording["in/code"].flatten(1), height=recording["in/code"].shape[1]
        )
        assert_close(decoded, recording["out/decoded"].clamp(-1, 1), **CLOSE)
    elif recording.kind == "tauldr":
        x_t, t, latent = recording["in/x_t"], recording["in/t"], recording.tensors.get("in/lam")
        net_out = recording["out/net_out" if averaged else "out/net_out_raw_weights"]
        expected = torch.stack([half.flatten(1) for half in net_out.chunk(2, 1)], -1)
        assert_close(model.backbone(x_t, t, latent), expected, **CLOSE)
        if averaged:
            probs = model.network.denoise(x_t, t, latent).exp()
            assert_close(probs, recording["out/logits"].softmax(-1), rtol=1e-4, atol=5e-6)
    elif recording.kind == "maskgit":
        x_t, z = recording["in/code"].flatten(1), recording.tensors.get("in/z")
        network = model.network.given(recording["in/label"])
        found = network.denoise(x_t, torch.ones(len(x_t)), z)
        assert_close(found, recording["out/logits_cond"].log_softmax(-1), **CLOSE)
    else:
        x_t = recording["in/indices"]
        if averaged:
            features = model.backbone(x_t, recording["in/sigma"], recording.tensors.get("in/z"))
            logits = features @ model.backbone.output.weight.T + model.backbone.output.bias
            assert_close(logits, recording["out/logits_ema"], **CLOSE)
        else:
            z = recording.tensors.get("in/z_sigma0")
            found = model.network.denoise(x_t, torch.ones(len(x_t)), z).exp()
            expected = recording["out/log_probs_forward"].exp()[..., :-1]
            assert_close(found, expected, **CLOSE)


def test_command_converts_and_the_model_agrees(recording, tmp_path):
    out = tmp_path / "model.safetensors"
    words = [recording.kind, str(recording.saved(tmp_path)), str(out), *recording.options()]
    result = run_here(["-m", "full_scale.convert", *words], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    check(recording, load_model(out), averaged=recording.kind == "tauldr")


def test_the_other_weights(recording, tmp_path):
    if recording.kind not in ("tauldr", "sdtt"):
        with pytest.raises(ValueError, match="hold no averaged weights"):
            convert.main([recording.kind, str(recording.saved(tmp_path)), "x.safetensors", "--ema"])
        return
    out = tmp_path / "model.safetensors"
    other = "--raw" if recording.kind == "tauldr" else "--ema"
    words = [recording.kind, str(recording.saved(tmp_path)), str(out), other, *recording.options()]
    convert.main(words)
    check(recording, load_model(out), averaged=other == "--ema")


@pytest.mark.parametrize("prefix", ["", "backbone.", "backbone.backbone.", "backbone._orig_mod."])
@pytest.mark.parametrize("name", ["sdtt_dit_teacher", "sdtt_dit_student"])
def test_safetensors_of_the_hub(name, prefix, tmp_path):
    """MDLM and SDTT publish the bare tensors, under several prefixes."""
    recording = Recording(name)
    bare = {
        prefix + place.removeprefix("state_dict/backbone."): tensor
        for place, tensor in recording.checkpoint.items()
        if place.startswith("state_dict/")
    }
    save_file(bare, tmp_path / "published.safetensors")
    for kind in ("sdtt", "mdlm"):
        out = tmp_path / f"{kind}.safetensors"
        convert.main(
            [kind, str(tmp_path / "published.safetensors"), str(out), *recording.options()]
        )
        check(recording, load_model(out), averaged=False)


@pytest.mark.parametrize("name", ["tauldr_unet_teacher", "tauldr_unet_student"])
def test_prefixes_of_distributed_training(name, tmp_path):
    recording = Recording(name)
    for old, new in (("net.module.", "net."), ("net.", "net.module.")):
        recording.checkpoint = {
            place.replace(f"model/{old}", f"model/{new}"): tensor
            for place, tensor in recording.checkpoint.items()
        }
        out = tmp_path / "model.safetensors"
        words = ["tauldr", str(recording.saved(tmp_path)), str(out), "--raw", "--force"]
        convert.main([*words, *recording.options()])
        check(recording, load_model(out), averaged=False)


def test_training_keys_of_the_vqgan(tmp_path):
    """A checkpoint from VQGAN's training holds its losses, which are no part of the model."""
    recording = Recording("maskgit_vqgan")
    recording.checkpoint["state_dict/loss.discriminator.main.0.weight"] = torch.ones(3)
    out = tmp_path / "model.safetensors"
    convert.main(["vqgan", str(recording.saved(tmp_path)), str(out), *recording.options()])
    check(recording, load_model(out), averaged=False)
