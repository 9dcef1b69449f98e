"""The leaderboard script: records, tables, your own law, and errors."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from toys import (
    ablation,
    components,
    digit_patches,
    latent_batch,
    leaderboard,
    letter_windows,
    theorem2_training,
    two_dim_tv,
)
from toys.methods import METHODS
from toys.tasks.registry import TASKS
from toys.tasks.setting import Method, Output


def _main(tmp_path, *options):
    arguments = ["--cache", str(tmp_path / "rows.jsonl"), "--jobs", "1", *options]
    leaderboard.main(arguments)


def test_records_of_a_small_run(tmp_path, capsys):
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv")}
    options = ["--task", "pair", "permutations5", "--method", "sequential", "confidence"]
    options += ["--process", "masked", "--json", str(files["json"]), "--csv", str(files["csv"])]
    _main(tmp_path, *options)
    assert "confidence" in capsys.readouterr().out
    with files["csv"].open() as file:
        rows = list(csv.DictReader(file))
    needed = {"task", "process", "method", "latent", "nfe", "seed", "tv", "kl"}
    needed |= {"equivalent_steps", "train_seconds", "latent_refinement"}
    assert needed <= rows[0].keys()
    assert {row["method"] for row in rows} == {"sequential", "confidence"}
    exact = next(row for row in rows if row["method"] == "sequential" and row["task"] == "pair")
    assert (exact["nfe"], exact["bound"], exact["equivalent_steps"]) == ("2", ">=", "256.0")
    result = json.loads(files["json"].read_text())
    assert {"manifest", "tasks", "methods", "rows", "budget", "seeds"} <= result.keys()
    assert {row["method"] for row in result["rows"]} == {"teacher", "sequential", "confidence"}
    assert "laws" not in result


def test_laws_are_squares_with_the_data_among_them(tmp_path):
    path = tmp_path / "out.json"
    options = ["--task", "moons", "pair", "--method", "sequential", "--process", "masked"]
    _main(tmp_path, *options, "--laws", "--json", str(path))
    data, ours = json.loads(path.read_text())["laws"]
    assert (data["method"], ours["method"], ours["nfe"]) == ("data", "sequential", 2)
    assert (ours["process"], ours["teacher"]) == ("masked", "exact")
    np.testing.assert_allclose(data["probs"], TASKS["moons"].law().reshape(32, 32), atol=1e-7)
    np.testing.assert_allclose(ours["probs"], data["probs"], atol=1e-7)


def test_infinite_divergence_is_inf_in_csv_and_null_in_json(tmp_path, monkeypatch):
    def outputs(setting, steps):
        yield Output(torch.tensor([1.0, 0, 0, 0]).double(), nfe=1)

    monkeypatch.setitem(METHODS, "point", Method("point", outputs))
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv")}
    options = ["--task", "pair", "--method", "point", "--process", "uniform"]
    _main(tmp_path, *options, "--json", str(files["json"]), "--csv", str(files["csv"]))
    with files["csv"].open() as file:
        assert next(csv.DictReader(file))["kl"] == "inf"
    assert json.loads(files["json"].read_text())["rows"][-1]["kl"] is None


def test_a_users_own_law(tmp_path, capsys):
    law = np.array([[0.5, 0, 0.1], [0, 0.4, 0], [0, 0, 0]])
    np.save(tmp_path / "mine.npy", law)
    path = tmp_path / "out.json"
    options = ["--method", "teacher", "sequential", "--process", "masked", "--json", str(path)]
    _main(tmp_path, "--law", str(tmp_path / "mine.npy"), *options)
    assert "mine" in capsys.readouterr().out
    rows = json.loads(path.read_text())["rows"]
    tv = {(row["method"], row["nfe"]): row["tv"] for row in rows}
    product = np.outer(law.sum(1), law.sum(0))
    assert tv["teacher", 1] == pytest.approx(np.abs(law - product).sum() / 2, abs=1e-12)
    assert tv["sequential", 2] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--task", "spirals"], r"task must be one of pair, parity8.*'spirals'"),
        (["--method", "magic"], r"method must be one of teacher, .*'magic'"),
        (["--process", "pink"], r"process must be one of masked, uniform; got 'pink'"),
    ],
)
def test_bad_options_are_one_line_that_helps(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        leaderboard.main(options)


@pytest.mark.parametrize(
    ("main", "options"),
    [
        (leaderboard.main, ["--seeds", "0"]),
        (leaderboard.main, ["--jobs", "0"]),
        (leaderboard.main, ["--jobs", "9" * 20]),
        (leaderboard.main, ["--seeds", "9" * 20]),
        (digit_patches.main, ["--steps", "1", "9" * 20]),
        (letter_windows.main, ["--length", "9" * 20]),
        (two_dim_tv.main, ["--steps", "0"]),
        (ablation.main, ["--long", "-5"]),
        (ablation.main, ["--seeds", "no"]),
        (latent_batch.main, ["--draws", "1"]),
        (latent_batch.main, ["--latents", "4", "0"]),
        (components.main, ["--starts", "0"]),
        (theorem2_training.main, ["--iterations", "0"]),
    ],
)
def test_a_number_that_nothing_can_use_is_refused_and_never_the_default(capsys, main, options):
    with pytest.raises(SystemExit) as exit_:
        main(options)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(
        rf"error: argument {options[0]}: must be a whole number of at (least|most) \d", line
    )
    assert line.endswith(f"got '{options[-1]}'; see --help")


@pytest.mark.parametrize("option", ["--law", "--finished", "--task", "--csv", "--cache"])
def test_an_empty_value_is_refused_and_never_the_default(capsys, option):
    """As from a variable of the shell that is not set."""
    with pytest.raises(SystemExit) as exit_:
        leaderboard.main([option, ""])
    assert exit_.value.code == 2
    said = f"error: argument {option}: must not be empty; give a value or leave it out; see --help"
    assert capsys.readouterr().err == said + "\n"


def test_an_unknown_task_is_refused_in_the_quick_form_too():
    for script in (ablation, latent_batch):
        with pytest.raises(ValueError, match="task must be one of"):
            script.main(["--quick", "--task", "spirals"])


def test_naming_a_task_or_noise_twice_runs_it_once(tmp_path, capsys):
    path = tmp_path / "out.json"
    options = ["--task", "pair", "pair", "--process", "masked", "masked"]
    _main(tmp_path, *options, "--method", "sequential", "sequential", "--json", str(path))
    summary = json.loads(path.read_text())["summary"]
    (line,) = [line for line in summary if line["method"] == "sequential"]
    assert (line["seeds"], line["tv_interval"]) == (1, None)


def test_a_law_must_not_have_the_name_of_a_task(tmp_path):
    np.save(tmp_path / "pair.npy", np.full((2, 2), 0.25))
    options = ["--task", "pair", "--law", str(tmp_path / "pair.npy"), "--method", "teacher"]
    with pytest.raises(ValueError, match=r"pair\.npy has the name of the task pair: rename"):
        _main(tmp_path, *options)


def test_methods_without_rows_are_named(tmp_path, capsys):
    options = ["--task", "digits4x4", "--method", "sequential", "hybrid", "--finished"]
    _main(tmp_path, *options)
    printed = capsys.readouterr().out
    assert "sequential is not defined for uniform noise" in printed
    assert "hybrid has no row under masked noise: it is not finished" in printed


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": []}')
    (tmp_path / "text.json").write_text("none")
    for name in ("other.json", "text.json"):
        with pytest.raises(ValueError, match=f"{name}.*finished must name a record"):
            _main(tmp_path, "--task", "pair", "--finished", str(tmp_path / name))


def test_an_earlier_record_stands_in_for_runs_that_have_not_ended(tmp_path, capsys):
    """The cache has one of two runs; the record has both, computed by other code."""
    record = tmp_path / "record.json"
    options = ["--task", "pair", "--process", "masked", "--method", "sequential", "teacher"]
    _main(tmp_path, *options, "--json", str(record))
    earlier = json.loads(record.read_text())
    for row in earlier["rows"]:
        row["code"] = "0" * 12
    earlier["limits"] = [{"task": "pair", "process": "masked", "n_tv": 0.45}]
    record.write_text(json.dumps(earlier))
    cache_file = tmp_path / "rows.jsonl"
    lines = cache_file.read_text().splitlines(keepends=True)
    cache_file.write_text("".join(line for line in lines if '"latent": "-", "nfe": 256' in line))
    _main(tmp_path, *options, "--finished", str(record), "--json", str(tmp_path / "new.json"))
    later = json.loads((tmp_path / "new.json").read_text())
    assert later["limits"] == earlier["limits"]
    rows = later["rows"]
    assert [row["tv"] for row in rows] == [row["tv"] for row in earlier["rows"]]
    codes = {row["method"]: row["code"] for row in rows}
    assert codes["sequential"] == "0" * 12
    assert codes["teacher"] != "0" * 12
