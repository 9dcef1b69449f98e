"""The program: recipes, dry run, what it refuses, and what a failing run leaves."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from full_scale import train as program
from full_scale.data import DATA
from full_scale.methods import METHODS
from full_scale.models.presets import PRESETS
from full_scale.models.tensor_file import read_tensors
from full_scale.training.checkpoint import latest_checkpoint
from full_scale.training.config import Optimizer, Run, as_json
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.trainer import Trainer
from tests.helpers import train_cases
from tests.helpers.refusals import assert_refused


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture
def run(tmp_path):
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    return train_cases.student_run(tmp_path, preset="tiny", steps=2)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_recipe_parses_to_its_default(name):
    text, expected = EXPERIMENTS[name]
    assert program.parse([name]) == expected
    assert expected.preset in PRESETS
    assert expected.method in ("teacher", *METHODS)
    assert expected.data.name in DATA
    # What to expect, or that nothing is known, is said for each.
    assert "Hardware" in text or "Nothing published" in text
    json.dumps(as_json(expected), allow_nan=False)


def test_options_reach_nested_fields():
    options = ["--teacher", "t.safetensors", "--optimizer.learning-rate", "0.5"]
    options += ["--data.folder", "here", "--num-latents", "3", "--dry-run", "--no-check-memory"]
    run = program.parse(["cifar10", *options])
    assert run.optimizer == replace(EXPERIMENTS["cifar10"][1].optimizer, learning_rate=0.5)
    assert (run.teacher, str(run.data.folder), run.recipe.num_latents) == (
        "t.safetensors",
        "here",
        3,
    )
    assert run.dry_run
    assert not run.check_memory


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "cifar10"),
        (["mnist"], "mnist"),
        (["digits", "--no-such-option"], "--no-such-option"),
        (["digits", "--steps", "many"], "--steps"),
        (["digits", "--steps", "0"], "steps must be at least 1; got 0"),
        (["digits", "--method", "magic"], "method must be one of teacher, cifar10"),
        (["digits", "--batch-size", "8", "--micro-batch", "3"], "multiple of micro_batch = 3"),
        (["digits", "--optimizer.clip", "0"], "clip must be positive and finite; got 0.*use None"),
        (["digits", "--optimizer.clip", "inf"], "clip must be positive and finite; got inf"),
        (["digits", "--optimizer.warmup", "-1"], "optimizer.warmup must be at least 0; got -1"),
        (["digits", "--reports.sample-every", "-5"], "reports.sample_every must be at least 0"),
        (["digits", "--data.workers", "-1"], "data.workers must be at least 0; got -1"),
        (["digits", "--label-dropout", "1"], r"label_dropout must lie in \[0, 1\)"),
        (["digits", "--reports.keep", "0"], r"reports.keep must be at least 1"),
    ],
)
def test_wrong_command_lines_are_one_line(arguments, message):
    assert "see --help" in assert_refused(lambda: program.parse(arguments), message)


def test_gradients_may_stay_as_they_are(run):
    """What the refusal of clip 0 recommends: as with a bound that no gradient reaches."""
    unclipped = program.parse(["digits", "--optimizer.clip", "None"]).optimizer.clip
    models = []
    for clip in (unclipped, 1e9, 1e-3):
        out = run.out.with_name(str(clip))
        other = replace(run, out=out, optimizer=replace(run.optimizer, clip=clip))
        program.train(other, progress=False)
        models.append(read_tensors(out / "model.safetensors")[0])
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert any(not torch.equal(models[0][name], models[2][name]) for name in models[0])


def test_dry_run_says_all_and_writes_nothing(run, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert program.train(replace(run, dry_run=True)) is None
    assert sorted(tmp_path.rglob("*")) == before
    text, _, memory = capsys.readouterr().out.rpartition("memory: ")
    described = json.loads(text)
    assert described["run"]["steps"] == 2
    assert described["data"] == {"items": 899, "num_dims": 64}
    student = sum(p.numel() for p in PRESETS["tiny"].student().build().parameters())
    teacher = sum(p.numel() for p in PRESETS["tiny"].network.build().parameters())
    assert described["parameters"] == {"trained": student, "teacher": teacher}
    assert described["resumes"] is None
    assert "GiB a device" in memory
    assert "work: " in memory


@pytest.mark.parametrize(
    ("recipe", "teacher"), [("cifar10", 35_749_766), ("imagenet", 174_160_874)]
)
def test_dry_run_needs_neither_data_nor_teacher(recipe, teacher, tmp_path, capsys):
    """Somebody who has not downloaded anything sees what it would take, and what is missing."""
    _, run = EXPERIMENTS[recipe]
    run = replace(run, out=tmp_path / "run", data=replace(run.data, folder=tmp_path / "none"))
    assert program.train(replace(run, dry_run=True)) is None
    text, _, rest = capsys.readouterr().out.rpartition("memory: ")
    described = json.loads(text)
    assert described["data"] is None
    assert described["parameters"]["teacher"] == teacher
    assert described["parameters"]["trained"] > teacher
    assert "GiB a device" in rest
    assert "cannot start yet: " in rest
    assert str(tmp_path / "none") in rest
    assert not any(tmp_path.iterdir())


def test_parameter_counts_of_the_published_students():
    """As the paper's code has them; nothing is loaded to count."""
    counts = {}
    for name in ("cifar10", "imagenet"):
        with torch.device("meta"):
            network = PRESETS[EXPERIMENTS[name][1].preset].student().build()
        counts[name] = sum(p.numel() for p in network.parameters())
    assert counts == {"cifar10": 39_066_630, "imagenet": 174_620_906}


