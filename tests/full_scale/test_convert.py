"""The command that converts published checkpoints: the files that it writes, and its errors."""

import dataclasses
import json
import os
import re
import struct
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.testing import assert_close

from full_scale import load_model
from full_scale.convert import __main__ as convert
from full_scale.models.tensor_file import file_sha256
from reporting import ROOT
from reporting.programs import run_here
from tests.helpers.hostile_pickles import archive, attacks
from tests.helpers.published import CONFIGS, UNSAID, checkpoint, save


def build(kind, student=False):
    config = CONFIGS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = (dataclasses.replace(config, latent=True) if student else config).build()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def options(kind):
    return [word for name, value in UNSAID[kind].items() for word in ("--set", f"{name}={value}")]


def published(folder, kind, student=False, change=lambda content: None):
    content = checkpoint(kind, build(kind, student))
    change(content)
    return save(folder / "published.ckpt", content)


def command(*words):
    return run_here(["-m", "full_scale.convert", *map(str, words)], ROOT)


def assert_refused(result, message):
    assert result.returncode == 2, result.stderr
    assert re.fullmatch(rf"error: .*({message}).*\n", result.stderr), result.stderr


def check_conversion(kind, student, folder, printed):
    """Compare the files of a conversion and its printed lines with the network."""
    network, out = build(kind, student), folder / "new folder" / "x.safetensors"
    count = sum(parameter.numel() for parameter in network.parameters())
    assert f"{count:,} parameters" in printed
    assert ("student" in printed) == student
    for file in (folder / "published.ckpt", out):
        assert file_sha256(file) in printed
    model = load_model(out)
    assert model.config == network.config
    shift = 1 if kind == "tauldr" else 0  # tauLDR samples from its averaged weights
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name] + shift)
    if kind == "vqgan":
        assert model.process is None
    else:
        assert model.sample(2, steps=2).shape == (2, network.config.num_dims)
    assert [*out.parent.iterdir()] == [out]


@pytest.mark.parametrize("kind", CONFIGS)
def test_command(kind, tmp_path):
    source = published(tmp_path, kind)
    result = command(kind, source, tmp_path / "new folder" / "x.safetensors", *options(kind))
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    check_conversion(kind, False, tmp_path, result.stdout)


@pytest.mark.parametrize("kind", ["tauldr", "maskgit", "mdlm", "sdtt"])
def test_students(kind, tmp_path, capsys):
    source, out = published(tmp_path, kind, student=True), tmp_path / "new folder/x.safetensors"
    convert.main([kind, str(source), str(out), *options(kind)])
    check_conversion(kind, True, tmp_path, capsys.readouterr().out)


@pytest.mark.parametrize("kind", ["tauldr", "mdlm", "sdtt"])
@pytest.mark.parametrize("flag", ["--raw", "--ema"])
def test_weights_that_were_asked_for(kind, flag, tmp_path):
    out = tmp_path / "x.safetensors"
    convert.main([kind, str(published(tmp_path, kind)), str(out), flag, *options(kind)])
    network, model = build(kind), load_model(out)
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name] + (flag == "--ema"))
    assert model.manifest["source"]["weights"] == {"--raw": "raw", "--ema": "averaged"}[flag]


def test_file_describes_itself(tmp_path):
    source, out = published(tmp_path, "sdtt"), tmp_path / "x.safetensors"
    convert.main(["sdtt", str(source), str(out), *options("sdtt")])
    with safe_open(out, "pt") as file:
        description = json.loads(file.metadata()["di4c"])
    assert description["network"]["kind"] == "dit"
    assert description["network"]["num_dims"] == 6
    assert description["process"]["schedule"] == "log-linear"
    assert description["manifest"]["source"] == {
        "origin": "published.ckpt",
        "sha256": file_sha256(source),
        "kind": "sdtt",
        "weights": "raw",
    }
    assert {"code", "command", "date", "versions"} <= description["manifest"].keys()
    assert str(tmp_path) not in json.dumps(description)


