"""The miniature of words from end to end on a tiny scale, its table, and wrong teachers."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from full_scale import miniature
from full_scale.data import words as data
from full_scale.evaluation.miniature_table import COLUMNS, equivalent_steps, summarise, write_csv
from full_scale.evaluation.spelling import METRICS
from full_scale.models import presets
from full_scale.models.model_file import write_model
from full_scale.training.experiments import EXPERIMENTS
from reporting import read_json, read_rows, write_json

TEACHER = {1: 0.1, 2: 0.2, 4: 0.4, 8: 0.3}


@pytest.mark.parametrize(
    ("calls", "value", "expected"),
    [
        (1, 0.2, "2.00"),
        (2, 0.2, "1.00"),
        (1, 0.3, "2.83"),  # half-way from 2 to 4 on a logarithmic axis
        (4, 0.4, "1.00"),
        (1, 0.05, "<1.00"),
        (2, 0.41, ">4.00"),
    ],
)
def test_equivalent_steps_by_hand(calls, value, expected):
    assert equivalent_steps(TEACHER, calls, value) == expected


def _row(recipe, nfe, seed, real):
    return {"recipe": recipe, "model": "x", "nfe": nfe, "seed": seed} | dict.fromkeys(METRICS, real)


def test_table_and_file_by_hand(tmp_path):
    teacher = [_row("words-teacher", n, 0, real) for n, real in TEACHER.items()]
    rows = [*teacher, _row("words", 1, 0, 0.2), _row("words", 1, 1, 0.6)]
    last = summarise(rows)[-1]
    assert (last["recipe"], last["nfe"], last["equivalent"]) == ("words", 1, "4.00")
    assert last["real_share"] == pytest.approx(0.4)
    path = tmp_path / "rows.csv"
    write_csv(path, [_row("other", 1, 0, 0.5), _row("words", 1, 0, 0.9)])
    write_csv(path, rows)
    table = pd.read_csv(path)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == (len(rows) + 1) * len(METRICS)
    assert table[table["recipe"] == "words"]["value"].max() == 0.6
    better = dict(zip(table["metric"], table["better"], strict=True))
    assert better == METRICS


@pytest.fixture(scope="module")
def tiny():
    """A tiny network under the name of the preset, and tiny sizes."""
    patch, preset = pytest.MonkeyPatch(), presets.PRESETS["words"]
    network = replace(preset.network, hidden_size=16, num_heads=2, num_blocks=1, noise_features=2)
    patch.setitem(presets.PRESETS, "words", replace(preset, network=network))
    size = miniature.Size(40, (1, 2), (1, 2, 4), steps=2, latents=3)
    patch.setattr(miniature, "QUICK", size)
    yield presets.PRESETS["words"]
    patch.undo()


def _write(path, preset, **manifest):
    torch.manual_seed(0)
    network = preset.network.build()
    write_model(path, network.config, preset.process, network.state_dict(), manifest)
    return path


@pytest.fixture(scope="module")
def teacher(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    return _write(path, tiny, data_sha256=data.list_sha256(data.all_words()))


def test_from_end_to_end(teacher, tmp_path, capsys):
    options = ["words", "--quick", "--teacher", str(teacher), "--recipes", "words", "words-data"]
    options += ["--out", str(tmp_path / "out"), "--csv", str(tmp_path / "rows.csv")]
    options += ["--json", str(tmp_path / "rows.json")]
    miniature.main(options)
    printed = capsys.readouterr().out
    assert "equivalent steps" in printed
    record = read_json(tmp_path / "rows.json")
    rows = record["rows"]
    assert [(row["recipe"], row["nfe"]) for row in rows] == [
        ("held-out words", 0),
        *[("words-teacher", n) for n in (1, 2, 4)],
        *[(recipe, n) for recipe in ("words", "words-data") for n in (1, 2)],
    ]
    assert len(pd.read_csv(tmp_path / "rows.csv")) == len(rows) * len(METRICS)
    run = read_json(tmp_path / "out" / "words-0" / "run.json")["run"]
    assert run["reference_steps"] == EXPERIMENTS["words"][1].reference_steps > 0
    first = read_rows(tmp_path / "out" / "words-0" / "log.jsonl")[-1]
    assert first["data_correlation"] == 0
    assert {"consistency_correlation", "distillation"} <= set(first)
    # A second call trains and draws nothing, and gives the same.
    done = (tmp_path / "out" / "rows.jsonl").read_bytes()
    miniature.main(options)
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == done
    assert read_json(tmp_path / "rows.json")["rows"] == rows


def test_shipping_writes_a_manifest(teacher, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(miniature, "TEACHERS", tmp_path / "teachers")
    with pytest.raises(ValueError, match="--ship needs the trained teacher: --teacher"):
        miniature.main(["words", "--quick", "--ship"])
    options = ["words", "--quick", "--teacher", str(teacher), "--out", str(tmp_path / "out")]
    miniature.main([*options, "--ship"])
    shipped = tmp_path / "teachers" / "words.safetensors"
    assert shipped.read_bytes() == teacher.read_bytes()
    about = read_json(shipped.with_suffix(".json"))
    assert about["validation_loss"] > 0
    assert [row["nfe"] for row in about["metrics"]] == [0, 1, 2, 4]
    assert miniature.open_teacher(str(shipped), shipped=True).sha256 == about["sha256"]
    write_json(shipped.with_suffix(".json"), about | {"sha256": "0" * 64})
    with pytest.raises(ValueError, match=r"is damaged.*make it with: python -m full_scale.train"):
        miniature.open_teacher(str(shipped), shipped=True)


def test_wrong_teachers_name_the_command_that_makes_them(teacher, tiny, tmp_path):
    command = "make it with: python -m full_scale.train words-teacher"
    with pytest.raises(ValueError, match=f"cannot be read .*{command}"):
        miniature.open_teacher(str(tmp_path / "none.safetensors"), shipped=True)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(teacher.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"cannot be read .*{command}"):
        miniature.open_teacher(str(cut), shipped=False)
    other = _write(tmp_path / "other.safetensors", tiny, data_sha256="0" * 64)
    with pytest.raises(ValueError, match=r"trained on words with SHA-256 0+ and the installed"):
        miniature.open_teacher(str(other), shipped=False)
