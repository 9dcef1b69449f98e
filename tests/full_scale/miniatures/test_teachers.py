"""Teachers of the miniatures: shipped with a manifest, refused when they do not fit."""

import pytest

from full_scale import miniature
from full_scale.miniatures import MINIATURES, open_miniature, teachers
from full_scale.miniatures.teachers import open_teacher
from reporting import read_json, write_json
from tests.full_scale.miniatures.conftest import write_tiny

COMMAND = (
    "make it with: python -m full_scale.train words-teacher && python -m full_scale.miniature "
    "words --teacher runs/words-teacher --ship"
)


def test_shipping_writes_a_manifest(teacher, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(teachers, "TEACHERS", tmp_path / "teachers")
    options = ["words", "--quick", "--teacher", str(teacher), "--out", str(tmp_path / "out")]
    miniature.main([*options, "--ship"])
    shipped = tmp_path / "teachers" / "words.safetensors"
    assert f"written to {shipped}" in capsys.readouterr().out
    assert shipped.read_bytes() == teacher.read_bytes()
    about = read_json(shipped.with_suffix(".json"))
    assert about["validation_loss"] > 0
    assert [row["nfe"] for row in about["metrics"]] == [0, 1, 2, 4]
    assert open_teacher("words").sha256 == about["sha256"]
    write_json(shipped.with_suffix(".json"), about | {"sha256": "0" * 64})
    with pytest.raises(ValueError, match=f"is damaged.*{COMMAND}"):
        open_teacher("words")
    shipped.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match=f"cannot be read .*sha256.*{COMMAND}"):
        open_teacher("words")


def test_wrong_teachers_name_the_command_that_makes_them(teacher, tmp_path):
    with pytest.raises(ValueError, match=f"cannot be read .*{COMMAND}"):
        open_teacher("words", str(tmp_path / "none.safetensors"))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(teacher.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"cannot be read .*{COMMAND}"):
        open_teacher("words", str(cut))
    other = write_tiny(tmp_path / "other.safetensors", data_sha256="0" * 64)
    with pytest.raises(ValueError, match=r"trained on data with SHA-256 0+ and the installed"):
        open_teacher("words", str(other))


def test_names():
    assert open_miniature("words").name == "words"
    with pytest.raises(ValueError, match=f"must be one of {', '.join(MINIATURES)}; got 'letters'"):
        open_miniature("letters")
