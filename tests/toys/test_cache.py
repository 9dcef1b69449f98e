"""Finished runs are found again by the same code, law and settings, and by no other."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from reporting import read_rows
from tests.helpers.toy_cases import pair_run
from toys.benchmark import cache
from toys.benchmark.cache import RowCache, code_hash, row_key, source_files
from toys.benchmark.runs import execute
from toys.methods import METHODS
from toys.tasks.problem import BUDGETS, Method, Output
from toys.tasks.registry import TASKS


def _clone(folder, **files):
    """A tiny clone: toys/NAME.py with the given sources."""
    (folder / "toys").mkdir(parents=True, exist_ok=True)
    (folder / "di4c" / "exact").mkdir(parents=True, exist_ok=True)
    (folder / "di4c" / "exact" / "__init__.py").write_text("from di4c.exact.laws import tv")
    (folder / "di4c" / "exact" / "laws.py").write_text("tv = 1")
    for name, source in files.items():
        (folder / "toys" / f"{name}.py").write_text(source)
    return folder


def test_a_row_depends_on_what_its_code_imports_and_on_nothing_else(tmp_path):
    root = _clone(
        tmp_path,
        method="import math\nfrom toys import helper\nfrom di4c.exact import tv",
        helper="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toys.types import T",
        types="T = 1",
        stranger="x = 1",
    )
    names = {path.relative_to(root).as_posix() for path in source_files(["toys.method"], root)}
    assert names == {
        "toys/method.py",
        "toys/helper.py",
        "di4c/exact/__init__.py",
        "di4c/exact/laws.py",
    }


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("x = 1", "x = 1  # a comment\n\n", True),
        ('"""Doc."""\n\n\ndef f():\n    """More."""\n    return 1', "def f(): return 1", True),
        ("x = 1", "x = 2", False),
        ("x = 'a'", "x = 'b'", False),
        ("def f(x=1): return x", "def f(x=2): return x", False),
    ],
)
def test_code_counts_and_comments_do_not(tmp_path, before, after, same):
    hashes = [
        code_hash(["toys.a"], _clone(tmp_path / name, a="from toys import b", b=source))
        for name, source in (("before", before), ("after", after))
    ]
    assert (hashes[0] == hashes[1]) == same


def test_keys_depend_on_code_law_and_settings():
    modules, law = ["toys.methods.teacher"], torch.full((2,), 0.5, dtype=torch.float64)
    key = row_key(modules, law, {"seed": 0})
    assert key == row_key(modules, law.clone(), {"seed": 0})
    others = [
        row_key(["toys.methods.sequential"], law, {"seed": 0}),
        row_key(modules, law + 2e-16, {"seed": 0}),
        row_key(modules, law, {"seed": 1}),
    ]
    assert len({key, *others}) == 4


def test_the_key_of_a_run_sees_each_of_its_settings():
    keys = [
        pair_run(),
        pair_run(process="uniform"),
        pair_run(method="sequential"),
        pair_run(seed=1),
        pair_run(budget=BUDGETS["quick"]),
        pair_run(budget=replace(BUDGETS["standard"], evaluations=7)),
        pair_run(steps=(1, 4)),
        pair_run(task=TASKS["parity8"]),
        pair_run(teacher="trained"),
        pair_run(task=replace(TASKS["pair"], num_values=4, num_dims=1)),
    ]
    assert len({run.key() for run in keys}) == len(keys)


def test_two_tasks_of_one_law_share_what_is_computed_and_keep_their_names(tmp_path):
    other = replace(TASKS["pair"], name="copy", title="another file")
    cached = RowCache(tmp_path / "rows.jsonl")
    execute([pair_run()], cache=cached, jobs=1)
    rows = execute([pair_run(task=other)], cache=cached, jobs=1, compute_more=False)
    assert [row["task"] for row in rows] == ["copy", "copy"]


def test_options_of_a_registry_line_count(monkeypatch):
    def outputs(problem, steps, size=1):
        yield Output(problem.q_0, nfe=1)

    keys = set()
    for size in (1, 2):
        monkeypatch.setitem(METHODS, "sized", Method("sized", partial(outputs, size=size)))
        keys.add(pair_run(method="sized").key())
    assert len(keys) == 2


def test_finished_runs_are_read_and_rows_of_other_code_are_computed_again(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    first = execute([pair_run()], RowCache(path), jobs=1)
    assert [row["tv"] for row in first] == pytest.approx([0.45, 0.225])
    (line,) = read_rows(path)
    tv = line["rows"][0]["tv"]
    line["rows"][0]["tv"] = 0.123  # what is trusted is what is in the file
    path.write_text(json.dumps(line) + "\n")
    assert execute([pair_run()], RowCache(path), jobs=1)[0]["tv"] == 0.123
    assert execute([pair_run()], RowCache(path), jobs=1, resume=False)[0]["tv"] == tv
    monkeypatch.setattr(cache, "_code", lambda file: "other code")
    assert execute([pair_run()], RowCache(path), jobs=1, compute_more=False) == []
    assert execute([pair_run()], RowCache(path), jobs=1)[0]["tv"] == tv
    assert len(read_rows(path)) == 3
