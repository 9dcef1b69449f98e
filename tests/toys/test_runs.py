"""Runs of the benchmark: their plan, resuming after a kill, limits, bad laws."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from reporting import read_rows
from tests.helpers.toy_cases import pair_run
from toys.benchmark import runs
from toys.benchmark.cache import RowCache
from toys.benchmark.ranking import rank
from toys.benchmark.runs import compute, execute, plan
from toys.methods import METHODS
from toys.tasks.registry import TASKS, Task
from toys.tasks.setting import BUDGETS, Method, Output

ROOT = Path(__file__).parents[2]
PAIR = TASKS["pair"]


def test_seeds_are_for_methods_that_train(monkeypatch):
    method = Method("mine", lambda setting, steps: iter(()), trained=True, processes=("masked",))
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
    def outputs(setting, steps):
        yield Output(torch.tensor(law).double(), nfe=1)

    monkeypatch.setitem(METHODS, "broken", Method("broken", outputs))
    path = tmp_path / "rows.jsonl"
    with pytest.raises(ValueError, match=f"method broken on task pair.*{words}"):
        execute([pair_run(method="broken")], RowCache(path), jobs=1)
    assert not path.exists()


def test_a_law_that_still_knows_its_gradient_is_fine(monkeypatch):
    def outputs(setting, steps):
        yield Output(setting.q_0.clone().requires_grad_(), nfe=1)

    monkeypatch.setitem(METHODS, "graph", Method("graph", outputs))
    (row,) = compute(pair_run(method="graph"))
    assert row["tv"] == 0


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
    command += ["--task", "pair", "parity8", "digits3x3", "--process", "masked", "--jobs", "1"]
    command += ["--method", "teacher", "jump-your-steps", "confidence", "sequential"]
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
    """Killed after a few runs, with a torn last line in the cache, and started again."""
    path = tmp_path / "rows.jsonl"
    process = _start(path)
    deadline = time.monotonic() + 240
    while _lines(path) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was killed before it had ended"
    finished = read_rows(path)
    assert 3 <= len(finished) < 12
    with path.open("ab") as file:
        file.write(b'{"key": "torn')
    process = _start(path)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0
    assert "jump-your-steps" in output
    lines = read_rows(path)
    assert lines[: len(finished)] == finished
    assert len({line["key"] for line in lines}) == len(lines) == 12, "each run once"


def test_custom_tasks_reach_the_workers(tmp_path):
    task = Task("mine", "mine", 2, 2, partial(torch.clone, torch.full((4,), 0.25).double()))
    rows = execute([pair_run(task=task)], RowCache(tmp_path / "rows.jsonl"), jobs=2)
    assert [row["tv"] for row in rows] == pytest.approx([0, 0], abs=1e-15)
