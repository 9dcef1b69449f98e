"""Options of a training that save time or memory: the result stays, or is compared."""

import json
import math
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn

from full_scale.data.order import fitting
from full_scale.train import parse, train
from full_scale.training.acceleration import blocks_of, checkpoint_blocks
from full_scale.training.cost import activation_bytes, largest_block, outline
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Optimizer
from reporting import read_json, read_rows
from tests.helpers import train_cases


@pytest.fixture(autouse=True)
def _presets():
    train_cases.register()


def _run(folder, preset, **changes):
    chosen = train_cases.CASES[preset]
    train_cases.write_teacher(folder / "teacher.safetensors", chosen)
    if preset in ("tiny-text", "tiny-codes"):
        train_cases.write_tokens(folder, chosen)
    return train_cases.short_run(folder, preset, **changes)


def _step(run):
    """Gradients of the first step, and how often parts of blocks were called."""
    one, calls = train_cases.trainer(run, torch.float64), []
    for block in blocks_of(one.plain):
        for part in block.children():
            part.register_forward_hook(lambda *_: calls.append(1))
    one._advance(next(iter(one._batches())), False)
    return {name: parameter.grad for name, parameter in one.plain.named_parameters()}, len(calls)


def _gradients(run):
    return _step(run)[0]


@pytest.mark.parametrize("preset", ["tiny", "tiny-text", "tiny-codes"])
def test_checkpointed_blocks_give_the_same_gradients(tmp_path, preset):
    """The preset "tiny" has dropout: both calls of a block must draw the same masks."""
    run = _run(tmp_path, preset)
    plain, calls = _step(run)
    less, more_calls = _step(replace(run, out=run.out / "less", gradient_checkpointing=True))
    assert more_calls > calls
    torch.testing.assert_close(less, plain, rtol=1e-12, atol=1e-15)
    assert any(bool(grad.abs().max() > 1e-6) for grad in plain.values())


class _Chain(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [(3, 7), (3, 50), (3, 20)]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.Tanh(), nn.Linear(b, a)) for a, b in sizes
        )

    def forward(self, h):
        for block in self.blocks:
            h = block(h)
        return h


def test_checkpointed_blocks_keep_their_inputs_alone():
    """By hand: each block keeps its input and its hidden layer, 4 bytes each; then its input."""
    with torch.device("meta"):
        chain, x = _Chain(), torch.zeros(5, 3)
    assert activation_bytes(chain, x) == 4 * 5 * ((3 + 7) + (3 + 50) + (3 + 20))
    assert largest_block(chain, x) == 4 * 5 * (3 + 50)
    checkpoint_blocks(chain)
    assert activation_bytes(chain, x) == 4 * 5 * 3 * 3


def test_the_estimates_know_of_checkpointed_blocks():
    run = EXPERIMENTS["openwebtext"][1]
    plain, less = (outline(replace(run, gradient_checkpointing=given)) for given in (False, True))
    assert less.estimate(1).activations < 0.3 * plain.estimate(1).activations
    assert 1 < less.operations() / plain.operations() < 4 / 3


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # torch says so on Python 3.13.0
def test_a_compiled_network_trains_alike(tmp_path, monkeypatch, capsys):
    """The backend of torch.compile that runs the traced graph as it is needs no compiler."""
    run = _run(tmp_path, "tiny-text", micro_batch=4)
    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: original(self, backend="eager"))
    plain = _gradients(run)
    compiled = _gradients(replace(run, out=run.out / "compiled", compile=True))
    torch.testing.assert_close(compiled, plain, rtol=1e-9, atol=1e-12)
    assert "compiled the network in" in capsys.readouterr().err


def test_without_a_compiler_the_run_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("No working C++ compiler found\nand a long story")

    monkeypatch.setattr(
        nn.Module, "compile", lambda self: setattr(self, "_compiled_call_impl", broken)
    )
    run = _run(tmp_path, "tiny-text", compile=True)
    assert train(run, progress=False).finished
    lines = [line for line in capsys.readouterr().err.splitlines() if "torch.compile" in line]
    assert lines == [
        "torch.compile does not work here (No working C++ compiler found); going on without it"
    ]