def test_bare_safetensors(tmp_path):
    """Safetensors files of the hub hold the tensors and nothing else."""
    content = checkpoint("mdlm", build("mdlm"))
    save_file(content["state_dict"], tmp_path / "model.safetensors", {"format": "pt"})
    out = tmp_path / "x.safetensors"
    convert.main(["mdlm", str(tmp_path / "model.safetensors"), str(out), *options("mdlm")])
    assert_close(load_model(out).backbone.state_dict(), build("mdlm").state_dict(), rtol=0, atol=0)


def test_nothing_is_overwritten(tmp_path):
    source, out = published(tmp_path, "vqgan"), tmp_path / "x.safetensors"
    out.write_text("mine")
    words = ["vqgan", str(source), str(out), *options("vqgan")]
    assert_refused(command(*words), r"OUT exists: .*--force")
    assert out.read_text() == "mine"
    convert.main([*words, "--force"])
    assert load_model(out).config.kind == "vqgan"
    with pytest.raises(ValueError, match="OUT is the source itself"):
        convert.main(["vqgan", str(out), str(out), "--force"])
    assert load_model(out).config.kind == "vqgan"


def network_state(content):
    """The dictionary of the network in a checkpoint."""
    return next(v for k, v in content.items() if k in ("model", "state_dict", "model_state_dict"))


def drop(content):
    state = network_state(content)
    for name in [name for name in state if "weight" in name][-2:]:
        del state[name]


def add(content):
    network_state(content)["another.weight"] = torch.ones(3)


def reshape(content):
    state = network_state(content)
    name = [name for name in state if "bias" in name][-1]
    state[name] = torch.cat([state[name], state[name]])


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(
    ("change", "title", "message"),
    [
        (drop, "2 missing from the checkpoint:\n  ", "missing: "),
        (
            add,
            "1 unexpected in the checkpoint:\n  another.weight\n",
            r"unexpected: another\.weight",
        ),
        (reshape, "1 of another shape in the checkpoint:\n  ", "of another shape: "),
    ],
)
def test_keys_that_do_not_fit(kind, change, title, message, tmp_path, capsys):
    source, out = published(tmp_path, kind, change=change), tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=message):
        convert.main([kind, str(source), str(out), "--raw", *options(kind)])
    assert title in capsys.readouterr().out
    assert not out.exists()


def test_lists_are_printed_and_the_error_is_one_line(tmp_path):
    source, out = published(tmp_path, "maskgit", change=drop), tmp_path / "x.safetensors"
    result = command("maskgit", source, out, *options("maskgit"))
    assert_refused(result, "maskgit checkpoint.*missing: ")
    assert result.stdout.startswith("2 missing from the checkpoint:\n  ")
    assert len(result.stdout.splitlines()) == 3
    assert list(tmp_path.iterdir()) == [source]


def test_checkpoint_of_another_kind(tmp_path):
    source, out = published(tmp_path, "vqgan"), tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="so it is of another kind"):
        convert.main(["sdtt", str(source), str(out)])
    assert not out.exists()


@pytest.mark.parametrize("kind", ["tauldr", "sdtt"])
@pytest.mark.parametrize("count", [-1, 1])
def test_averages_of_another_network(kind, count, tmp_path):
    def change(content):
        averages = (
            content["model"]["ema_shadow_params"]
            if kind == "tauldr"
            else content["ema"]["shadow_params"]
        )
        averages[:] = averages[:count] if count < 0 else averages + [torch.ones(1)] * count

    source, out = published(tmp_path, kind, change=change), tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="averaged tensors, one for each parameter; got"):
        convert.main([kind, str(source), str(out), "--ema", *options(kind)])
    convert.main([kind, str(source), str(out), "--raw", *options(kind)])


def test_averages_in_another_order(tmp_path):
    def change(content):
        content["model"]["ema_shadow_params"].reverse()

    source = published(tmp_path, "tauldr", change=change)
    with pytest.raises(ValueError, match="not in the order of the parameters"):
        convert.main(["tauldr", str(source), str(tmp_path / "x.safetensors"), *options("tauldr")])


