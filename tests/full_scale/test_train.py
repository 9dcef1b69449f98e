"""The command full_scale.train: experiments, options, dry run, and runs that it refuses."""

import json
import shutil
from dataclasses import replace

import pytest

from full_scale import train as program
from full_scale.data import DATA
from full_scale.models.presets import PRESETS
from full_scale.training.config import Run, as_json
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.recipes import RECIPES
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
def test_each_experiment_name_gives_its_default_run(name):
    text, expected = EXPERIMENTS[name]
    assert program.parse([name]) == expected
    assert expected.preset in PRESETS
    assert expected.recipe in ("teacher", *RECIPES)
    assert expected.data.name in DATA
    assert "Hardware" in text or "no published numbers" in text
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
        (["digits", "--optimizer.clip", "0"], "clip must lie in .*; got 0.0: use None"),
        (["digits", "--optimizer.clip", "inf"], "clip must lie in .*; got inf"),
        (["digits", "--optimizer.warmup", "-1"], "optimizer.warmup must be at least 0; got -1"),
        (["digits", "--reports.sample-every", "-5"], "reports.sample_every must be at least 0"),
        (["digits", "--data.workers", "-1"], "data.workers must be at least 0; got -1"),
        (["digits", "--label-dropout", "1"], r"label_dropout must lie in \[0, 1\)"),
        (["digits", "--reports.keep", "0"], r"reports.keep must be at least 1"),
    ],
)
def test_wrong_command_lines_are_refused_in_one_line(arguments, message):
    assert "see --help" in assert_refused(lambda: program.parse(arguments), message)


def test_dry_run_describes_the_run_and_writes_nothing(run, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert program.train(replace(run, dry_run=True)) is None
    assert sorted(tmp_path.rglob("*")) == before
    text, _, memory = capsys.readouterr().out.rpartition("memory: ")
    described = json.loads(text)
    assert described["run"]["steps"] == 2
    assert described["data"] == {"items": 1000, "num_dims": 64}
    student = sum(p.numel() for p in PRESETS["tiny"].student().build().parameters())
    teacher = sum(p.numel() for p in PRESETS["tiny"].network.build().parameters())
    assert described["parameters"] == {"trained": student, "teacher": teacher}
    assert described["resumes"] is None
    assert "GiB a device" in memory
    assert "work: " in memory


def test_dry_run_draws_no_samples_of_the_teacher(tmp_path, capsys):
    """The 20,000 samples of words take minutes; their number is known without them."""
    run = replace(EXPERIMENTS["words"][1], out=tmp_path / "run")
    assert program.train(replace(run, dry_run=True)) is None
    described = json.loads(capsys.readouterr().out.rpartition("memory: ")[0])
    assert described["data"] == {"items": 20_000, "num_dims": 10}
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("experiment", "teacher", "student"),
    [("cifar10", 35_749_766, 39_066_630), ("imagenet", 174_160_874, 174_620_906)],
)
def test_dry_run_needs_neither_data_nor_teacher(experiment, teacher, student, tmp_path, capsys):
    """It prints the costs and what is missing. The parameter counts are those of published code."""
    _, run = EXPERIMENTS[experiment]
    run = replace(run, out=tmp_path / "run", data=replace(run.data, folder=tmp_path / "none"))
    assert program.train(replace(run, dry_run=True)) is None
    text, _, rest = capsys.readouterr().out.rpartition("memory: ")
    described = json.loads(text)
    assert described["data"] is None
    assert described["parameters"] == {"trained": student, "teacher": teacher}
    assert "GiB a device" in rest
    assert "cannot start yet: " in rest
    assert str(tmp_path / "none") in rest
    assert not any(tmp_path.iterdir())


def _refused(run, message):
    """Check that the run is refused with this message and changes no file."""
    existed = run.out.exists()
    before = {p: p.read_bytes() for p in run.out.rglob("*") if p.is_file()}
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        program.train(run, progress=False)
    assert len(" ".join(str(caught.value).split())) < 600
    assert {p: p.read_bytes() for p in run.out.rglob("*") if p.is_file()} == before
    assert run.out.exists() == existed


def test_a_missing_teacher_is_refused(run, tmp_path):
    _refused(replace(run, teacher=None), "teacher is missing: give --teacher FILE")
    _refused(replace(run, teacher=str(tmp_path / "none.safetensors")), "none.safetensors")


def test_a_teacher_of_another_kind_is_refused(run, tmp_path):
    wide = replace(train_cases.TINY.network, base_width=16)
    path = train_cases.write_teacher(tmp_path / "wide.safetensors", network=wide)
    _refused(replace(run, teacher=str(path)), "wide.safetensors does not fit .*base_width 16")
    student = train_cases.TINY.student()
    path = train_cases.write_teacher(tmp_path / "student.safetensors", network=student)
    _refused(replace(run, teacher=str(path)), "latent")
    # In iterated Di4C the teacher is a student, so the same file is accepted.
    assert program.train(replace(run, teacher=str(path), mixture_teacher=True), progress=False)


