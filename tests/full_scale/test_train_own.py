"""Runs of one's own language model: resumption, costs, several processes, and refusals."""

import contextlib
import io
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from di4c.rng import SampleGenerators
from full_scale.data.text_columns import Texts
from full_scale.models.language.latent import Adapter
from full_scale.train import main, parse, train
from full_scale.training import own
from full_scale.training.checkpoint import load_checkpoint
from full_scale.training.cost import _kept as kept
from full_scale.training.options import Optimizer, Reports
from full_scale.training.own_cost import outline
from full_scale.training.own_run import OwnRun
from reporting import run_script
from tests.helpers.forks import FORKS
from tests.helpers.own_ranks import gradients, rank_of_two, refused_rank
from tests.helpers.ports import free_port
from tests.helpers.refusals import assert_refused
from tests.helpers.tiny_language import write_own_code, write_tiny

REPORTS = Reports(log_every=1, save_every=2, sample_every=0, num_samples=2, sample_steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("own")
    write_tiny(place / "base", "Bert")
    write_tiny(place / "protein", "Esm")
    rows = [{"q": "ab" * (i % 3), "a": "cde"[: 1 + i % 3]} for i in range(12)]
    (place / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def run_in(folder, **changes):
    settings = {
        "out": folder / "run",
        "model": str(folder / "base"),
        "data": Texts(str(folder / "data.jsonl"), prompt="q", completion="a", length=10),
        "adapter": Adapter(rank=2, latent_gain=1.0),
        "steps": 3,
        "batch_size": 4,
        "micro_batch": 2,
        "num_latents": 2,
        "optimizer": Optimizer("adamw", 1e-2, ema_decay=0.5),
        "reports": REPORTS,
        "device": "cpu",
    }
    return OwnRun(**(settings | changes))


@pytest.mark.parametrize("model", ["base", "protein"])
def test_a_stopped_run_goes_on_exactly(folder, tmp_path, model):
    """What is exported are the averaged weights, or the raw ones on request.

    A protein model has a head for contacts, which no loss reaches.
    """
    whole = run_in(folder, out=tmp_path / "whole", model=str(folder / model))
    parts = replace(whole, out=tmp_path / "parts")
    train(whole, progress=False)
    train(replace(parts, steps=1), progress=False)
    train(parts, progress=False)
    names = [tmp_path / name / "model.safetensors" for name in ("whole", "parts")]
    found, expected = (load_file(name) for name in names)
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in found)
    assert all("lora" in name or name.startswith("latent.") for name in found)
    [last] = (tmp_path / "whole" / "checkpoints").glob("*3.pt")
    assert last.stat().st_size < 2e6  # the frozen weights are not in a checkpoint
    names[0].unlink()
    train(replace(whole, weights="raw"), progress=False)
    state, raw = load_checkpoint(last).state, load_file(names[0])
    for name, average in found.items():
        assert average.equal(state["ema"][name])
        assert raw[name].equal(state["weights"][name])
    assert any(not raw[name].equal(found[name]) for name in found)
    log = (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    assert {"loss", "effective_components", "captured_correlation"} <= json.loads(log[-1]).keys()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_dry_run_counts_what_a_run_has(folder, capsys, kind):
    run = run_in(folder, adapter=Adapter(kind, rank=2), dry_run=True)
    train(run)
    shown = capsys.readouterr().out
    counts = json.loads(shown[: shown.index("\nmemory:")])["parameters"]
    network = own.assemble(run).objective.network
    trained = sum(p.numel() for p in network.trained().values())
    every = sum(p.numel() for p in network.parameters())
    frozen = every - trained if kind == "lora" else every
    assert counts == {"trained": trained, "frozen": frozen}
    assert "GiB a device" in shown
    assert "12" in shown  # rows of the data


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_estimates_are_those_of_a_real_step(folder, kind):
    """PyTorch counts the operations of a real loss and its gradients, and what autograd keeps.

    Checkpointed blocks keep less, and are called once more.
    """
    sizes = {"batch_size": 2, "num_latents": 3, "latent_factor": 2}
    run = run_in(folder, adapter=Adapter(kind, rank=2), **sizes)
    plan, objective = outline(run), own.assemble(run).objective
    x_0 = torch.randint(5, 31, (2, 10), generator=torch.Generator().manual_seed(0))
    batch = {"x_0": x_0, "fixed": torch.zeros_like(x_0).bool(), "valid": torch.ones_like(x_0) > 0}
    draws = SampleGenerators(0, range(2), "test")
    with FlopCounterMode(display=False) as counter, kept(objective.network) as count:
        loss = objective.loss(objective.network, batch, draws).loss
        loss.sum().backward()
    assert plan.operations() == pytest.approx(counter.get_total_flops(), rel=0.1)
    assert plan.estimate(1, 10).activations == pytest.approx(count(), rel=0.1)
    less = outline(replace(run, gradient_checkpointing=True))
    assert less.estimate(1, 10).activations < 0.8 * plan.estimate(1, 10).activations
    assert less.operations() > 1.1 * plan.operations()
    assert outline(replace(run, latent_factor=1)).operations() < plan.operations()


@pytest.mark.parametrize("recipe", ["own", "teacher"])
def test_prompts_and_padding_are_not_trained(folder, recipe):
    """Rows that are a prompt alone, or a prompt and padding, have nothing to learn."""
    objective = own.assemble(run_in(folder, recipe=recipe)).objective
    x_0 = torch.randint(5, 31, (16, 10), generator=torch.Generator().manual_seed(0))
    prompt, every = torch.arange(10) < 5, torch.ones(10, dtype=torch.bool)
    held = torch.stack([every] * 8 + [prompt] * 8)
    for learns, fixed, valid in ((False, held, held), (True, held & False, held | True)):
        batch = {"x_0": x_0, "fixed": fixed, "valid": valid}
        found = objective.loss(objective.network, batch, SampleGenerators(0, range(16), "test"))
        assert all(bool(x.detach().abs().max() > 1) == learns for x in found.loss.split(8))
        if recipe == "own":
            with torch.no_grad():
                use = objective.diagnose(objective.network, batch, torch.Generator().manual_seed(0))
            assert (abs(use["captured_correlation"]) > 1e-6) == learns


def test_options_of_the_model_reach_it(folder, tmp_path, monkeypatch):
    """A model with code of its own, whose tokenizer names no mask, with weights in bfloat16."""
    modules = "transformers.dynamic_module_utils.HF_MODULES_CACHE"
    monkeypatch.setattr(modules, str(tmp_path / "modules"))  # where the code is copied to
    place = write_own_code(tmp_path / "coded")
    run = run_in(folder, model=str(place), dtype="bfloat16", trust_remote_code=True)
    parts = own.assemble(replace(run, mask_token="[UNK]"))
    assert parts.base.mask_state == 4
    assert type(parts.base.model).__name__ == "OwnModel"
    frozen = {p.dtype for p in parts.objective.network.parameters() if not p.requires_grad}
    assert frozen == {torch.bfloat16}
    assert_refused(lambda: own.assemble(run), "has no mask token; give")
    unsafe = replace(run, trust_remote_code=False)
    assert_refused(lambda: own.assemble(unsafe), "does not open .*--trust-remote-code for a model")


@pytest.mark.parametrize(
    ("model", "strategy"), [("base", "ddp"), ("base", "fsdp"), ("protein", "fsdp")]
)
def test_two_processes_have_the_gradient_of_one(folder, tmp_path, model, strategy):
    settings = {"model": str(folder / model), "optimizer": Optimizer("adamw", 1e-2, clip=1e9)}
    run = run_in(folder, out=tmp_path / "run", **settings)
    file = tmp_path / "gradients.pt"
    on_two_processes(rank_of_two, replace(run, strategy=strategy), file)
    expected = gradients(run)
    found = torch.load(file)
    assert found.keys() == expected.keys()
    assert max(float(g.abs().max()) for g in expected.values()) > 1e-3
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6)


def test_copies_of_a_model_with_weights_that_are_not_used_are_refused(folder, tmp_path):
    run = run_in(folder, out=tmp_path / "run", model=str(folder / "protein"))
    on_two_processes(refused_rank, run, tmp_path / "error")
    for rank in range(2):
        assert "use --strategy fsdp" in (tmp_path / f"error.{rank}").read_text()


def on_two_processes(target, run, file):
    port = free_port()
    ranks = [FORKS.Process(target=target, args=(i, port, run, file)) for i in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=600)
    assert [rank.exitcode for rank in ranks] == [0, 0]


def test_bad_runs_are_refused_in_one_line(folder, tmp_path):
    train_it = lambda **changes: train(run_in(folder, out=tmp_path / "x", **changes))  # noqa: E731
    assert_refused(lambda: train_it(model=""), "model is missing; give --model")
    assert_refused(lambda: train_it(data=Texts(length=10)), "data is missing; give --data")
    data = run_in(folder).data
    assert_refused(lambda: train_it(data=replace(data, length=4)), "prompt . of .* nothing is left")
    assert_refused(lambda: train_it(data=replace(data, length=40)), "at most 16, the context")
    assert_refused(lambda: train_it(batch_size=16), "has 12 rows and a batch has 16")
    full = Adapter("full", rank=2)
    assert_refused(lambda: train_it(adapter=full, dtype="bfloat16"), "dtype must be float32")
    causal = str(write_tiny(tmp_path / "causal", "GPT2"))
    assert_refused(lambda: train_it(model=causal), "is a gpt2, which is no masked language model")
    assert not (tmp_path / "x").exists()


def test_the_command_line(folder, tmp_path, capsys):
    run = parse(["own", "--model", "m", "--data", "d.jsonl", "--adapter.rank", "4"])
    assert (run.model, run.data.name, run.adapter.rank) == ("m", "d.jsonl", 4)
    wrong = ["own", "--adapter.rank", "0"]
    for output in (contextlib.nullcontext(), contextlib.redirect_stdout(io.StringIO())):  # ASCII
        with output, pytest.raises(ValueError, match=r"^adapter.rank must be at least 1; got 0; s"):
            parse(wrong)
    with pytest.raises(SystemExit) as stopped:
        run_script(lambda: main(["own", "--model", str(tmp_path / "none"), "--out", str(tmp_path)]))
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: model ")
