"""A run that is stopped anywhere, by any means, and resumed is the run that was not stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from full_scale.train import train
from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint
from full_scale.training.log import LOG
from tests.helpers import train_cases

COMMAND = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from reporting import run_script
from full_scale import train
from full_scale.training.config import Data
from tests.helpers.train_cases import register, student_run
register()
folder = Path(sys.argv[1])
data = Data(workers=int(sys.argv[4]))
run = student_run(folder, out=folder / sys.argv[2], steps=int(sys.argv[3]), data=data)
train.parse = lambda argv: run
run_script(train.main)
"""
"""The command-line program on a tiny run."""


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture
def folder(tmp_path):
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    return tmp_path


def _bits(run_folder, step):
    """Everything that a finished run leaves, byte by byte."""
    files = sorted((run_folder / "checkpoints" / f"step_{step:08d}").glob("*.safetensors"))
    content = {path.name: path.read_bytes() for path in files}
    assert set(content) == {f"{n}.safetensors" for n in ("weights", "optimizer", "ema", "pending")}
    model = load_model_tensors(run_folder / "model.safetensors")
    return content, (run_folder / LOG).read_bytes(), model


def load_model_tensors(path):
    from full_scale.models.model_file import read_model

    return {name: value.numpy().tobytes() for name, value in read_model(path).state.items()}


def _start(folder, name, steps, workers=0):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder), name, str(steps), str(workers)],
        start_new_session=True,
        cwd=train_cases.ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_checkpoint(process, checkpoints, after=0):
    """Until there is one beyond a step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        path = latest_checkpoint(checkpoints) if checkpoints.exists() else None
        if path is not None and int(path.name.removeprefix("step_")) > after:
            return
        time.sleep(0.005)
    raise AssertionError(f"no checkpoint; exit status {process.poll()}: {process.stderr.read()}")


class Interruption(Exception):
    """What stops a run in the tests."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of six steps that nothing disturbed."""
    train_cases.register()
    folder = tmp_path_factory.mktemp("undisturbed")
    train_cases.write_teacher(folder / "teacher.safetensors")
    run = train_cases.student_run(folder, out=folder / "whole")
    train(run, progress=False)
    return run.out


@pytest.mark.parametrize("steps_done", range(6))
def test_stopped_after_any_step_in_this_process(folder, whole, steps_done, monkeypatch):
    """Checkpoints are at 2, 4, 6, log rows at 4, 6: both kinds of boundary are crossed."""
    cut = folder / "cut"
    run = train_cases.student_run(folder, out=cut)
    from full_scale.training.trainer import Trainer

    advance = Trainer._advance

    def interrupted(self, *args):
        if self.step == steps_done:
            raise Interruption
        return advance(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_advance", interrupted)
        with pytest.raises(Interruption):
            train(run, progress=False)
    torch.rand(7)  # torch's own generator is elsewhere when the run goes on
    outcome = train(run, progress=False)
    assert outcome == (6, True, cut / "model.safetensors")
    assert _bits(cut, 6) == _bits(whole, 6)


def test_killed_twice_and_resumed(folder):
    """SIGKILL at a moment of the machine's choosing."""
    steps = 24
    for after in (0, 6):
        process = _start(folder, "killed", steps)
        _wait_for_checkpoint(process, folder / "killed" / "checkpoints", after)
        process.kill()
        process.communicate()
    at = int(latest_checkpoint(folder / "killed" / "checkpoints").name.removeprefix("step_"))
    assert 0 < at < steps, "killed too late to show anything"
    for name in ("killed", "whole"):
        train(train_cases.student_run(folder, out=folder / name, steps=steps), progress=False)
    assert _bits(folder / "killed", steps) == _bits(folder / "whole", steps)


def test_sigterm_saves_and_exits_with_0(folder):
    steps = 400
    process = _start(folder, "asked", steps)
    _wait_for_checkpoint(process, folder / "asked" / "checkpoints")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    step = int(latest_checkpoint(folder / "asked" / "checkpoints").name.removeprefix("step_"))
    assert step < steps
    assert errors.splitlines()[-1] == (
        f"stopped after step {step} as asked; the same command resumes it"
    )
    assert not (folder / "asked" / "model.safetensors").exists()
    # From there it goes on to what an undisturbed run gives, to the bit.
    for name in ("asked", "whole"):
        run = train_cases.student_run(folder, out=folder / name, steps=step + 2)
        train(run, progress=False)
    assert _bits(folder / "asked", step + 2) == _bits(folder / "whole", step + 2)


def test_sigterm_to_the_whole_group_saves_too(folder):
    """Launchers and schedulers send it to loader workers as well."""
    process = _start(folder, "group", 400, workers=2)
    _wait_for_checkpoint(process, folder / "group" / "checkpoints")
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "as asked; the same command resumes it" in errors.splitlines()[-1]


def test_a_finished_run_is_left_as_it_is(folder):
    run = train_cases.student_run(folder, steps=2)
    train(run, progress=False)
    before = {path: path.read_bytes() for path in run.out.rglob("*") if path.is_file()}
    outcome = train(run, progress=False)
    assert outcome == (2, True, run.out / "model.safetensors")
    assert {path: path.read_bytes() for path in run.out.rglob("*") if path.is_file()} == before


def test_seed_and_data_order_matter(folder):
    """The comparisons above can fail: another seed is another run."""
    runs = [train_cases.student_run(folder, out=folder / str(s), steps=2, seed=s) for s in (0, 1)]
    for run in runs:
        train(run, progress=False)
    one, two = (_bits(run.out, 2) for run in runs)
    for part in ("weights", "optimizer", "ema"):
        assert one[0][f"{part}.safetensors"] != two[0][f"{part}.safetensors"]
    assert one[1] != two[1]


def test_workers_read_the_same_data(folder):
    run = train_cases.student_run(folder, steps=2)
    train(run, progress=False)
    ahead = replace(run, out=folder / "ahead", data=replace(run.data, workers=1))
    train(ahead, progress=False)
    assert _bits(ahead.out, 2) == _bits(run.out, 2)


def test_log_rows_hold_what_was_trained(folder):
    run = train_cases.student_run(folder)
    train(run, progress=False)
    rows = [json.loads(line) for line in (run.out / LOG).read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 6]
    terms = ("distillation", "data_correlation", "data_marginal")
    terms += ("consistency_correlation", "consistency_marginal")
    for row in rows:
        assert row["loss"] == pytest.approx(sum(row[term] for term in terms), rel=1e-5)
        assert {"gradient_norm", "captured_correlation", "effective_components"} <= row.keys()
        assert 1 - 1e-3 < row["effective_components"] <= run.num_latents + 1e-3
    clock = [json.loads(line) for line in (run.out / "clock.jsonl").read_text().splitlines()]
    assert [row["step"] for row in clock] == [4, 6]
    assert all(row["seconds_per_step"] > 0 for row in clock)


def test_checkpoint_names_its_run(folder):
    run = train_cases.student_run(folder, steps=2)
    train(run, progress=False)
    checkpoint = load_checkpoint(latest_checkpoint(run.out / "checkpoints"))
    assert checkpoint.step == 2
    assert checkpoint.config["run"]["preset"] == "tiny"
    assert len(checkpoint.config["identity"]["teacher_sha256"]) == 64
    assert {"code", "command", "seed"} <= checkpoint.manifest.keys()
