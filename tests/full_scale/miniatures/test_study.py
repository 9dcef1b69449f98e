"""A study of words from end to end on a tiny scale: rows, resumption, refusals, the record."""

import json
import os
import signal

import pytest
import torch

from full_scale import miniature as program
from full_scale.miniatures import study as module
from full_scale.miniatures.record import record_to_add_to, write_record
from full_scale.miniatures.study import RECORD, Study
from full_scale.miniatures.table import long_frame, read_csv, write_csv
from full_scale.miniatures.teachers import open_teacher
from full_scale.models.load import load_model
from full_scale.training.trainer import Trainer
from reporting import only_writer, read_json, read_rows
from tests.full_scale.miniatures.conftest import SIZE

RECIPES = ("words", "words-data")


@pytest.fixture(scope="module")
def make(tiny, teacher, tmp_path_factory):
    """Make a study in a folder of this name."""
    model, folder = open_teacher("words", str(teacher)), tmp_path_factory.mktemp("studies")

    def made(name, recipes=RECIPES, **changes):
        return Study(tiny, model, str(teacher), SIZE, folder / name, recipes=recipes, **changes)

    return made


@pytest.fixture(scope="module")
def whole(make):
    """The rows of a study that nothing has interrupted. It stands in the folder "whole"."""
    return make("whole").rows()


def results(rows):
    """The rows without the hashes of the models, whose files name their folders."""
    return [{key: value for key, value in row.items() if key != "model_sha256"} for row in rows]


def test_from_end_to_end(teacher, tmp_path, capsys):
    options = ["words", "--quick", "--teacher", str(teacher), "--recipes", *RECIPES]
    options += ["--out", str(tmp_path / "out"), "--csv", str(tmp_path / "rows.csv")]
    options += ["--json", str(tmp_path / "rows.json")]
    program.main(options)
    assert "equivalent steps" in capsys.readouterr().out
    rows = read_rows(tmp_path / "out" / RECORD)
    assert [(row["recipe"], row["model"], row["nfe"]) for row in rows] == [
        ("real data", "data", 0),
        *[("words-teacher", "teacher", n) for n in (1, 2, 4)],
        *[
            (recipe, kind, n)
            for recipe in RECIPES
            for kind, n in (("student", 1), ("student", 2), ("hybrid", 2))
            if (recipe, kind) != ("words-data", "hybrid")
        ],
    ]
    assert {(row["miniature"], row["part"], row["samples"]) for row in rows} == {
        ("words", "test", 40)
    }
    assert len(read_csv(tmp_path / "rows.csv")) == 4 * len(rows)
    record = read_json(tmp_path / "rows.json")["miniatures"]["words"]
    assert record["manifests"].keys() == {"words-teacher", *RECIPES}
    assert [len(line) for line in record["sweep"]["samples"]] == [10] * 6
    assert len(record["sweep"]["latents"]) == 10
    shown = {(row["recipe"], row["model"]) for row in record["rows"] if "shown" in row}
    assert shown == {("words-teacher", "teacher"), ("words", "student")}
    # Pure distillation sees samples of the teacher, and the other recipe sees the data.
    for recipe, generated in zip(RECIPES, (500, 0), strict=True):
        run = read_json(tmp_path / "out" / f"{recipe}-0" / "run.json")["run"]
        assert run["data"]["generated"] == generated
    # A second call trains and draws nothing, and gives the same.
    done = (tmp_path / "out" / RECORD).read_bytes()
    program.main(options)
    assert (tmp_path / "out" / RECORD).read_bytes() == done
    assert read_json(tmp_path / "rows.json")["miniatures"]["words"]["rows"] == record["rows"]


def test_rows_are_the_same_after_every_kill(make, whole, monkeypatch):
    cut, draw, kills = make("cut"), module.draw, 0
    while True:
        left = 2  # each attempt draws twice and is killed; a half-written line stays behind

        def draw_some(*args, **options):
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return draw(*args, **options)

        monkeypatch.setattr(module, "draw", draw_some)
        try:
            rows = cut.rows()
            break
        except KeyboardInterrupt:
            kills += 1
            with (cut.folder / RECORD).open("ab") as file:
                file.write(b'{"miniature": "wo')
    assert kills == 3, "eight rows are drawn"
    assert results(rows) == results(whole)
    assert read_rows(cut.folder / RECORD) == rows


def test_a_stopped_training_continues(make, whole, monkeypatch):
    stopped, advance = make("stopped", ["words"]), Trainer._advance

    def stop(self, *args):
        os.kill(os.getpid(), signal.SIGTERM)
        return advance(self, *args)

    monkeypatch.setattr(Trainer, "_advance", stop)
    with pytest.raises(SystemExit) as stopping:
        stopped.rows()
    monkeypatch.undo()
    assert stopping.value.code == 0
    assert not (stopped.folder / "words-0" / "model.safetensors").exists()
    assert results(stopped.rows()) == results(whole)[: 1 + 3 + 3]


def test_a_folder_has_one_study_at_a_time(make):
    study = make("locked")
    with only_writer(study.folder), pytest.raises(ValueError, match="process"):
        study.rows()