def test_weights_that_are_not_finite(tmp_path):
    def change(content):
        next(iter(network_state(content).values()))[0] = float("nan")

    source, out = published(tmp_path, "maskgit", change=change), tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"published\.ckpt has weights that are not finite, in "):
        convert.main(["maskgit", str(source), str(out), *options("maskgit")])
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gpt", "x.pt", "x.safetensors"], r"invalid choice: 'gpt'"),
        (["sdtt", "absent.pt", "x.safetensors"], r"no file absent\.pt"),
        (["sdtt", "x.pt", "x.pth"], r"OUT must end in \.safetensors"),
        (["sdtt", ".", "x.safetensors"], r"\. is a folder without .*; name a file in it"),
        (["sdtt", "x.pt", "x.safetensors", "--ema", "--raw"], "not allowed with"),
        (["sdtt", "x.pt", "x.safetensors", "--set", "num_heads"], "--set needs NAME=VALUE"),
        (["sdtt", "x.pt", "x.safetensors", "--set", "num_heads=two"], "--set needs NAME=VALUE"),
        (["maskgit", "x.pt", "x.safetensors", "--ema"], "maskgit checkpoints, which hold no aver"),
        (["sdtt", "hf://x", "x.safetensors"], "hf://x is not an address"),
    ],
)
def test_bad_words(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save({}, tmp_path / "x.pt")
    with pytest.raises((ValueError, FileNotFoundError, SystemExit)) as caught:
        convert.main(words)
    assert re.search(message, str(caught.value) + capsys.readouterr().err)


def test_folder_names_what_it_holds(tmp_path):
    published(tmp_path, "vqgan")
    with pytest.raises(ValueError, match=r"name a file in it: one of published\.ckpt"):
        convert.main(["vqgan", str(tmp_path), str(tmp_path / "x.safetensors")])


def test_unknown_field(tmp_path):
    source = published(tmp_path, "vqgan")
    with pytest.raises(ValueError, match="VQGANConfig has no heads; it has"):
        convert.main(["vqgan", str(source), str(tmp_path / "x.safetensors"), "--set", "heads=2"])


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_damaged_file(place, tmp_path):
    source, out = published(tmp_path, "vqgan"), tmp_path / "x.safetensors"
    content = bytearray(source.read_bytes())
    # Inside the largest entry, which has a checksum. Other bytes may have no meaning.
    with zipfile.ZipFile(source) as file:
        entry = max(file.infolist(), key=lambda info: info.file_size)
    lengths = content[entry.header_offset + 26 : entry.header_offset + 30]
    first = entry.header_offset + 30 + sum(struct.unpack("<HH", lengths))
    content[first + round(place * entry.file_size)] ^= 1
    source.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a whole checkpoint .*is damaged"):
        convert.main(["vqgan", str(source), str(out), *options("vqgan")])
    source.write_bytes(content[: round(place * len(content))])
    with pytest.raises(ValueError, match="is not a whole checkpoint"):
        convert.main(["vqgan", str(source), str(out), *options("vqgan")])
    assert not out.exists()


def test_truncated_safetensors(tmp_path):
    save_file(checkpoint("mdlm", build("mdlm"))["state_dict"], tmp_path / "model.safetensors")
    os.truncate(tmp_path / "model.safetensors", 5000)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        convert.main(["mdlm", str(tmp_path / "model.safetensors"), str(tmp_path / "x.safetensors")])


@pytest.mark.parametrize("name", ["os.system", "inside a dictionary"])
def test_hostile_file_does_not_run(name, tmp_path):
    source = archive(tmp_path / "x.ckpt", attacks(tmp_path / "touched")[name])
    result = command("sdtt", source, tmp_path / "x.safetensors")
    assert_refused(result, "so it is of another kind|not a whole checkpoint")
    assert list(tmp_path.iterdir()) == [source]
