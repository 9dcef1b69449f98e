"""Gradients do not depend on the size of micro-batches or on the number of processes."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser

from di4c.rng import SampleGenerators
from full_scale import evaluate, sample
from full_scale.data.order import items_at
from full_scale.train import main
from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint
from tests.helpers import train_cases, train_ranks

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


@pytest.fixture
def run(tmp_path):
    train_cases.write_teacher(tmp_path / "teacher.safetensors", train_cases.EXACT)
    return train_cases.student_run(tmp_path, preset="tiny-exact")


def _gradient(run, step=0):
    """The trainer after one step, and the gradients of this step without clipping."""
    run = replace(run, optimizer=replace(run.optimizer, clip=1e9))
    trainer = train_cases.trainer(run, torch.float64)
    trainer.step = step
    trainer._advance(next(iter(trainer._batches())), False)
    return trainer, [p.grad.clone() for p in trainer.plain.parameters()]


def test_gradients_of_micro_batches_add_up_to_that_of_the_whole_batch(run):
    """Autograd of the mean objective of the whole batch, without the trainer, is the reference."""
    fresh = train_cases.trainer(replace(run, out=run.out / "fresh"), torch.float64)
    objective = fresh.objective
    positions = range(5 * run.batch_size, 6 * run.batch_size)
    items = items_at(run.seed, positions.start, run.batch_size, len(fresh.data))
    batch = {"x_0": torch.stack([fresh.data[i]["x_0"] for i in items])}
    network = objective.network.train()
    generator = SampleGenerators(run.seed, positions, "objective")
    loss = objective.loss(network, batch, generator).loss.mean()
    expected = torch.autograd.grad(loss, list(network.parameters()))
    assert max(float(g.abs().max()) for g in expected) > 1e-3
    for micro_batch in (1, 2, 4):
        _, grads = _gradient(replace(run, micro_batch=micro_batch), step=5)
        for ours, theirs in zip(grads, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder for each kind of network. It holds the same run by two processes and by one."""
    train_cases.register()
    folder = tmp_path_factory.mktemp("ranks")
    for preset in train_cases.KINDS:
        (folder / preset).mkdir()
        chosen = train_cases.CASES[preset]
        train_cases.write_teacher(folder / preset / "teacher.safetensors", chosen)
        if preset != "tiny-exact":
            train_cases.write_tokens(folder / preset, chosen)
    with train_ranks.started(train_ranks.train, folder):
        for preset in train_cases.KINDS:
            here = folder / preset
            alone = train_cases.short_run(here, preset, out=here / "alone", micro_batch=4)
            train_cases.trainer(alone, torch.float64).fit()
    return folder


def test_two_processes_give_the_result_of_one(trained):
    """Weights, moments, averages and samples agree, with DDP and FSDP, after one resumption."""
    for preset, strategy in itertools.product(train_cases.KINDS, train_ranks.STRATEGIES):
        _assert_same_run(trained / preset / "alone", trained / preset / strategy)


def test_autocast_loses_no_gradient(trained):
    """Gradients in bfloat16 of two processes, with DDP and FSDP, match float64 in one process.

    The consistency target calls the student without gradients first. If autocast kept the weights
    that it cast in this call, all blocks but the first would get no gradient.
    """
    for preset in train_cases.KINDS:
        here = trained / preset
        alone = train_cases.short_run(here, preset, out=here / "first step", micro_batch=4)
        one = train_cases.trainer(alone, torch.float64)
        one._advance(next(iter(one._batches())), False)
        expected = {name: p.grad for name, p in one.plain.named_parameters()}
        for strategy, rank in itertools.product(train_ranks.STRATEGIES, range(2)):
            found = torch.load(here / f"bf16-{strategy}" / f"gradients_{rank}.pt")
            assert found.keys() == expected.keys()
            for name, grad in found.items():
                assert grad is not None, f"{name} gets no gradient with {strategy}"
            ours, theirs = (
                torch.cat([grads[name].flatten().double() for name in expected])
                for grads in (found, expected)
            )
            cosine = torch.nn.functional.cosine_similarity(ours, theirs, 0)
            assert float(cosine) > 0.99, (preset, strategy)


def _assert_same_run(alone, shared):
    one, two = (
        load_checkpoint(latest_checkpoint(f / "checkpoints")).state for f in (alone, shared)
    )
    assert one["optimizer"].pop("param_groups") == two["optimizer"].pop("param_groups")
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-10)
    drawn = [sorted((folder / "samples").iterdir()) for folder in (alone, shared)]
    assert [path.name for path in drawn[0]] == [path.name for path in drawn[1]] != []
    for ours, theirs in zip(*drawn, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    "launcher", [get_args_parser(), launch_command_parser()], ids=["torchrun", "accelerate"]
)
@pytest.mark.parametrize(
    ("program", "arguments"), [(main, ["cifar10"]), (sample.main, []), (evaluate.main, [])]
)
def test_no_option_is_taken_by_a_launcher(launcher, program, arguments, capsys):
    """A launcher would take or reject an option of ours that abbreviates one of its own."""
    with pytest.raises(SystemExit):
        program([*arguments, "--help"])
    ours = set(re.findall(r"--[a-z][a-z.-]+", capsys.readouterr().out)) - {"--help"}
    theirs = {name for action in launcher._actions for name in action.option_strings}
    assert len(ours) > 10
    assert not {a for a in ours for b in theirs if b.startswith(a)} - {"--nproc-per-node"}