def test_part_share_and_hybrid(make):
    study = make("a", ["words-data"], part="validation", share=0.1)
    rows = study.rows()
    students = [row for row in rows if row["model"] == "student"]
    assert {row["recipe"] for row in students} == {"words-data@0.1"}
    assert {row["part"] for row in rows} == {"validation"}
    run = read_json(study.folder / "words-data@0.1-0" / "run.json")
    assert run["identity"]["data_share"] == 0.1
    # The hybrid takes the student for the first of two calls alone.
    student = load_model(study.folder / "words-data@0.1-0")
    torch.nn.init.normal_(student.backbone.output.weight)  # three steps make it no other model
    drawn = {hybrid: study.sample(student, 2, 0, None, hybrid=hybrid) for hybrid in (True, False)}
    once = study.sample(student, 1, 0, None, hybrid=True)
    assert not torch.equal(drawn[True], drawn[False])
    assert torch.equal(once, study.sample(student, 1, 0, None))


def test_the_record_keeps_what_still_belongs_to_it(make, whole, tmp_path):
    path, pure, data = tmp_path / "r.json", make("whole", ["words"]), make("whole", ["words-data"])
    path.write_text(json.dumps({"miniatures": {"digits": {"rows": []}}}))
    write_record(path, pure, pure.rows(), {"command": "first"})
    write_record(path, data, data.rows(), {"command": "second"})
    found = read_json(path)["miniatures"]
    assert found["digits"] == {"rows": []}
    assert found["words"]["manifests"] == {
        "words": [{"command": "first"}],
        "words-data": [{"command": "second"}],
        "words-teacher": [{"command": "second"}],
    }
    kinds = [(row["recipe"], row["model"], row["nfe"]) for row in found["words"]["rows"]]
    assert len(kinds) == len(set(kinds)) == 1 + 3 + 3 + 2
    assert found["words"]["sweep"] is not None
    means = {(line["recipe"], line["nfe"]): line["mean"] for line in found["words"]["summary"]}
    shares = {(row["recipe"], row["nfe"]): row["real_share"] for row in found["words"]["rows"]}
    assert means == shares
    other = make("whole", [], part="validation")
    write_record(path, other, other.rows(), {})
    assert read_json(path)["miniatures"]["words"]["manifests"].keys() == {"words-teacher"}


def test_seeds_of_another_day_are_added(make, whole, teacher, tmp_path):
    """Three seeds in two calls give the rows of three seeds in one."""
    first, second = make("whole", ["words"]), make("more", ["words"], seeds=(1, 2))
    path, csv = tmp_path / "r.json", tmp_path / "r.csv"
    for study, add in ((first, False), (second, True)):
        rows = study.rows()
        write_record(path, study, rows, {"seeds": list(study.seeds)}, add=add)
        write_csv(csv, long_frame(study.miniature, rows), add=add)
    once = read_json(path)["miniatures"]["words"]
    write_record(path, second, second.rows(), {"seeds": [1, 2]}, add=True)
    found = read_json(path)["miniatures"]["words"]
    assert found["rows"] == once["rows"], "the same seeds replace their rows"
    kinds = [(row["recipe"], row["model"], row["nfe"], row["seed"]) for row in found["rows"]]
    assert len(kinds) == len(set(kinds)) == 1 + 2 * 3 + 3 * 3
    assert {row["seed"] for row in found["rows"] if row["model"] == "teacher"} == {0, 1}
    shown = {(row["model"], row["seed"]) for row in found["rows"] if "shown" in row}
    assert shown == {("teacher", 0), ("student", 0)}
    assert found["manifests"]["words"] == [{"seeds": [0]}, {"seeds": [1, 2]}, {"seeds": [1, 2]}]
    assert found["manifests"]["words-teacher"] == [{"seeds": [0]}, {"seeds": [1, 2]}]
    assert found["sweep"] is not None
    table = read_csv(csv)
    assert len(table) == 4 * len(kinds)
    assert set(table[table["recipe"] == "words"]["seed"]) == {0, 1, 2}
    with pytest.raises(ValueError, match=r"r\.json has another part; omit --add"):
        record_to_add_to(path, make("whole", [], part="validation"))
    with pytest.raises(ValueError, match=r"absent\.json has nothing of words to add to"):
        record_to_add_to(tmp_path / "absent.json", second)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--add"], "--add needs the record to add to: --json results/miniatures.json"),
        (["--recipes", "words", "imagenet"], r"recipes must be of words, .* for words; got imag"),
        (["--ship"], "--ship needs the trained teacher: --teacher runs/words-teacher"),
        (["--csv", "FOLDER/bad.csv"], "has the columns a instead of"),
    ],
)
def test_bad_options_are_refused_before_the_work(tiny, tmp_path, options, message):
    (tmp_path / "bad.csv").write_text("a\n1\n")
    options = [option.replace("FOLDER", str(tmp_path)) for option in options]
    with pytest.raises(ValueError, match=message):
        program.main(["words", "--quick", "--out", str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", ["0", "1.5", "nan", "half"])
def test_a_wrong_share_is_refused(share, capsys):
    with pytest.raises(SystemExit):
        program.main(["words", "--data-share", share])
    assert f"--data-share: must be a number in (0, 1]; got '{share}'" in capsys.readouterr().err