def test_bfloat16_losses_of_the_cifar10_recipe_are_those_in_float32(tmp_path, capsys):
    """The float32 losses are those that a float32 run logs in its first step."""
    run = _run(tmp_path, "tiny-exact", steps=1, micro_batch=4)
    run = replace(run, reports=replace(run.reports, log_every=1, sample_every=0))
    full = replace(run, out=run.out / "full")
    train(full, progress=False)
    [logged] = read_rows(full.out / "log.jsonl")
    half = replace(run, out=run.out / "half", precision="bf16")
    AcceleratorState._reset_state()  # accelerate keeps the first precision of a process
    train_cases.trainer(half, precision="bf16").fit()
    AcceleratorState._reset_state()
    found = read_json(half.out / "precision.json")
    for name, value in found["float32"].items():
        assert value == pytest.approx(logged[name], rel=1e-5)
        scale = abs(logged["loss"])
        assert found["bf16"][name] == pytest.approx(value, abs=0.03 * scale), name
    assert found["bf16"] != found["float32"]
    assert found["summary"] in capsys.readouterr().err
    assert not (full.out / "precision.json").exists()


def test_the_learning_rate_follows_the_batch_only_if_asked():
    """The square root of the ratio of the batch sizes: 32 is four times the published 8."""
    plain = parse(["cifar10", "--batch-size", "32"])
    assert plain.rate(9) == EXPERIMENTS["cifar10"][1].optimizer.learning_rate
    scaled = parse(["cifar10", "--batch-size", "32", "--optimizer.scale-rate"])
    assert scaled.rate(9) == pytest.approx(2 * plain.rate(9))
    assert scaled.identity() != plain.identity()
    same = replace(plain, optimizer=replace(plain.optimizer, of_batch=None))
    assert same.identity() == plain.identity()
    with pytest.raises(ValueError, match=r"scale_rate needs optimizer\.of_batch"):
        replace(plain, optimizer=Optimizer(scale_rate=True))


def test_a_step_takes_the_learning_rate_of_its_batch(tmp_path):
    """A batch of 4 where the rate belongs to a batch of 1."""
    run = _run(tmp_path, "tiny-text")
    optimizer = replace(run.optimizer, of_batch=1, scale_rate=True, warmup=0)
    one = train_cases.trainer(replace(run, optimizer=optimizer))
    one._advance(next(iter(one._batches())), False)
    rates = [group["lr"] for group in one.optimizer.param_groups]
    assert rates == [2 * run.optimizer.learning_rate]


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "openwebtext"])
def test_a_dry_run_says_for_which_precision_and_processes_it_counts(name, tmp_path, capsys):
    """Hours by hand: counted operations at the speed that the line names."""
    run = replace(EXPERIMENTS[name][1], out=tmp_path / "run", dry_run=True)
    train(run)
    text, _, costs = capsys.readouterr().out.rpartition("\nmemory: ")
    json.loads(text)
    precision, speed = ("float32", 1e13) if name == "cifar10" else ("bfloat16", 5e13)
    hours = run.steps * outline(run).operations() / speed / 3600
    said = f"in {precision}: about {hours:.2g} hours if a device sustains {speed:.0e} operations"
    assert said in costs
    fits = {"cifar10": "1 process alone", "imagenet": "1, 2 or 4 processes"}
    assert f"processes: {fits.get(name, '1 or 2 processes')} can share a step" in costs


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "openwebtext"])
def test_a_number_of_processes_that_does_not_fit_is_refused_with_those_that_do(name, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    run = replace(EXPERIMENTS[name][1], dry_run=True)
    with pytest.raises(ValueError, match="cannot be shared out evenly among 8 processes") as caught:
        train(run)
    assert fitting(run.parts) in str(caught.value)
    assert "multiple of 8" in str(caught.value)


def test_fitting_numbers_divide_the_micro_batches():
    assert fitting(12) == "1, 2, 3, 4, 6 or 12 processes"
    assert math.prod(map(int, fitting(7).replace(" or ", " ").split()[:2])) == 7
