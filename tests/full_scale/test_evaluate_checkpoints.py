"""`full_scale.evaluate` on checkpoints: it draws their samples, and writes a row for each."""

from dataclasses import replace

import numpy as np
import pytest

from figures.evaluations import our_runs
from full_scale import evaluate
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.train import train
from reporting import read_rows
from tests.helpers import train_cases
from tests.helpers.sampled import draw


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has kept the checkpoints of the steps 1, 2 and 3."""
    train_cases.register()
    folder = tmp_path_factory.mktemp("run")
    train_cases.write_teacher(folder / "teacher.safetensors")
    run = train_cases.student_run(folder, steps=3, milestones=(1, 2))
    fast = replace(run.optimizer, learning_rate=0.3, warmup=0)  # so that few samples show it
    run = replace(run, reports=replace(run.reports, keep=1), optimizer=fast)
    train(run, progress=False)
    return run


def _evaluate(source, results, *options):
    arguments = [source, "--results", results, "--device", "cpu", "--replicates", 2, *options]
    arguments += ["--features", "pixels", "--reference", "digits"]
    evaluate.main(list(map(str, arguments)))
    return read_rows(results)


def test_every_checkpoint_gets_a_row(run, tmp_path, capsys):
    """The samples are those of `full_scale.sample`. A second call draws nothing anew."""
    results = tmp_path / "evaluations.jsonl"
    options = ["--every", "--steps", 2, "--num-samples", 6]
    rows = _evaluate(run.out, results, *options)
    assert [row["training_step"] for row in rows] == [1, 2, 3]
    assert {(row["weights"], row["checkpoint"], row["num_samples"]) for row in rows} == {
        ("averaged", True, 6)
    }
    assert len({row["metrics"]["frechet"]["value"] for row in rows}) == 3
    folders = sorted((run.out / "evaluated").iterdir())
    assert len(folders) == 3
    drawn = ["--steps", 2, "--num-samples", 6]
    expected = draw(run.out / "checkpoints", tmp_path / "2", "step_00000002", *drawn, suffix="")
    np.testing.assert_array_equal(SampleFolder(folders[1]).samples(), expected)
    before = [(folder / "samples.npy").stat().st_mtime_ns for folder in folders]
    again = _evaluate(run.out, results, *options)[3:]
    assert [row["metrics"] for row in again] == [row["metrics"] for row in rows]
    assert [(folder / "samples.npy").stat().st_mtime_ns for folder in folders] == before
    experiment = rows[0]["experiment"]
    shown = our_runs(tmp_path, experiment, "frechet", checkpoints=True)
    assert [row["training_step"] for row in shown] == [1, 2, 3]
    assert our_runs(tmp_path, experiment, "frechet") == []
    assert "averaged weights" in capsys.readouterr().out


def test_one_checkpoint_with_raw_weights(run, tmp_path):
    source = run.out / "checkpoints" / "step_00000002"
    options = ["--steps", 2, "--num-samples", 5, "--weights", "raw", "--drawn", tmp_path / "drawn"]
    [row] = _evaluate(source, tmp_path / "rows.jsonl", *options)
    assert (row["training_step"], row["weights"]) == (2, "raw")
    assert [folder.name for folder in (tmp_path / "drawn").iterdir()] == [
        "step_00000002-steps2-num-samples5-weightsraw-seed0"
    ]


def test_a_finished_run_is_no_checkpoint(run, tmp_path):
    options = ["--steps", 2, "--num-samples", 5, "--drawn", tmp_path / "drawn"]
    [row] = _evaluate(run.out, tmp_path / "rows.jsonl", *options)
    assert (row["training_step"], row["checkpoint"]) == (3, False)


def test_numbers_are_printed_even_if_their_row_cannot_be_written(run, tmp_path, capsys):
    options = ["--steps", 2, "--num-samples", 5, "--drawn", tmp_path / "drawn"]
    [row] = _evaluate(run.out, tmp_path / "rows.jsonl", *options)
    capsys.readouterr()
    with pytest.raises(OSError, match="/dev/full"):
        _evaluate(run.out, "/dev/full", *options)
    assert f"{row['metrics']['frechet']['value']:.4f}" in capsys.readouterr().out


def test_the_row_is_written_even_if_nobody_reads_the_numbers(run, tmp_path, monkeypatch):
    def closed(row):
        raise BrokenPipeError("head -1 has ended")

    monkeypatch.setattr(evaluate, "_show", closed)
    options = ["--steps", 2, "--num-samples", 5, "--drawn", tmp_path / "drawn"]
    with pytest.raises(BrokenPipeError):
        _evaluate(run.out, tmp_path / "rows.jsonl", *options)
    assert len(read_rows(tmp_path / "rows.jsonl")) == 1


def test_the_place_of_the_row_is_checked_before_samples_are_drawn(run, tmp_path, monkeypatch):
    """The default one here; one that is given is checked with the other options."""
    (tmp_path / "text").touch()
    monkeypatch.setattr(evaluate, "RESULTS", tmp_path / "text" / "rows.jsonl")
    with pytest.raises(OSError, match="text"):
        evaluate.main([str(run.out), "--steps", "2", "--drawn", str(tmp_path / "drawn")])
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every"], "every is for samples that are drawn here; add --steps n"),
        (["--num-samples", 3], "num-samples is for samples that are drawn here; add --steps n"),
        (["--every", "--steps", 2], "has no checkpoints; give the folder of a training run"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        _evaluate(tmp_path, tmp_path / "rows.jsonl", *options)
    assert not (tmp_path / "rows.jsonl").exists()
