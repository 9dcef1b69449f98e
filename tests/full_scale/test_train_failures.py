"""Failing runs and what they leave on the disk, learning, and gradient clipping."""

import json
import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from full_scale import train as program
from full_scale.models.tensor_file import read_tensors
from full_scale.training.checkpoint import latest_checkpoint
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.failure import report_failure
from full_scale.training.options import Optimizer
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


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run(run, monkeypatch, poison):
    """The message names term and example. The checkpoint stays, and the batch is written."""
    run = replace(run, steps=6)
    objective_loss = train_cases.objective_class(run).loss
    calls = []

    def poisoned(self, network, batch, generator):
        objective = objective_loss(self, network, batch, generator)
        calls.append(batch)
        if len(calls) == 6:  # second micro-batch of step 2
            bad = torch.tensor([0.0, poison])
            terms = {**objective.terms, "data_marginal": objective.terms["data_marginal"] + bad}
            return objective._replace(terms=terms, loss=objective.loss + bad)
        return objective

    monkeypatch.setattr(train_cases.objective_class(run), "loss", poisoned)
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
    # The run can be resumed once the cause is removed.
    monkeypatch.undo()
    train_cases.register()
    assert program.train(run, progress=False).step == 6


def test_a_process_without_fault_writes_nothing(run):
    """Its own losses are finite; those of another process are not."""
    good, bad = torch.ones(2), torch.tensor([1.0, math.nan])
    batches = [{"x_0": torch.zeros(run.micro_batch, 2, dtype=torch.long)}]
    own, together = {"loss": good}, {"loss": torch.cat([good, bad])}
    error = report_failure(run, 3, range(1), batches, own, together, math.nan)
    assert "step 3: loss is nan for example 3; another process has the batch; " in str(error)
    assert not (run.out / "failure").exists()


def test_a_full_disk_does_not_hide_what_went_wrong(run, monkeypatch):
    def full(path, *_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("full_scale.training.failure.write_tensors", full)
    bad = {"loss": torch.tensor([math.nan] * run.micro_batch)}
    batches = [{"x_0": torch.zeros(run.micro_batch, 2, dtype=torch.long)}]
    error = report_failure(run, 3, range(1), batches, bad, bad, math.nan)
    assert "step 3: loss is nan for example 0; its batch cannot be written ([Errno 28]" in str(
        error
    )


def test_a_gradient_that_is_not_finite_stops_the_run(run, monkeypatch):
    backward = Trainer._backward

    def spoiled(self, *args):
        terms = backward(self, *args)
        next(p.grad for p in self.plain.parameters() if p.grad is not None).fill_(math.nan)
        return terms

    monkeypatch.setattr(Trainer, "_backward", spoiled)
    with pytest.raises(ValueError, match="the norm of the gradient is nan; its batch is in"):
        program.train(run, progress=False)
    assert len(list((run.out / "failure").iterdir())) == 2


def test_a_run_without_a_checkpoint_can_be_changed_after_running_out_of_memory(run, monkeypatch):
    """The error recommends smaller options. They are accepted in the same folder."""

    def too_large(self, *args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.")

    message = r"out of memory on cpu \(CUDA out of memory\); the estim.*: use a smaller --micro-b"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_advance", too_large)
        assert_refused(lambda: program.train(run, progress=False), message)
    smaller = replace(run, micro_batch=1, num_latents=2)
    assert program.train(smaller, progress=False).finished
    assert json.loads((run.out / "run.json").read_text())["run"]["micro_batch"] == 1


def test_the_trainer_refuses_uneven_shares_of_the_batch(run, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", 3)
    with pytest.raises(ValueError, match="2 micro-batches cannot be shared out evenly among 3"):
        train_cases.trainer(run)


def test_a_teacher_learns(tmp_path):
    """Cross-entropy falls by a sixth or more. It starts below 1.1 times that of a uniform guess."""
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


def test_clip_none_does_not_clip(run):
    """It gives the same model as a bound that no gradient reaches. A small bound gives another."""
    unclipped = program.parse(["digits", "--optimizer.clip", "None"]).optimizer.clip
    models = []
    for clip in (unclipped, 1e9, 1e-3):
        out = run.out.with_name(str(clip))
        other = replace(run, out=out, optimizer=replace(run.optimizer, clip=clip))
        program.train(other, progress=False)
        models.append(read_tensors(out / "model.safetensors")[0])
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert any(not torch.equal(models[0][name], models[2][name]) for name in models[0])