def test_data_with_another_vocabulary_are_refused(run):
    PRESETS["other"] = replace(
        train_cases.TINY,
        network=replace(train_cases.TINY.network, num_states=5),
        process=replace(train_cases.TINY.process, num_states=5),
    )
    try:
        message = "17 values per token and preset other has 5, so their vocabularies differ"
        _refused(replace(run, preset="other", recipe="teacher"), message)
    finally:
        del PRESETS["other"]


def test_data_of_another_size_are_refused(run):
    PRESETS["other"] = replace(
        train_cases.TINY, network=replace(train_cases.TINY.network, height=16)
    )
    try:
        message = "64 tokens per item and .* has 128"
        _refused(replace(run, preset="other", recipe="teacher"), message)
    finally:
        del PRESETS["other"]


def test_data_with_other_classes_are_refused(tmp_path):
    """The network with 3 classes would read the label of the fourth class as "no class"."""
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.CODES)
    train_cases.write_tokens(tmp_path, train_cases.CODES, num_classes=4)
    run = train_cases.short_run(tmp_path, "tiny-codes")
    _refused(run, "imagenet has 4 classes and preset tiny-codes has 3, so labels would mean other")


def test_missing_data_are_refused(run, tmp_path):
    missing = replace(run.data, name="cifar10", folder=tmp_path / "nothing")
    _refused(replace(run, data=missing), "nothing")


def test_presets_that_cannot_be_trained_are_refused(run):
    _refused(replace(run, preset="unknown"), "preset must be one of .*digits.*; got 'unknown'")
    _refused(replace(run, preset="vqgan-imagenet"), "cannot be trained here")


def test_the_folder_of_another_run_is_refused(run):
    program.train(run, progress=False)
    changed = replace(run, optimizer=replace(run.optimizer, learning_rate=0.25), seed=3)
    _refused(changed, "another run: optimizer is .*seed is 3 here and 0 there.* another --out")
    other = train_cases.write_teacher(run.out.parent / "other.safetensors", seed=1)
    _refused(replace(run, teacher=str(other)), "another run: teacher_sha256 is")


def test_a_run_with_changed_data_is_not_resumed(tmp_path):
    """The folder is prepared again with other items."""
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.TEXT)
    train_cases.write_tokens(tmp_path, train_cases.TEXT)
    run = train_cases.short_run(tmp_path, "tiny-text", steps=2)
    program.train(run, progress=False)
    shutil.rmtree(tmp_path / "tokens")
    train_cases.write_tokens(tmp_path, train_cases.TEXT, seed=1)
    _refused(replace(run, steps=3), "another run: data_sha256 is .* here and .* there")


def test_a_batch_that_cannot_be_shared_out_is_refused(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    for dry_run in (True, False):
        _refused(replace(run, dry_run=dry_run), "cannot be shared out evenly among 3 processes")
    assert not run.out.exists()


def test_a_folder_with_other_files_is_refused(run):
    run.out.mkdir()
    (run.out / "thesis.txt").write_text("years of work")
    _refused(run, r"is not empty \(thesis.txt\) and holds no run")


def test_too_little_memory_is_refused_if_checked(run, monkeypatch):
    monkeypatch.setattr(program, "free_memory", lambda device: 2**20)
    checked = replace(run, check_memory=True)
    _refused(checked, r"the run needs about .* GiB a device: student .*; 0.00 GiB are free: use")
    assert program.train(replace(run, check_memory=False), progress=False)


def test_the_last_line_says_where_the_model_is(run, monkeypatch, capsys):
    monkeypatch.setattr(program, "parse", lambda argv: run)
    program.main([])
    assert capsys.readouterr().err.splitlines()[-1].startswith("2 steps done; model in ")


def test_identity_ignores_options_that_do_not_change_the_result():
    run = EXPERIMENTS["cifar10"][1]
    same = replace(run, device="cpu", strategy="fsdp", steps=7, check_memory=False)
    same = replace(same, reports=replace(run.reports, save_every=3))
    assert same.identity() == run.identity()
    for changes in ({"seed": 1}, {"batch_size": 16}, {"num_latents": 2}, {"dropout": 0.0}):
        assert replace(run, **changes).identity() != run.identity()
    cosine = replace(run, optimizer=replace(run.optimizer, schedule="cosine"))
    assert replace(cosine, steps=7).identity() != cosine.identity()
    assert isinstance(run, Run)
