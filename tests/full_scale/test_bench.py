"""The benchmarks of losses, latency and training: statistics, counts, output and bad options."""

import json
import math
from dataclasses import replace

import pytest
from scipy.stats import binom

from full_scale.bench import __main__ as bench
from full_scale.bench import latency as bench_latency
from full_scale.bench import loss as bench_loss
from full_scale.bench import train_step as bench_train
from full_scale.bench.measure import Case
from full_scale.bench.networks import MODELS, QUICK, REDUCED, networks, teacher_config
from full_scale.models.presets import PRESETS
from full_scale.training.cost import operations


@pytest.mark.parametrize("n", [1, 5, 6, 21, 50])
def test_the_interval_covers_the_median_with_95_percent(n):
    """By scipy's binomial law. The next narrower interval covers it with less than 95 %.

    Fewer than six values cannot reach 95 %, and the interval is their whole range.
    """
    values = [float(value) for value in range(1, n + 1)]
    low, high = bench_latency.median_interval(values[::-1])
    rank = int(low)
    assert low + high == n + 1
    coverage = 1 - 2 * binom.cdf(rank - 1, n, 0.5)
    if n >= 6:
        assert coverage >= 0.95 > 1 - 2 * binom.cdf(rank, n, 0.5)
    else:
        assert (low, high) == (1, n)


@pytest.mark.parametrize("experiment", MODELS)
def test_quick_and_reduced_networks_are_small(experiment):
    counts = []
    for sizes in (QUICK, REDUCED):
        teacher, student, process = networks(Case(experiment, 1, sizes[experiment]))
        assert student.config.latent
        assert process.num_states == teacher.config.num_states
        counts.append(sum(p.numel() for p in teacher.parameters()))
    assert counts[0] < 100_000 < counts[1] < 30_000_000
    assert PRESETS[MODELS[experiment]].network != teacher.config


@pytest.mark.parametrize("experiment", MODELS)
def test_the_latent_adds_at_most_one_percent_of_the_operations(experiment):
    """Counted for the published network sizes, not timed."""
    config = teacher_config(experiment, {})
    product, mixture = (operations(replace(config, latent=latent)) for latent in (False, True))
    assert 1 < mixture / product <= 1.01


def test_operations_of_a_transformer_match_a_count_by_hand():
    """The product of an m x k and a k x n matrix counts as 2 m n k operations."""
    config = teacher_config("openwebtext", QUICK["openwebtext"])
    tokens, width, cond = config.num_dims, config.hidden_size, config.condition_size
    attention = 2 * 2 * tokens * tokens * width  # scores, weighted values
    block = 2 * tokens * width * (4 + 2 * config.mlp_ratio) * width + 2 * cond * 6 * width
    noise = 2 * (config.noise_features + cond) * cond
    final = 2 * cond * 2 * width + 2 * tokens * width * config.num_states
    assert operations(config) == config.num_blocks * (block + attention) + noise + final


def test_latency_writes_one_row_for_each_experiment(tmp_path, capsys):
    small = ["--quick", "--rounds", "2", "--steps", "3", "--threads", "1"]
    bench.main(["latency", *small, "--json", str(tmp_path / "latency.json")])
    content = json.loads((tmp_path / "latency.json").read_text())
    assert [row["experiment"] for row in content["rows"]] == list(MODELS)
    for row in content["rows"]:
        assert row["product_seconds"] > 0
        assert row["overhead_low"] <= row["overhead_percent"] <= row["overhead_high"]
        assert row["label"].startswith("reduced, cpu")
    assert "manifest" in content
    assert "mixture s" in capsys.readouterr().out


@pytest.mark.slow
def test_train_benchmark_writes_one_row_for_each_method(tmp_path):
    """Both methods make the same random draws, so their losses agree."""
    file = str(tmp_path / "train.json")
    small = ["--quick", "--threads", "1", "--experiment", "openwebtext"]
    bench.main(["train", *small, "--json", file])
    rows = json.loads((tmp_path / "train.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["plain", "ours"]
    assert math.isclose(rows[0]["loss"], rows[1]["loss"], rel_tol=1e-3, abs_tol=1e-5)
    assert all(row["seconds"] > 0 and row["extra_mib"] > 0 for row in rows)


@pytest.mark.parametrize("experiment", MODELS)
def test_plain_and_chunked_training_steps_have_the_same_loss(experiment):
    case = Case(experiment, 1, QUICK[experiment], num_latents=3, threads=1, seed=1)
    plain, ours = (bench_train.first_loss(case, method) for method in bench_train.METHODS)
    assert math.isclose(plain, ours, rel_tol=1e-4, abs_tol=1e-5)


def test_plain_and_chunked_losses_have_the_same_gradients():
    assert bench_loss.largest_difference(replace(bench_loss.QUICK, threads=1)) < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("loss --states 0", "--states: must be a whole number of at least 1; got '0'"),
        ("latency --rounds 0", "--rounds: must be a whole number of at least 1; got '0'"),
        ("latency --batch -1", "--batch: must be a whole number of at least 1; got '-1'"),
        ("train --threads 0", "--threads: must be a whole number of at least 1; got '0'"),
        ("train --quick --latents 0", "--latents: must be a whole number of at least 1; got '0'"),
        ("own --length 0", "--length: must be a whole number of at least 1; got '0'"),
    ],
)
def test_bad_numbers_are_refused(options, message, capsys):
    with pytest.raises(SystemExit):
        bench.main(options.split())
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["loss", "latency", "train"])
def test_a_device_that_is_not_there_is_refused(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="torch sees no GPU"):
        bench.main([name, "--device", "cuda"])
