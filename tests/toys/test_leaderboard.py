"""The leaderboard: its plan, what a kill leaves, its records and its errors."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from reporting import read_rows
from tests.helpers.toy_cases import pair_run
from toys import ablation, components, latent_batch, leaderboard, theorem2_training
from toys.benchmark import runs
from toys.benchmark.cache import RowCache
from toys.benchmark.ranking import continued, equivalent_steps, rank
from toys.benchmark.runs import compute, execute, plan
from toys.methods import METHODS
from toys.tasks.problem import BUDGETS, Method, Output
from toys.tasks.registry import TASKS, Task

ROOT = Path(__file__).parents[2]
PAIR = TASKS["pair"]


def test_seeds_are_for_methods_that_train(monkeypatch):
    method = Method("mine", lambda problem, steps: iter(()), trained=True, processes=("masked",))
    monkeypatch.setitem(METHODS, "mine", method)
    wanted = plan([PAIR], ["masked", "uniform"], ["mine", "sequential"], range(3), BUDGETS["quick"])
    names = [(run.method, run.process, run.seed, run.budget.name) for run in wanted]
    assert sorted(names) == [
        *[("mine", "masked", seed, "quick") for seed in range(3)],
        ("sequential", "masked", 0, "standard"),
        ("teacher", "masked", 0, "standard"),
        ("teacher", "uniform", 0, "standard"),
    ]
    assert names[0][0] == "teacher", "its curve comes first"


@pytest.mark.parametrize(
    ("law", "words"), [([0.5, 0.5, 0.5, 0.5], "sums to 2"), ([1.5, -0.5, 0, 0], "-0.5")]
)
def test_a_bad_law_is_an_error_that_names_the_method_and_no_row(tmp_path, monkeypatch, law, words):
    def outputs(problem, steps):
        yield Output(torch.tensor(law).double(), nfe=1)

    monkeypatch.setitem(METHODS, "broken", Method("broken", outputs))
    path = tmp_path / "rows.jsonl"
    with pytest.raises(ValueError, match=f"method broken on task pair.*{words}"):
        execute([pair_run(method="broken")], RowCache(path), jobs=1)
    assert not path.exists()


def test_a_law_that_still_knows_its_gradient_is_fine(monkeypatch):
    def outputs(problem, steps):
        yield Output(problem.q_0.clone().requires_grad_(), nfe=1)

    monkeypatch.setitem(METHODS, "graph", Method("graph", outputs))
    (row,) = compute(pair_run(method="graph"))
    assert row["tv"] == 0


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
    def outputs(problem, steps):
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
        (ablation.main, ["--long", "-5"]),
        (ablation.main, ["--seeds", "no"]),
        (latent_batch.main, ["--draws", "1"]),
        (latent_batch.main, ["--latents", "4", "0"]),
        (components.main, ["--starts", "0"]),
        (theorem2_training.main, ["--iterations", "0"]),
    ],
)
def test_too_small_a_number_is_refused_and_never_the_default(capsys, main, options):
    with pytest.raises(SystemExit) as exit_:
        main(options)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"error: argument {options[0]}: must be a whole number of at least \d", line)
    assert line.endswith(f"got '{options[-1]}'; see --help")


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
    assert "hybrid has no row under masked noise: not finished" in printed


def test_rows_are_left_out_until_the_teacher_has_ended():
    row = {"task": "t", "process": "masked", "method": "ours", "nfe": 1, "tv": 0.5}
    assert rank([row]) == []


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": []}')
    (tmp_path / "text.json").write_text("none")
    for name in ("other.json", "text.json"):
        with pytest.raises(ValueError, match=f"finished must name a record .*{name} is none"):
            _main(tmp_path, "--task", "pair", "--finished", str(tmp_path / name))


def test_an_earlier_record_stands_in_for_runs_that_have_not_ended(tmp_path, capsys):
    """The cache lost one of two runs; the record has both, of other code."""
    record = tmp_path / "record.json"
    options = ["--task", "pair", "--process", "masked", "--method", "sequential", "teacher"]
    _main(tmp_path, *options, "--json", str(record))
    earlier = json.loads(record.read_text())
    earlier["manifest"]["code"]["sha"] = "0" * 40
    for row in earlier["rows"]:
        del row["code"]
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


def test_curves_are_continued_by_the_limit_of_n_tv():
    """3 x 3 digit patches: the exact curve cut at N = 2, against itself."""
    problem = [run for run in plan([TASKS["digits3x3"]], ["masked"], [], [0], BUDGETS["quick"])]
    curve = {row["nfe"]: row["tv"] for row in compute(problem[0])}
    cut = {n: tv for n, tv in curve.items() if n <= 2}
    longer = continued(cut, 256 * (2 * curve[256] - curve[128] / 2))  # Richardson in 1/N
    assert longer.keys() == curve.keys()
    for n in curve:
        assert longer[n] == pytest.approx(curve[n], rel=0.01)
    rows = [{"task": "t", "process": "masked", "method": "teacher", "nfe": 1, "tv": 0.5}]
    rows.append({"task": "t", "process": "masked", "method": "ours", "nfe": 1, "tv": 0.05})
    limited = rank(rows, {("t", "masked"): 0.5})[-1]
    assert (limited["bound"], limited["equivalent_steps"]) == ("~", pytest.approx(10))
    assert rank(rows, {})[-1]["bound"] == ">="
    assert equivalent_steps({1: 0.5, 2: 0.25}, 0.5).bound == ""


def test_limits_are_computed_once_where_the_curve_is_short(tmp_path):
    law = RowCache(tmp_path / "rows.jsonl")
    rows = [{"task": "pair", "process": "masked", "method": "teacher", "nfe": 2, "tv": 0.225}]
    limits = runs.curve_limits([PAIR], rows, law)
    assert limits["pair", "masked"] == pytest.approx(0.45, abs=1e-6)
    assert runs.curve_limits([PAIR], rows, law, compute_more=False) == limits
    assert len(read_rows(law.path)) == 1
    assert runs.curve_limits([PAIR], [dict(rows[0], nfe=64)], law) == {}


def test_a_trained_teacher_is_measured_against_the_exact_curve():
    wanted = plan(
        [PAIR],
        ["masked"],
        ["teacher", "sequential", "jump-your-steps"],
        range(2),
        BUDGETS["quick"],
        quick=True,
        teacher="trained",
    )
    kinds = [(run.method, run.teacher, run.seed) for run in wanted]
    assert sorted(kinds) == [
        ("sequential", "trained", 0),
        ("sequential", "trained", 1),
        ("teacher", "exact", 0),
        ("teacher", "trained", 0),
        ("teacher", "trained", 1),
    ]
    spent = replace(BUDGETS["quick"], evaluations=3 * 1024)
    rows = rank(compute(wanted[0]) + compute(wanted[2]._replace(budget=spent, seed=0)))
    exact, trained = ([r for r in rows if r["teacher"] == kind] for kind in ("exact", "trained"))
    assert [row["speed_up"] for row in exact] == pytest.approx([1] * len(exact))
    assert trained
    assert all(row["tv"] > 0 and row["equivalent_steps"] != row["nfe"] for row in trained)


def test_a_quick_plan_asks_for_few_steps():
    wanted = plan([PAIR], ["masked"], list(METHODS), [0], BUDGETS["quick"], quick=True)
    most = {run.method: max(run.steps, default=0) for run in wanted}
    assert most["teacher"] == 256
    assert most["di4c"] == 1
    assert most["jump-your-steps"] == 4


def _start(cache_file):
    command = [sys.executable, str(ROOT / "toys" / "leaderboard.py"), "--cache", str(cache_file)]
    command += ["--task", "pair", "parity8", "--process", "masked", "--jobs", "1"]
    command += ["--method", "teacher", "jump-your-steps", "optimal-grid", "sequential"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=environment,
    )


def _lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_killed_and_restarted_it_loses_no_finished_run(tmp_path):
    """SIGKILL to the whole group after a few runs, a torn last line on top, then once more."""
    path = tmp_path / "rows.jsonl"
    process = _start(path)
    deadline = time.monotonic() + 240
    while _lines(path) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was killed before it had ended"
    finished = read_rows(path)
    assert 3 <= len(finished) < 8
    with path.open("ab") as file:
        file.write(b'{"key": "torn')
    process = _start(path)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0
    assert "optimal-grid" in output
    lines = read_rows(path)
    assert lines[: len(finished)] == finished
    assert len({line["key"] for line in lines}) == len(lines) == 8, "each run once"


def test_custom_tasks_reach_the_workers(tmp_path):
    task = Task("mine", "mine", 2, 2, partial(torch.clone, torch.full((4,), 0.25).double()))
    rows = execute([pair_run(task=task)], RowCache(tmp_path / "rows.jsonl"), jobs=2)
    assert [row["tv"] for row in rows] == pytest.approx([0, 0], abs=1e-15)
