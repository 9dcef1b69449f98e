"""Any checkpoint of a run as a model, with averaged or with raw weights."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from full_scale import load_model
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.model_file import read_model, write_model
from full_scale.models.run_weights import checkpoints_of
from full_scale.train import train
from full_scale.training.checkpoint import load_checkpoint, save_checkpoint
from full_scale.training.experiments import EXPERIMENTS
from tests.helpers import train_cases
from tests.helpers.refusals import assert_refused
from tests.helpers.sampled import draw
from tests.helpers.tiny_models import UNET, save_model


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of five steps that keeps its newest checkpoint and two milestones."""
    train_cases.register()
    folder = tmp_path_factory.mktemp("run")
    train_cases.write_teacher(folder / "teacher.safetensors")
    run = train_cases.student_run(folder, steps=5, milestones=(1, 3), weights="raw")
    run = replace(run, reports=replace(run.reports, save_every=2, keep=1))
    train(run, progress=False)
    return run


def _state(run, step):
    return load_checkpoint(run.out / "checkpoints" / f"step_{step:08d}.pt").state


def test_milestones_are_kept_beside_the_newest(run):
    """Steps 1 and 3 are no multiples of save_every; step 2 and 4 have been removed."""
    steps = [int(path.stem.removeprefix("step_")) for path in checkpoints_of(run.out)]
    assert steps == [1, 3, 5]


@pytest.mark.parametrize("suffix", ["", ".pt"])
@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_checkpoint_is_a_model_with_either_weights(run, step, suffix):
    """The averages replace the weights of every parameter. By default the run says which."""
    source = run.out / "checkpoints" / f"step_{step:08d}{suffix}"
    state = _state(run, step)
    wanted = {"raw": state["weights"], "averaged": state["ema"]}
    for weights, expected in (*wanted.items(), (None, wanted["raw"])):
        model = load_model(source, weights=weights)
        assert (model.weights, model.training_step) == (weights or "raw", step)
        for name, parameter in model.backbone.named_parameters():
            torch.testing.assert_close(parameter.data, expected[name], rtol=0, atol=0)
    assert any(bool((wanted["raw"][n] != wanted["averaged"][n]).any()) for n in wanted["averaged"])


@pytest.mark.parametrize("weights", ["raw", "averaged", None])
def test_a_finished_run_has_both_while_its_last_checkpoint_is_there(run, weights):
    """The model file holds the configured weights, here the raw ones."""
    model = load_model(run.out, weights=weights)
    expected = _state(run, 5)["ema" if weights == "averaged" else "weights"]
    for name, parameter in model.backbone.named_parameters():
        torch.testing.assert_close(parameter.data, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize(("recipe", "redraw"), [("digits", "fixed"), ("cifar10", "per_step")])
def test_a_student_is_sampled_as_its_recipe_says(tmp_path, recipe, redraw):
    """The model, a checkpoint and the command agree. An option of the command comes first."""
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    run = train_cases.student_run(tmp_path, recipe=recipe, steps=2)
    train(run, progress=False)
    for source in (run.out, run.out / "checkpoints" / "step_00000002"):
        assert load_model(source).policy.redraw == redraw
    options = ["--steps", 2, "--num-samples", 4]
    for given, wanted in (((), redraw), (("--redraw", "fixed"), "fixed")):
        out = tmp_path / f"drawn{len(given)}"
        draw(tmp_path, out, "run", *options, *given, suffix="")
        assert SampleFolder(out).run["settings"]["redraw"] == wanted


def test_weights_that_are_not_there_are_refused(run, tmp_path):
    shutil.copy(run.out / "model.safetensors", tmp_path)
    assert load_model(tmp_path, weights="raw").weights == "raw"
    message = "weights is averaged, and .* has raw weights alone: leave weights out, or give"
    for source in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(ValueError, match=message):
            load_model(source, weights="averaged")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"weights": "both"}, "manifest.weights must be one of 'averaged', 'raw'; got 'both'"),
        ({"source": "hub"}, "manifest.source must be an object; got 'hub'"),
        ({"source": {"weights": []}}, "manifest.source.weights must be one of"),
        ({"step": -1}, "manifest.step must be at least 0; got -1"),
        ({"run": {"preset": 3, "recipe": "x"}}, "manifest.run.preset must be a text; got 3"),
        ({"data_sha256": None}, "manifest.data_sha256 must be a text"),
    ],
)
def test_a_manifest_is_checked_before_it_is_used(tmp_path, manifest, message):
    model = read_model(save_model(tmp_path / "x.safetensors", UNET))
    write_model(tmp_path / "x.safetensors", model.network, model.process, model.state, manifest)
    line = assert_refused(lambda: load_model(tmp_path / "x.safetensors"), message)
    assert "x.safetensors is damaged" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": []}, "run.preset must be a text"),
        ({"weights": "both"}, "run.weights must be one of 'averaged', 'raw'"),
        ({"recipe": None}, "run.recipe must be a text"),
    ],
)
def test_the_configuration_in_a_checkpoint_is_checked(run, tmp_path, changes, message):
    """The checkpoint is whole: its configuration was written by another program."""
    found = load_checkpoint(run.out / "checkpoints" / "step_00000003.pt")
    config = {"run": found.config["run"] | changes}
    path = save_checkpoint(tmp_path / "checkpoints", 3, found.state, config, found.manifest)
    line = assert_refused(lambda: load_model(path), message)
    assert "step_00000003.pt is damaged" in line