def _refused(run, message):
    """The run is refused in one line and leaves no trace."""
    existed = run.out.exists()
    before = {p: p.read_bytes() for p in run.out.rglob("*") if p.is_file()}
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        program.train(run, progress=False)
    assert len(" ".join(str(caught.value).split())) < 600
    assert {p: p.read_bytes() for p in run.out.rglob("*") if p.is_file()} == before
    assert run.out.exists() == existed


def test_missing_teacher(run, tmp_path):
    _refused(replace(run, teacher=None), "teacher is missing: --teacher FILE")
    _refused(replace(run, teacher=str(tmp_path / "none.safetensors")), "none.safetensors")


def test_teacher_of_another_recipe(run, tmp_path):
    wide = replace(train_cases.TINY.network, base_width=16)
    path = train_cases.write_teacher(tmp_path / "wide.safetensors", network=wide)
    _refused(replace(run, teacher=str(path)), "wide.safetensors does not fit .*base_width 16")
    student = train_cases.TINY.student()
    path = train_cases.write_teacher(tmp_path / "student.safetensors", network=student)
    _refused(replace(run, teacher=str(path)), "latent")
    # The second round wants just that.
    assert program.train(replace(run, teacher=str(path), mixture_teacher=True), progress=False)


def test_data_of_another_vocabulary(run):
    PRESETS["other"] = replace(
        train_cases.TINY,
        network=replace(train_cases.TINY.network, num_states=5),
        process=replace(train_cases.TINY.process, num_states=5),
    )
    try:
        message = "17 values a token and preset other has 5: another vocabulary"
        _refused(replace(run, preset="other", method="teacher"), message)
    finally:
        del PRESETS["other"]


def test_data_of_another_size(run):
    PRESETS["other"] = replace(
        train_cases.TINY, network=replace(train_cases.TINY.network, height=16)
    )
    try:
        _refused(replace(run, preset="other", method="teacher"), "64 tokens an item and .* has 128")
    finally:
        del PRESETS["other"]


def test_data_of_other_classes(tmp_path):
    """One too many, and its label would stand for "no class"."""
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.CODES)
    train_cases.write_tokens(tmp_path, train_cases.CODES, num_classes=4)
    run = train_cases.short_run(tmp_path, "tiny-codes")
    _refused(run, "imagenet has 4 classes and preset tiny-codes has 3: labels would mean other")


def test_missing_data(run, tmp_path):
    missing = replace(run.data, name="cifar10", folder=tmp_path / "nothing")
    _refused(replace(run, data=missing), "nothing")


def test_unknown_preset_and_tokenizer(run):
    _refused(replace(run, preset="unknown"), "preset must be one of .*digits.*; got 'unknown'")
    _refused(replace(run, preset="vqgan-imagenet"), "cannot be trained here")


def test_folder_of_another_run(run):
    program.train(run, progress=False)
    changed = replace(run, optimizer=replace(run.optimizer, learning_rate=0.25), seed=3)
    _refused(changed, "another run: optimizer is .*seed is 3 here and 0 there.* another --out")
    other = train_cases.write_teacher(run.out.parent / "other.safetensors", seed=1)
    _refused(replace(run, teacher=str(other)), "another run: teacher_sha256 is")


def test_data_prepared_anew(tmp_path):
    """Other items are another run; a run whose record does not say what they were goes on."""
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.TEXT)
    train_cases.write_tokens(tmp_path, train_cases.TEXT)
    run = train_cases.short_run(tmp_path, "tiny-text", steps=2)
    program.train(run, progress=False)
    shutil.rmtree(tmp_path / "tokens")
    train_cases.write_tokens(tmp_path, train_cases.TEXT, seed=1)
    _refused(replace(run, steps=3), "another run: data_sha256 is .* here and .* there")
    record = json.loads((run.out / "run.json").read_text())
    del record["identity"]["data_sha256"]
    (run.out / "run.json").write_text(json.dumps(record))
    assert program.train(replace(run, steps=3), progress=False).step == 3


