"""The program: experiments, command lines, dry run, and what it refuses."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from full_scale import train as program
from full_scale.data import DATA
from full_scale.models.presets import PRESETS
from full_scale.training.config import RECIPES, Run, as_json
from full_scale.training.experiments import EXPERIMENTS
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
def test_every_experiment_parses_to_its_default(name):
    text, expected = EXPERIMENTS[name]
    assert program.parse([name]) == expected
    assert expected.preset in PRESETS
    assert expected.recipe in ("teacher", *RECIPES)
    assert expected.data.name in DATA
    # What to expect, or that nothing is known, is said for each.
    assert "Hardware" in text or "Nothing published" in text
    json.dumps(as_json(expected), allow_nan=False)


def test_options_reach_nested_fields():
    options = ["--teacher", "t.safetensors", "--optimizer.learning-rate", "0.5"]
    options += ["--data.folder", "here", "--num-latents", "3", "--dry-run", "--no-check-memory"]
    run = program.parse(["cifar10", *options])
    assert run.optimizer == replace(EXPERIMENTS["cifar10"][1].optimizer, learning_rate=0.5)
    assert (run.teacher, str(run.data.folder), run.di4c_recipe.num_latents) == (
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
        (["digits", "--steps", "many"], r"--steps: .*'many'; see"),
        (["digits", "--steps"], "Missing value for argument '--steps'"),
        (["digits", "--precision", "fp8"], r"'fp8' for argument '--precision'.* 'bf16'\); see"),
        (["digits", "--steps", "0"], "steps must be at least 1; got 0"),
        (["digits", "--recipe", "magic"], "recipe must be one of teacher, cifar10.*; got 'magic'"),
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
    ("experiment", "teacher"), [("cifar10", 35_749_766), ("imagenet", 174_160_874)]
)
def test_dry_run_needs_neither_data_nor_teacher(experiment, teacher, tmp_path, capsys):
    """Somebody who has not downloaded anything sees what it would take, and what is missing."""
    _, run = EXPERIMENTS[experiment]
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


def test_teacher_of_another_experiment(run, tmp_path):
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
        _refused(replace(run, preset="other", recipe="teacher"), message)
    finally:
        del PRESETS["other"]


def test_data_of_another_size(run):
    PRESETS["other"] = replace(
        train_cases.TINY, network=replace(train_cases.TINY.network, height=16)
    )
    try:
        _refused(replace(run, preset="other", recipe="teacher"), "64 tokens an item and .* has 128")
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
    """Other items make another run."""
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.TEXT)
    train_cases.write_tokens(tmp_path, train_cases.TEXT)
    run = train_cases.short_run(tmp_path, "tiny-text", steps=2)
    program.train(run, progress=False)
    shutil.rmtree(tmp_path / "tokens")
    train_cases.write_tokens(tmp_path, train_cases.TEXT, seed=1)
    _refused(replace(run, steps=3), "another run: data_sha256 is .* here and .* there")


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
    checked = replace(run, check_memory=True)
    _refused(checked, r"the run needs about .* GiB a device: student .*; 0.00 GiB are free: use")
    assert program.train(replace(run, check_memory=False), progress=False)


def test_main_reports_the_end(run, monkeypatch, capsys):
    monkeypatch.setattr(program, "parse", lambda argv: run)
    program.main([])
    assert capsys.readouterr().err.splitlines()[-1].startswith("2 steps done; model in ")


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
