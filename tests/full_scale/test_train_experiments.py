"""The published experiments from end to end, with their real runs on tiny networks and files.

Each test case prepares data, distils a teacher, draws samples and measures them. Training uses
bfloat16 where the experiment does. The commands are those of the README. Samples of pixels are
measured in test_evaluate.py.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from PIL import Image

from full_scale import evaluate, prepare, sample
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models import DenoiserConfig, UNetConfig, presets
from full_scale.models.presets import GaussianProcessConfig, Preset
from full_scale.models.tensor_file import read_tensors
from full_scale.train import train
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Reports
from reporting import read_rows
from tests.helpers import tiny_models
from tests.helpers.tiny_models import DIT, MASKGIT, VQGAN, save_model
from tests.helpers.tiny_text import save_documents, save_judge

PIXELS = UNetConfig(base_width=8, multipliers=(1, 1), num_res_blocks=1, time_features=8)
"""A small network with the pixels and grey levels of CIFAR-10."""


class Experiment(NamedTuple):
    """A published experiment and its tiny version.

    Attributes:
        name: key of EXPERIMENTS.
        network: a tiny network of the same kind.
        sampling: options of full_scale.sample.
        measuring: options of full_scale.evaluate; empty if nothing is measured.
    """

    name: str
    network: DenoiserConfig
    sampling: str
    measuring: str


TEXT = (DIT, "--tokenizer words", "--tokenizer words --judge words --replicates 2")
CASES = [
    Experiment("cifar10", PIXELS, "", ""),  # a Frechet distance of 3072 pixels takes too long
    Experiment(
        "imagenet",
        MASKGIT,
        "--guidance 2 --vqgan vqgan.safetensors",
        "--vqgan vqgan.safetensors --features pixels --reference pictures --stretch",
    ),
    Experiment("openwebtext", *TEXT),
    Experiment("openwebtext-round2", *TEXT),
]
MEASURED = {"imagenet": {"frechet"}}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with source files, prepared data and teachers."""
    folder = tmp_path_factory.mktemp("experiments")
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(6)]
    Dataset.from_dict({"img": images, "label": [0, 1, 2, 3, 4, 5]}).save_to_disk(folder / "cifar")
    for label in ("n01", "n02", "n03"):
        (folder / "pictures" / label).mkdir(parents=True)
        for i in range(4):
            small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            small.save(folder / "pictures" / label / f"{i}.png")
    save_documents(folder / "documents", 200)
    save_judge(folder / "words")
    save_model(folder / "vqgan.safetensors", VQGAN)
    tiny_models.PROCESSES[PIXELS] = GaussianProcessConfig()
    for network in (PIXELS, MASKGIT, DIT):
        save_model(folder / f"{type(network).__name__}.safetensors", network)
    save_model(folder / "DiTConfig-student.safetensors", DIT, student=True)
    for command in (
        "cifar10 --source cifar --split train",
        "imagenet --source pictures --vqgan vqgan.safetensors",
        "openwebtext --source documents --tokenizer words --length 6 --held-out 20",
    ):
        name, *options = command.split()
        prepare.main([name, *_paths(folder, options), "--out", str(folder / name)])
    return folder


def _paths(folder, arguments):
    """The arguments, with the names of existing files replaced by their paths."""
    return [str(folder / a) if (folder / a).exists() else a for a in arguments]


def _forget_precision():
    """Reset accelerate, which keeps the first precision of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True)
def _fresh_precision():
    _forget_precision()
    yield
    _forget_precision()


def _run(files, out, experiment, **changes):
    """The published run, with two steps and the tiny network."""
    network, published = experiment.network, EXPERIMENTS[experiment.name][1]
    presets.PRESETS["tiny-kind"] = Preset("a tiny one", network, tiny_models.PROCESSES[network])
    second = "-student" if published.mixture_teacher else ""
    return replace(
        published,
        out=out,
        preset="tiny-kind",
        steps=2,
        batch_size=2,
        micro_batch=1,
        num_latents=2,
        teacher=str(files / f"{type(network).__name__}{second}.safetensors"),
        data=replace(published.data, folder=files / published.data.name),
        reports=Reports(log_every=1, save_every=1, num_samples=2, sample_every=2, sample_steps=2),
        device="cpu",
        **changes,
    )


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A function that trains the run of an experiment once and returns it."""
    runs = {}

    def train_once(experiment):
        if experiment.name not in runs:
            out = tmp_path_factory.mktemp(experiment.name) / "run"
            runs[experiment.name] = _run(files, out, experiment)
            assert train(runs[experiment.name], progress=False).finished
        return runs[experiment.name]

    return train_once


@pytest.mark.parametrize("experiment", CASES, ids=lambda case: case.name)
class TestTraining:
    def test_a_resumed_run_is_exactly_the_same(self, files, trained, tmp_path, experiment):
        """The trained weights differ from those of the teacher."""
        whole = trained(experiment)
        parts = _run(files, tmp_path / "parts", experiment, check_memory=False)
        for steps in (1, 2):
            train(replace(parts, steps=steps), progress=False)
        logs = [(run.out / "log.jsonl").read_text() for run in (whole, parts)]
        assert logs[0] == logs[1]
        ours, theirs = (read_tensors(run.out / "model.safetensors")[0] for run in (parts, whole))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        taught = read_tensors(Path(whole.teacher))[0]
        assert any(not torch.equal(theirs[name], value) for name, value in taught.items())
        rows = read_rows(whole.out / "log.jsonl")
        assert [row["step"] for row in rows] == [1, 2]
        assert all(np.isfinite(row["loss"]) for row in rows)
        assert any((whole.out / "samples").iterdir())

    def test_losses_in_bfloat16_and_float32_are_close(self, files, trained, tmp_path, experiment):
        whole = trained(experiment)
        _forget_precision()
        precision = "bf16" if whole.precision == "no" else "no"
        changes = {"precision": precision, "check_memory": False}
        other = _run(files, tmp_path / "other", experiment, **changes)
        train(replace(other, steps=1), progress=False)
        one, two = (read_rows(run.out / "log.jsonl")[0]["loss"] for run in (whole, other))
        assert one == pytest.approx(two, rel=0.05)
        assert one != two

    def test_student_is_sampled_and_measured(self, files, trained, tmp_path, experiment):
        drawing = ["--steps", "2", "--num-samples", "4", "--device", "cpu"]
        drawing += _paths(files, experiment.sampling.split())
        sample.main([str(trained(experiment).out), *drawing, "--out", str(tmp_path / "drawn")])
        assert SampleFolder(tmp_path / "drawn").samples().shape == (4, experiment.network.num_dims)
        if not experiment.measuring:
            return
        results = tmp_path / "results.jsonl"
        measuring = ["--results", str(results), "--device", "cpu"]
        measuring += _paths(files, experiment.measuring.split())
        evaluate.main([str(tmp_path / "drawn"), *measuring])
        (row,) = read_rows(results)
        assert row["role"] == "student"
        assert row["few_samples"]
        wanted = MEASURED.get(experiment.name, {"entropy", "perplexity", "self-bleu"})
        assert set(row["metrics"]) == wanted
        assert all(np.isfinite(metric["value"]) for metric in row["metrics"].values())
