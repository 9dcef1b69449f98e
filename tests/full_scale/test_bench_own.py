"""The benchmarks of a language model: its training step, and how a latent enters it."""

import json

import pytest

from full_scale.bench import __main__ as bench
from full_scale.bench import own_latent
from full_scale.bench.measure import Case
from full_scale.bench.own import METHODS, OwnStep, state_bytes
from full_scale.models.language.latent import Adapter, LatentLanguageModel
from full_scale.training.own_cost import outline

CASE = Case(
    experiment="own", batch=2, sizes={"size": "tiny", "length": 8}, num_latents=2, threads=1
)


def test_all_methods_take_the_same_first_step(monkeypatch):
    """They start from the same weights, and adapters add nothing at first."""
    losses = [getattr(OwnStep(CASE), name.replace(" ", "_"))() for name in METHODS]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert losses[2] == pytest.approx(losses[0], rel=1e-5)
    monkeypatch.delattr(LatentLanguageModel, "frozen_copy")  # LoRA never holds a second copy
    step = OwnStep(CASE)
    assert step.lora() != step.lora()  # the second step goes on from the first


def test_bytes_by_hand():
    """Weights, gradients and two moments. The latent is a map 128-512-64 in each model."""
    found = state_bytes(CASE)
    latent = 128 * 512 + 512 + 512 * 64 + 64
    weights = 4 * (found["parameters"] + latent)
    assert found["full"] == 5 * weights
    adapters = (found["two copies"] - 2 * weights - 3 * 4 * latent) / 5
    assert found["lora"] == weights + 3 * 4 * latent + 4 * adapters
    # Each layer has 4 linear maps: 64-192, 64-64, 64-192 and 96-64. The head has one more: 64-64.
    assert adapters == 4 * 16 * (2 * (256 + 128 + 256 + 160) + 128)


def test_the_benchmark_writes_one_row_for_each_method(tmp_path):
    file = tmp_path / "own.json"
    options = ["--quick", "--method", "lora", "--threads", "1", "--json", str(file)]
    bench.main(["own", *options])
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["size"], row["method"], row["clock"]) == ("tiny", "lora", "processor")
    assert row["parameters"] > 100_000
    assert row["seconds"] > 0
    assert row["peak_mib"] > row["state_mib"] > 0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_latents_of_each_kind_are_compared(tmp_path):
    file = tmp_path / "latent.json"
    bench.main(["own-latent", "--quick", "--gain", "1", "--json", str(file)])
    record = json.loads(file.read_text())
    assert [(row["latent"], row["gain"]) for row in record["rows"]] == [("added", 1), ("token", 1)]
    for row in record["rows"]:
        assert row["loss"] > row["distillation"] >= 0
        assert 0 <= row["real_share_2"] <= 1
    own_latent.write_model(tmp_path / "tiny")
    data, sizes = tmp_path / "words.jsonl", {"steps": 300, "batch_size": 16, "rate": 1e-3}
    plans = [
        own_latent.training(tmp_path, tmp_path / "tiny", data, sizes, adapter=Adapter(latent=kind))
        for kind in own_latent.KINDS
    ]
    added, token = (outline(run).operations() for run in plans)
    steps = own_latent.with_equal_work(plans[1], 300 * added).steps
    assert 250 < steps < 300  # one more token in twelve
    assert steps * token == pytest.approx(300 * added, rel=0.01)