def test_an_unfinished_run_names_its_newest_checkpoint(run, tmp_path):
    shutil.copytree(run.out / "checkpoints", tmp_path / "checkpoints")
    newest = tmp_path / "checkpoints" / "step_00000005.pt"
    with pytest.raises(FileNotFoundError, match=f"give its newest checkpoint, {newest}"):
        load_model(tmp_path)
    assert load_model(newest).training_step == 5


@pytest.mark.parametrize("weights", ["raw", "averaged"])
def test_sheets_of_samples_have_the_weights_of_the_run(run, tmp_path, monkeypatch, weights):
    trainer = train_cases.trainer(replace(run, out=tmp_path, weights=weights))
    for average in trainer.ema.shadows.values():
        average.fill_(7.0)
    seen = []

    def preview(network, *_):
        seen.append([parameter.eq(7).all() for parameter in network.parameters()])
        return torch.zeros(1, 64, dtype=torch.long)

    monkeypatch.setattr(trainer.objective, "preview", preview)
    trainer._preview()
    assert {bool(averaged) for averaged in seen[0]} == {weights == "averaged"}


def test_samples_record_their_weights_and_step(run, tmp_path):
    """Raw and averaged weights draw other samples of the same checkpoint."""
    options = ["--steps", 2, "--num-samples", 300]
    checkpoint = run.out / "checkpoints"
    drawn = []
    for weights in ("raw", "averaged"):
        out = tmp_path / weights
        more = [*options, "--weights", weights]
        drawn.append(draw(checkpoint, out, "step_00000003", *more, suffix=""))
        model = SampleFolder(out).run["settings"]["model"]
        assert (model["weights"], model["training_step"]) == (weights, 3)
        assert re.fullmatch(r"run/step_00000003", model["name"])
    assert (np.asarray(drawn[0]) != np.asarray(drawn[1])).any()


def test_published_choices_are_the_defaults():
    """tauLDR samples with its average; MaskGIT has none; SDTT was sampled with raw weights."""
    chosen = {name: EXPERIMENTS[name][1].weights for name in ("cifar10", "imagenet", "openwebtext")}
    assert chosen == {"cifar10": "averaged", "imagenet": "raw", "openwebtext": "raw"}
    text, imagenet = EXPERIMENTS["imagenet"]
    said = " ".join(text.split())
    assert f"dropped labels, {imagenet.label_dropout}, is the default of the published code" in said
    assert "Random crops are left out" in said


def test_milestones_lie_within_the_run(run):
    with pytest.raises(ValueError, match=r"milestones must lie in 1\.\.5, the steps; got 6"):
        replace(run, milestones=(2, 6))


def test_weights_and_milestones_do_not_change_the_training(run):
    assert replace(run, weights="averaged", milestones=()).identity() == run.identity()
