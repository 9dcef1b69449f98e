"""The benchmark of a language model's training step."""

import json

import pytest

from full_scale.bench import __main__ as bench
from full_scale.bench.measure import Case
from full_scale.bench.own import METHODS, OwnStep

CASE = Case(
    experiment="own", batch=2, sizes={"size": "tiny", "length": 8}, num_latents=2, threads=1
)


def test_all_methods_take_the_same_first_step():
    """They start from the same weights, and adapters add nothing at first."""
    losses = [getattr(OwnStep(CASE), name.replace(" ", "_"))() for name in METHODS]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert losses[2] == pytest.approx(losses[0], rel=1e-5)
    step = OwnStep(CASE)
    assert step.lora() != step.lora()  # the second step goes on from the first


def test_the_benchmark_writes_one_row_for_each_method(tmp_path):
    file = tmp_path / "own.json"
    options = ["--quick", "--method", "lora", "--threads", "1", "--json", str(file)]
    bench.main(["own", *options])
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["size"], row["method"]) == ("tiny", "lora")
    assert row["parameters"] > 100_000
    assert row["seconds"] > 0
    assert row["peak_mib"] > 0
