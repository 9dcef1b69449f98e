"""A run that is stopped and resumed gives exactly the result of an undisturbed run."""

import json
import os
import shutil
import signal
import time

import pytest
import torch

from full_scale.models.model_file import read_model
from full_scale.train import train
from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint
from full_scale.training.log import LOG
from full_scale.training.options import Data, Reports
from full_scale.training.trainer import Trainer
from tests.helpers import train_cases
from tests.helpers.checkpoint_writer import bits
from tests.helpers.forks import FORKS

PARTS = ("weights", "optimizer", "ema", "pending")


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture
def folder(tmp_path):
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run of six steps. Checkpoints: 2, 4, 6. Rows of the log: 4, 6."""
    train_cases.register()
    folder = tmp_path_factory.mktemp("undisturbed")
    train_cases.write_teacher(folder / "teacher.safetensors")
    run = train_cases.student_run(folder)
    train(run, progress=False)
    return run


def _state(run, step):
    state = load_checkpoint(run.out / "checkpoints" / f"step_{step:08d}.pt").state
    assert set(state) == set(PARTS)
    return state


def _rows(run):
    return [json.loads(line) for line in (run.out / LOG).read_text().splitlines()]


def _result(run, step):
    """State, log and model of a finished run, for exact comparison."""
    state = {name: bits(part) for name, part in _state(run, step).items()}
    model = read_model(run.out / "model.safetensors").state
    return state, (run.out / LOG).read_bytes(), bits(model)


def _newest_step(run):
    path = latest_checkpoint(run.out / "checkpoints")
    return 0 if path is None else int(path.stem.removeprefix("step_"))


class Interruption(Exception):
    """The error that stops a run in the tests."""


def test_a_run_can_be_stopped_after_any_step(folder, whole, monkeypatch):
    """Some of these steps have a checkpoint or a row of the log, others do not."""
    run = train_cases.student_run(folder)
    advance = Trainer._advance
    for steps_done in range(6):

        def interrupted(self, *args, last=steps_done):
            if self.step == last:
                raise Interruption
            return advance(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_advance", interrupted)
            with pytest.raises(Interruption):
                train(run, progress=False)
        torch.rand(7)  # the state of torch's own generator must not matter
    assert train(run, progress=False) == (6, True, run.out / "model.safetensors")
    assert _result(run, 6) == _result(whole, 6)


@pytest.mark.parametrize("step", [2, 4])
def test_a_sheet_that_a_killed_run_could_not_draw_is_drawn_later(folder, monkeypatch, step):
    """The run dies between a checkpoint and the sheet of that step, the second or the last."""
    reports = Reports(save_every=2, sample_every=2, num_samples=2, sample_steps=1)
    undisturbed = train_cases.student_run(folder, out=folder / "a", steps=4, reports=reports)
    killed = train_cases.student_run(folder, out=folder / "b", steps=4, reports=reports)
    train(undisturbed, progress=False)
    preview = Trainer._preview

    def dies(self):
        if self.step == step:
            raise Interruption
        preview(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_preview", dies)
        with pytest.raises(Interruption):
            train(killed, progress=False)
    train(killed, progress=False)
    sheets = [
        {path.name: path.read_bytes() for path in (run.out / "samples").iterdir()}
        for run in (undisturbed, killed)
    ]
    assert sheets[0] == sheets[1]
    assert {name[:13] for name in sheets[0]} == {"step_00000002", "step_00000004"}
    assert _result(killed, 4) == _result(undisturbed, 4)


@pytest.fixture
def program(tmp_path):
    """A function that starts the command and sends it a signal after its next checkpoint."""
    processes = []

    def stop(run, signal_number, whole_group=False):
        """Return the exit status and the standard error."""
        before, errors = _newest_step(run), tmp_path / "errors.txt"
        arguments = (run, errors, whole_group)
        process = FORKS.Process(target=train_cases.train_as_program, args=arguments)
        processes.append(process)
        process.start()
        deadline = time.monotonic() + 300
        while _newest_step(run) <= before:
            assert process.is_alive(), errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        (os.killpg if whole_group else os.kill)(process.pid, signal_number)
        process.join(timeout=300)
        return process.exitcode, errors.read_text()

    yield stop
    for process in processes:
        process.kill()
        process.join()


def test_a_run_survives_sigkill_and_sigterm(folder, program):
    """The run gets SIGKILL twice and SIGTERM twice, soon after a checkpoint, and is then finished.

    The second SIGTERM goes to the whole process group, as launchers and schedulers send it. This
    group includes the worker processes that read data ahead. The result is the same with and
    without these workers.
    """
    long_run = train_cases.student_run(folder, steps=10_000)
    for _ in range(2):
        assert program(long_run, signal.SIGKILL)[0] == -signal.SIGKILL
    reading_ahead = train_cases.student_run(folder, steps=10_000, data=Data(workers=2))
    for run, whole_group in ((long_run, False), (reading_ahead, True)):
        status, errors = program(run, signal.SIGTERM, whole_group)
        assert status == 0, errors
        step = _newest_step(run)
        assert errors.splitlines()[-1] == (
            f"stopped after step {step} as asked; the same command resumes it"
        )
        assert not (run.out / "model.safetensors").exists()
    resumed = train_cases.student_run(folder, steps=step + 1)
    undisturbed = train_cases.student_run(folder, out=folder / "undisturbed", steps=step + 1)
    for run in (resumed, undisturbed):
        train(run, progress=False)
    assert _result(resumed, step + 1) == _result(undisturbed, step + 1)


def test_a_finished_run_is_left_as_it_is(folder, whole):
    run = train_cases.student_run(folder)
    shutil.copytree(whole.out, run.out)
    before = {path: path.read_bytes() for path in run.out.rglob("*") if path.is_file()}
    assert train(run, progress=False) == (6, True, run.out / "model.safetensors")
    assert {path: path.read_bytes() for path in run.out.rglob("*") if path.is_file()} == before


def test_another_seed_gives_another_run(folder, whole):
    """The comparisons of the other tests can therefore fail."""
    other = train_cases.student_run(folder, steps=4, seed=1)
    train(other, progress=False)
    one, two = _state(whole, 4), _state(other, 4)
    for part in ("weights", "optimizer", "ema"):
        assert bits(one[part]) != bits(two[part])
    assert _rows(whole)[0]["step"] == _rows(other)[0]["step"] == 4
    assert _rows(whole)[0]["loss"] != _rows(other)[0]["loss"]


def test_log_rows_hold_loss_terms_and_diagnostics(whole):
    rows = _rows(whole)
    assert [row["step"] for row in rows] == [4, 6]
    terms = ("distillation", "data_correlation", "data_marginal")
    terms += ("consistency_correlation", "consistency_marginal")
    for row in rows:
        assert row["loss"] == pytest.approx(sum(row[term] for term in terms), rel=1e-5)
        assert {"gradient_norm", "captured_correlation", "effective_components"} <= row.keys()
        assert 1 - 1e-3 < row["effective_components"] <= whole.num_latents + 1e-3
    clock = [json.loads(line) for line in (whole.out / "clock.jsonl").read_text().splitlines()]
    assert [row["step"] for row in clock] == [4, 6]
    assert all(row["seconds_per_step"] > 0 for row in clock)


def test_a_checkpoint_records_its_run(whole):
    checkpoint = load_checkpoint(latest_checkpoint(whole.out / "checkpoints"))
    assert checkpoint.step == 6
    assert checkpoint.config["run"]["preset"] == "tiny"
    assert len(checkpoint.config["identity"]["teacher_sha256"]) == 64
    assert {"code", "command", "seed"} <= checkpoint.manifest.keys()
