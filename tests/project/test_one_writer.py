"""A second process is told who writes, foreign files stay, and measured numbers are not lost."""

import os
import sys

import numpy as np
import pytest

from full_scale import evaluate, sample
from full_scale import train as trainer
from full_scale.data.packed import Description, Rows, pack
from reporting import only_writer, only_writer_of
from reporting.locks import LOCK
from tests.helpers import train_cases
from tests.helpers.tiny_models import UNET, save_model
from toys import leaderboard

IN_USE = rf"is in use: process {os.getpid()} on .* writes there; wait until it ends, or choose"


def test_a_second_trainer_is_refused(tmp_path):
    train_cases.register()
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    run = train_cases.student_run(tmp_path, steps=1)
    with only_writer(run.out), pytest.raises(ValueError, match=IN_USE):
        trainer.train(run, progress=False)
    assert not run.out.exists() or list(run.out.iterdir()) == []
    assert trainer.train(run, progress=False).finished
    assert not (run.out / LOCK).exists()


def test_a_trainer_killed_as_it_wrote_its_record_does_not_block(tmp_path):
    """Other files do: the folder is somebody else's."""
    train_cases.register()
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    run = train_cases.student_run(tmp_path, steps=1)
    run.out.mkdir()
    (run.out / ".run.json.123.tmp").write_text("{")
    (run.out / LOCK).write_text("{")
    assert trainer.train(run, progress=False).finished
    other = train_cases.student_run(tmp_path, steps=1, out=tmp_path / "other")
    other.out.mkdir()
    (other.out / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"is not empty \(notes\.txt\)"):
        trainer.train(other, progress=False)


def test_a_second_preparation_is_refused(tmp_path):
    """It ruins nothing: the first one goes on."""
    about = Description(2, 5, None, {"made": "for a test"})
    refused = []

    def source(cursor):
        yield Rows(np.full((3, 2), 1), None, 0)
        with pytest.raises(ValueError, match=IN_USE) as caught:
            pack(tmp_path / "data", about, lambda _: iter([]))
        refused.append(caught)
        yield Rows(np.full((3, 2), 2), None, 1)

    packed = pack(tmp_path / "data", about, source)
    assert refused
    assert packed.x_0[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert not (tmp_path / "data" / LOCK).exists()


def test_a_second_sampler_of_the_same_share_is_refused(tmp_path, monkeypatch):
    """Another share of the samples has another lock."""
    save_model(tmp_path / "model.safetensors", UNET)
    words = [str(tmp_path / "model.safetensors"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    words += ["--steps", "1", "--num-samples", "2"]
    with only_writer(tmp_path / "out", f".rank-0{LOCK}"):
        with pytest.raises(ValueError, match=IN_USE):
            sample.main(words)
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        sample.main(words)
    assert np.load(tmp_path / "out" / "done.npy").tolist() == [False, True]


def _leaderboard(cache, *more):
    words = ["--task", "pair", "--method", "teacher", "--process", "masked", "--jobs", "1"]
    leaderboard.main([*words, "--cache", str(cache), *more])


def test_a_second_leaderboard_is_refused(tmp_path, capsys):
    cache = tmp_path / "cache.jsonl"
    with only_writer_of(cache):
        with pytest.raises(ValueError, match=IN_USE):
            _leaderboard(cache)
        _leaderboard(cache, "--finished")  # reads alone
    _leaderboard(cache)
    assert [path.name for path in tmp_path.iterdir()] == ["cache.jsonl"]
    assert "pair" in capsys.readouterr().out


def test_the_place_of_the_cache_is_checked_before_the_work(tmp_path, monkeypatch):
    """`os.access` is replaced, because a root user has permission everywhere."""
    monkeypatch.setattr("toys.leaderboard.execute", lambda *_: pytest.fail("it computes"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"cannot be kept .*; name another place: --cache FILE"):
        _leaderboard(tmp_path / "cache.jsonl")


@pytest.mark.parametrize("text", ["notes without an end", "notes\n", '{"other": 1}\n'])
def test_a_file_that_is_no_cache_stays(tmp_path, text):
    notes = tmp_path / "notes.txt"
    notes.write_text(text)
    with pytest.raises(ValueError, match=r"notes\.txt"):
        _leaderboard(notes)
    assert notes.read_text() == text


@pytest.fixture
def measured(monkeypatch):
    """Evaluation of one folder whose numbers are known."""
    monkeypatch.setattr(evaluate, "sample_folders", lambda args: ["folder"])
    monkeypatch.setattr(evaluate, "open_measure", lambda args, folder: lambda folder: ({}, {}))
    monkeypatch.setattr(evaluate, "_row", lambda *_: {"experiment": "digits"})
    monkeypatch.setattr(evaluate, "_show", lambda row: sys.stdout.write("the numbers"))


@pytest.mark.usefixtures("measured")
def test_numbers_are_shown_even_if_they_cannot_be_written(tmp_path, capsys, monkeypatch):
    def full(path, row):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(evaluate, "append_row", full)
    with pytest.raises(OSError, match="No space"):
        evaluate.main([str(tmp_path), "--results", str(tmp_path / "rows.jsonl")])
    assert "the numbers" in capsys.readouterr().out


@pytest.mark.usefixtures("measured")
def test_numbers_are_written_even_if_they_cannot_be_shown(tmp_path, monkeypatch):
    def closed(row):
        raise BrokenPipeError

    monkeypatch.setattr(evaluate, "_show", closed)
    with pytest.raises(BrokenPipeError):
        evaluate.main([str(tmp_path), "--results", str(tmp_path / "rows.jsonl")])
    assert "digits" in (tmp_path / "rows.jsonl").read_text()


def test_the_place_of_the_results_is_checked_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "sample_folders", lambda args: pytest.fail("it computes"))
    (tmp_path / "notes.txt").write_text("notes\n")
    with pytest.raises(ValueError, match="not a log of rows"):
        evaluate.main([str(tmp_path), "--results", str(tmp_path / "notes.txt")])
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([str(tmp_path), "--results", str(tmp_path)])
    assert "argument --results: [Errno 21] Is a directory" in capsys.readouterr().err
