"""Finished runs are found again by the same code, law and settings, and by no other."""

import json
from dataclasses import replace

import pytest
import torch

from reporting import read_rows
from tests.helpers.full_disk import full_disk
from tests.helpers.toy_cases import pair_run
from toys.benchmark import cache
from toys.benchmark.cache import RowCache, code_hash, row_key
from toys.benchmark.runs import execute
from toys.tasks.registry import TASKS
from toys.tasks.setting import BUDGETS


def _clone(folder, **files):
    """A tiny clone with the given sources, by path; "__" stands for "/"."""
    for name, source in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"figures__c": "other room"}, True),
        ({"toys__a": "x = 2"}, False),
        ({"di4c__exact__b": "x = 2"}, False),
        ({"toys__deep__new": "x = 1"}, False),
        ({"toys__a": "x = 1\ny = 1", "di4c__exact__b": ""}, False),
    ],
)
def test_rows_depend_on_every_file_of_the_library_and_the_toys(tmp_path, change, same):
    """The folders here are no git clones: files count whether they are committed or not."""
    files = {"toys__a": "x = 1", "di4c__exact__b": "y = 1"}
    before = code_hash(_clone(tmp_path / "before", **files))
    after = code_hash(_clone(tmp_path / "after", **(files | change)))
    assert (before == after) == same


def test_a_renamed_file_is_other_code(tmp_path):
    sources = [{"toys__a": "x = 1", "toys__b": ""}, {"toys__a": "", "toys__b": "x = 1"}]
    hashes = {code_hash(_clone(tmp_path / str(k), **files)) for k, files in enumerate(sources)}
    assert len(hashes) == 2


def test_keys_depend_on_code_law_and_settings(monkeypatch):
    law = torch.full((2,), 0.5, dtype=torch.float64)
    key = row_key(law, {"seed": 0})
    assert key == row_key(law.clone(), {"seed": 0})
    others = [row_key(law + 2e-16, {"seed": 0}), row_key(law, {"seed": 1})]
    monkeypatch.setattr(cache, "code_hash", lambda: "other code")
    others.append(row_key(law, {"seed": 0}))
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


def test_rows_that_cannot_be_kept_are_printed(tmp_path, capsys):
    cached = RowCache(tmp_path / "rows.jsonl")
    with full_disk(), pytest.raises(OSError, match=r"rows\.jsonl"):
        execute([pair_run()], cache=cached, jobs=1)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["tv"] for row in rows] == pytest.approx([0.45, 0.225])


def test_finished_runs_are_read_and_rows_of_other_code_are_computed_again(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    first = execute([pair_run()], RowCache(path), jobs=1)
    assert [row["tv"] for row in first] == pytest.approx([0.45, 0.225])
    (line,) = read_rows(path)
    tv = line["rows"][0]["tv"]
    line["rows"][0]["tv"] = 0.123  # the value in the file is trusted
    path.write_text(json.dumps(line) + "\n")
    assert execute([pair_run()], RowCache(path), jobs=1)[0]["tv"] == 0.123
    assert execute([pair_run()], RowCache(path), jobs=1, resume=False)[0]["tv"] == tv
    monkeypatch.setattr(cache, "code_hash", lambda: "other code")
    assert execute([pair_run()], RowCache(path), jobs=1, compute_more=False) == []
    assert execute([pair_run()], RowCache(path), jobs=1)[0]["tv"] == tv
    assert len(read_rows(path)) == 3
