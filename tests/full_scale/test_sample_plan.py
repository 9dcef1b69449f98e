"""Sampling plans: which options a network accepts, how steps are counted, and error messages."""

import argparse
from dataclasses import replace

import pytest
import torch

from full_scale import load_model, sample
from full_scale.models.device import usable_device
from full_scale.models.network import Network
from full_scale.models.presets import PRESETS
from full_scale.models.sampling import Plan, samples_at_once
from tests.helpers.sampled import draw, save_models
from tests.helpers.tiny_models import DIT, MASKGIT, UNET


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize(
    ("config", "steps", "times"),
    [
        (UNET, 4, [0, 0.01, 0.34, 0.67, 1]),
        (DIT, 2, [0, 1e-5, (1 + 1e-5) / 2, 1]),
        (MASKGIT, 2, [0, 0.5, 1]),
    ],
)
def test_grids_count_steps_as_published(config, steps, times):
    torch.testing.assert_close(config.time_grid(steps, 1.0), torch.tensor(times).double())


def test_plan_names_the_published_sampler(files):
    for name, sampler in (("unet", "ancestral"), ("dit", "ancestral"), ("maskgit", "confidence")):
        network = load_model(files / f"{name}.safetensors").network
        assert Plan(2).resolve(network).sampler == sampler


def test_as_many_samples_at_once_as_fit():
    """Networks of published sizes in 4 GiB, with 20 bytes for each of D S probabilities."""
    for name, expected in (("sdtt-owt", 4), ("maskgit-imagenet", 64), ("tauldr-cifar10", 64)):
        with torch.device("meta"):
            network = PRESETS[name].network.build()
        model = Network(network, PRESETS[name].process.build())
        assert samples_at_once(model, 2**32, 64) == expected
        assert samples_at_once(model, 1, 64) == 1


def test_too_little_memory_is_one_line(files, tmp_path, monkeypatch):
    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried much")

    monkeypatch.setattr(sample, "draw", too_large)
    with pytest.raises(ValueError, match=r"CUDA out of memory\) with 8 samples .* smaller --batch"):
        draw(files, tmp_path / "out", "dit", "--steps", 2, "--batch", 8, "--num-samples", 9)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("unet", ["--sampler", "confidence"], "sampler must be one of ancestral, tau-leaping"),
        ("unet", ["--guidance", 1], "guidance must be 0 for the ancestral sampler of a U-Net"),
        ("unet", ["--label", 1], "a U-Net has no classes"),
        ("maskgit", ["--label", 3], r"label must lie in 0\.\.2; got 3"),
        ("unet", ["--teacher-steps", 1], "teacher_steps is 1 and there is no teacher"),
        ("unet", ["--teacher", "unet"], "teacher is given and makes no calls"),
        (
            "unet",
            ["--teacher", "dit", "--teacher-steps", 1],
            "teacher has 13 states and the model 9",
        ),
        (
            "maskgit",
            ["--teacher", "maskgit", "--teacher-steps", 1],
            "teacher_steps must be 0 for the",
        ),
        ("unet", ["--teacher-steps", 9, "--teacher", "unet"], r"teacher_steps must lie in 0\.\.2"),
        ("vqgan", [], "is a VQGAN, which has no samples"),
        ("maskgit", ["--vqgan", "unet"], "is a U-Net; give a converted VQGAN"),
        ("dit", ["--tokenizer", "/nowhere"], "tokenizer /nowhere cannot be opened"),
    ],
)
def test_bad_options(files, tmp_path, model, options, message):
    paths = {name: str(files / f"{name}.safetensors") for name in ("unet", "dit", "maskgit")}
    options = ["--steps", 2, "--num-samples", 2, *(paths.get(option, option) for option in options)]
    with pytest.raises(ValueError, match=message):
        draw(files, tmp_path / "a", model, *options)
    assert not (tmp_path / "a").exists(), "an empty folder would stay behind"


@pytest.mark.parametrize("device", ["meta", "banana", "cuda:99"])
def test_devices_that_cannot_compute_are_refused(device):
    """Torch knows the first one, whose tensors have no values."""
    assert usable_device("cpu").type == "cpu"
    with pytest.raises(argparse.ArgumentTypeError, match=f"can use here, .*; got '{device}'"):
        usable_device(device)


@pytest.mark.parametrize("option", ["--num-samples", "--batch", "--show"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_of_samples_are_positive(files, tmp_path, option, value, capsys):
    with pytest.raises(SystemExit):
        draw(files, tmp_path / "a", "unet", "--steps", 2, option, value)
    assert f"{option}: must be a whole number of at least 1; got" in capsys.readouterr().err


def test_teachers_of_another_size_are_refused(files):
    network = load_model(files / "unet.safetensors").network
    taller = Network(replace(UNET, height=8).build(), network.process)
    with pytest.raises(ValueError, match="teacher has 144 dimensions and the model 72"):
        Plan(2, teacher_steps=1).resolve(network, taller)


def test_labels_belong_to_classes(files):
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="a U-Net has no classes"):
        load_model(files / "unet.safetensors").sample(2, 1, labels=labels)
    with pytest.raises(ValueError, match=r"guidance is 2\.0 and there are no labels"):
        load_model(files / "maskgit.safetensors").sample(2, 2, guidance=2.0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"labels must hold one class for each of 4 samples; got the shape \(2,\)"),
        ([[0, 1, 2, 0]], r"for each of 4 samples; got the shape \(1, 4\)"),
        ([0, 1, 2, 3], r"labels must lie in 0\.\.2; got 0 to 3: use None for no class"),
        ([0, 1, 2, -1], r"labels must lie in 0\.\.2; got -1 to 2"),
    ],
)
@pytest.mark.parametrize("sampler", ["confidence", "ancestral"])
def test_labels_are_one_class_a_sample(files, labels, message, sampler):
    model = load_model(files / "maskgit.safetensors")
    with pytest.raises(ValueError, match=message):
        model.sample(4, 2, labels=torch.tensor(labels), sampler=sampler)