def test_a_run_that_never_reached_a_checkpoint_gives_way(run, monkeypatch):
    """What an error tells one to change may be changed."""

    def too_large(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried much")

    with monkeypatch.context() as patch:
        patch.setattr(program.Trainer, "fit", too_large)
        with pytest.raises(
            ValueError, match=r"out of memory on cpu .*: use a smaller --micro-batch"
        ):
            program.train(run, progress=False)
    smaller = replace(run, micro_batch=1, num_latents=2)
    assert program.train(smaller, progress=False).finished
    assert json.loads((run.out / "run.json").read_text())["run"]["micro_batch"] == 1


def test_processes_that_do_not_divide_the_batch_leave_the_folder_alone(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    for dry_run in (True, False):
        _refused(replace(run, dry_run=dry_run), "cannot be shared out evenly among 3 processes")
    assert not run.out.exists()


def test_folder_with_other_files(run):
    run.out.mkdir()
    (run.out / "thesis.txt").write_text("years of work")
    _refused(run, r"is not empty \(thesis.txt\) and holds no run")


def test_too_little_memory(run, monkeypatch):
    monkeypatch.setattr(program, "free_memory", lambda device: 2**20)
    _refused(run, r"the run needs about .* GiB a device: student .*; 0.00 GiB are free: use")
    assert program.train(replace(run, check_memory=False), progress=False)


def test_uneven_processes_are_refused(run, monkeypatch):
    from accelerate import Accelerator

    monkeypatch.setattr(Accelerator, "num_processes", 3)
    with pytest.raises(ValueError, match="2 micro-batches cannot be shared out evenly among 3"):
        train_cases.trainer(run)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_loss_that_is_not_finite(run, monkeypatch, poison):
    """Stops, keeps the last checkpoint, names term and example, writes the batch."""
    run = replace(run, steps=6)
    problem_loss = train_cases.problem_class(run).loss
    calls = []

    def poisoned(self, network, batch, generator):
        objective = problem_loss(self, network, batch, generator)
        calls.append(batch)
        if len(calls) == 6:  # second micro-batch of step 2
            bad = torch.tensor([0.0, poison])
            terms = {**objective.terms, "data_marginal": objective.terms["data_marginal"] + bad}
            return objective._replace(terms=terms, loss=objective.loss + bad)
        return objective

    monkeypatch.setattr(train_cases.problem_class(run), "loss", poisoned)
    with pytest.raises(ValueError, match="step 2: ") as caught:
        program.train(run, progress=False)
    message = str(caught.value)
    assert f"data_marginal is {poison} for example 3" in message
    assert "the last good checkpoint is" in message
    assert latest_checkpoint(run.out / "checkpoints").name == "step_00000002.pt"
    assert not (run.out / "model.safetensors").exists()
    (path,) = (run.out / "failure").iterdir()
    assert path.name == "step_00000002_part_1.safetensors"
    tensors, about = read_tensors(path)
    assert torch.equal(tensors["x_0"], calls[5]["x_0"])
    assert tensors["term.data_marginal"].isfinite().tolist() == [True, False]
    assert "data_marginal" in about["not_finite"]
    # Mended, the run goes on where it was.
    monkeypatch.undo()
    train_cases.register()
    assert program.train(run, progress=False).step == 6


def test_gradient_that_is_not_finite(run, monkeypatch):
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *args: torch.tensor(math.nan))
    with pytest.raises(ValueError, match="the norm of the gradient is nan; its batch is in"):
        program.train(run, progress=False)
    assert len(list((run.out / "failure").iterdir())) == 2


def test_out_of_memory_is_one_line(run, monkeypatch):
    def fail(self, *args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.")

    monkeypatch.setattr(Trainer, "_advance", fail)
    with pytest.raises(ValueError, match=r"out of memory on cpu \(CUDA out of memory\); the estim"):
        program.train(run, progress=False)


def test_main_reports_the_end(run, monkeypatch, capsys):
    monkeypatch.setattr(program, "parse", lambda argv: run)
    program.main([])
    assert capsys.readouterr().err.splitlines()[-1].startswith("2 steps done; model in ")


def test_teachers_learn(tmp_path):
    """Cross-entropy falls well below that of the untrained network, 64 log 17 at most."""
    run = replace(
        EXPERIMENTS["digits-teacher"][1],
        out=tmp_path / "run",
        preset="tiny-exact",
        steps=30,
        batch_size=16,
        micro_batch=16,
        optimizer=Optimizer("adam", 1e-2, ema_decay=0.5),
    )
    run = replace(run, reports=replace(run.reports, log_every=10, sample_every=30, num_samples=4))
    program.train(run, progress=False)
    rows = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] > 1.2 * rows[-1]["loss"]
    assert rows[0]["loss"] < 1.1 * 64 * math.log(17)
    assert (run.out / "samples" / "step_00000030.png").stat().st_size > 100


def test_identity_ignores_what_only_reports():
    run = EXPERIMENTS["cifar10"][1]
    same = replace(run, device="cpu", strategy="fsdp", steps=7, check_memory=False)
    same = replace(same, reports=replace(run.reports, save_every=3))
    assert same.identity() == run.identity()
    for changes in ({"seed": 1}, {"batch_size": 16}, {"num_latents": 2}, {"dropout": 0.0}):
        assert replace(run, **changes).identity() != run.identity()
    cosine = replace(run, optimizer=replace(run.optimizer, schedule="cosine"))
    assert replace(cosine, steps=7).identity() != cosine.identity()
    assert isinstance(run, Run)
