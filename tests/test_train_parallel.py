"""Gradients do not depend on how a batch is cut into micro-batches, nor on who computes them."""

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from di4c.rng import SampleGenerators
from full_scale.checkpoint import latest_checkpoint, load_checkpoint
from full_scale.data.order import items_at
from tests import train_cases

SCRIPT = Path(__file__).with_name("train_ranks.py")


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture
def run(tmp_path):
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.EXACT)
    return train_cases.student_run(tmp_path, preset="tiny-exact")


def _gradient(run, step=0):
    """What one step of the trainer hands to the optimiser, before clipping has an effect."""
    run = replace(run, optimizer=replace(run.optimizer, clip=1e9))
    trainer = train_cases.trainer(run, torch.float64)
    trainer.step = step
    trainer._advance(next(iter(trainer._batches())), False)
    return trainer, [p.grad.clone() for p in trainer.plain.parameters()]


def test_accumulated_gradient_is_that_of_the_mean_over_the_batch(run):
    """The other side by autograd of one objective on the whole batch, without the trainer."""
    _, grads = _gradient(replace(run, micro_batch=1), step=5)
    fresh = train_cases.trainer(replace(run, out=run.out / "fresh"), torch.float64)
    problem = fresh.problem
    positions = range(5 * run.batch_size, 6 * run.batch_size)
    items = items_at(run.seed, positions.start, run.batch_size, len(fresh.data))
    batch = {"x_0": torch.stack([fresh.data[i]["x_0"] for i in items])}
    network = problem.network.train()
    generator = SampleGenerators(run.seed, positions, "objective")
    loss = problem.loss(network, batch, generator).loss.mean()
    expected = torch.autograd.grad(loss, list(network.parameters()))
    assert max(float(g.abs().max()) for g in expected) > 1e-3
    for ours, theirs in zip(grads, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("micro_batch", [1, 2])
def test_micro_batches_do_not_matter(run, micro_batch):
    _, whole = _gradient(replace(run, micro_batch=4))
    _, parts = _gradient(replace(run, micro_batch=micro_batch))
    for ours, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_are_one_with_twice_the_batch(run, tmp_path, strategy):
    """Weights, moments and averages after three steps, clipped ones; and the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(rank), port, str(tmp_path), strategy],
            cwd=SCRIPT.parents[1],
        )
        for rank in range(2)
    ]
    try:
        alone = replace(run, out=tmp_path / "alone", steps=3, micro_batch=4)
        train_cases.trainer(alone, torch.float64).fit()
        assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    states = [
        load_checkpoint(latest_checkpoint(tmp_path / name / "checkpoints")).state
        for name in ("alone", strategy)
    ]
    one, two = states
    assert one["optimizer"].pop("param_groups") == two["optimizer"].pop("param_groups")
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-10)
