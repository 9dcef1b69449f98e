"""Texts as rows of tokens: padded, packed, with prompts, from every kind of source."""

import json

import pytest
import torch
from datasets import Dataset

from full_scale.data.text_columns import Encoder, TextRows, Texts
from tests.helpers.refusals import assert_refused
from tests.helpers.tiny_language import letters

A = 5  # the number of the letter a


@pytest.fixture
def encoder():
    return Encoder(letters(), 6)


def rows(texts, encoder):
    return TextRows(texts, encoder, 31)


def written(path, table):
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return str(path)


def test_the_text_of_a_row_ends_where_the_model_ends_it(encoder):
    row = [2, A, 3, A + 1, 3, A + 2]
    assert encoder.text(row, given=1) == "a"
    assert encoder.text(row, given=4) == "ab"  # the first end belongs to the prompt
    assert encoder.text(row[:2], given=1) == "a"


def test_a_text_is_a_row_with_padding(tmp_path, encoder):
    source = written(tmp_path / "t.jsonl", [{"text": "ab"}, {"text": "abcdefgh"}])
    data = rows(Texts(source, length=6), encoder)
    assert data[0]["x_0"].tolist() == [2, A, A + 1, 3, 0, 0]
    assert data[0]["valid"].tolist() == [True] * 4 + [False] * 2
    assert data[0]["fixed"].tolist() == [True] + [False] * 5
    assert data[1]["x_0"].tolist() == [2, A, A + 1, A + 2, A + 3, A + 4]
    assert bool(data[1]["valid"].all())
    assert len(data) == 2
    assert len(data.sha256) == 64


def test_a_prompt_is_given(tmp_path, encoder):
    source = written(tmp_path / "t.jsonl", [{"q": "ab", "a": "c"}, {"q": "a", "a": "bb"}])
    texts = Texts(source, prompt="q", completion="a", length=6)
    data = rows(texts, encoder)
    assert data[0]["x_0"].tolist() == [2, A, A + 1, A + 2, 3, 0]
    assert data[0]["fixed"].tolist() == [True] * 3 + [False] * 3
    assert data[1]["fixed"].tolist() == [True] * 2 + [False] * 4
    long = written(tmp_path / "l.jsonl", [{"q": "a", "a": "c"}, {"q": "aaaaa", "a": "c"}])
    assert_refused(
        lambda: rows(Texts(long, prompt="q", completion="a", length=6), encoder),
        r"prompt 1 of .* has 6 tokens and a row has 6, .* longer length or a shorter prompt",
    )


def test_packed_texts_have_no_padding(tmp_path, encoder):
    source = written(tmp_path / "t.jsonl", [{"text": "abc"}, {"text": "de"}, {"text": "fgh"}])
    data = rows(Texts(source, layout="packed", length=6), encoder)
    stream = [2, A, A + 1, A + 2, 3, 2, A + 3, A + 4, 3, 2, A + 5, A + 6]
    assert torch.stack([row["x_0"] for row in data]).flatten().tolist() == stream
    assert bool(data[0]["valid"].all())
    assert not bool(data[0]["fixed"].any())


def test_rows_without_a_text_are_skipped_and_counted(tmp_path, encoder, capsys):
    table = [
        {"q": "a", "a": "b"},
        {"q": None, "a": "b"},
        {"q": "a", "a": None},
        {"q": "c", "a": ""},
    ]
    source = written(tmp_path / "t.jsonl", table)
    data = rows(Texts(source, prompt="q", completion="a", length=6), encoder)
    assert [row["x_0"][1].item() for row in map(data.__getitem__, range(2))] == [A, A + 2]
    assert "t.jsonl: skipped 2 rows without a text" in capsys.readouterr().err
    assert len(rows(Texts(source, column="a", length=6), encoder)) == 3


def test_every_kind_of_source(tmp_path, encoder):
    table = {"text": ["ab", "cd"]}
    Dataset.from_dict(table).save_to_disk(tmp_path / "folder")
    Dataset.from_dict(table).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.txt").write_text("ab\ncd\n")
    (tmp_path / "t.csv").write_text("text\nab\ncd\n")
    first = rows(Texts(str(tmp_path / "folder"), length=6), encoder)
    for name in ("t.parquet", "t.txt", "t.csv"):
        assert rows(Texts(str(tmp_path / name), length=6), encoder).sha256 == first.sha256


def test_bad_sources_are_refused_in_one_line(tmp_path, encoder):
    source = written(tmp_path / "t.jsonl", [{"body": "ab"}])
    assert_refused(
        lambda: rows(Texts(source), encoder), "has no column 'text'; its columns are body"
    )
    assert_refused(lambda: rows(Texts(), encoder), "data is missing; give --data")
    packed = Texts(source, column="body", layout="packed", length=6)
    assert_refused(lambda: rows(packed, encoder), "fills no row of 6 tokens; use a smaller")
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.jsonl"):
        rows(Texts(str(tmp_path / "none.jsonl")), encoder)
    (tmp_path / "broken.jsonl").write_text("{")
    assert_refused(lambda: rows(Texts(str(tmp_path / "broken.jsonl")), encoder), "does not open")
    (tmp_path / "empty.jsonl").write_text("")
    assert_refused(lambda: rows(Texts(str(tmp_path / "empty.jsonl")), encoder), "is empty; give")
    nothing = written(tmp_path / "nothing.jsonl", [{"text": None, "id": 7}])
    assert_refused(lambda: rows(Texts(nothing), encoder), "has no rows with a text; give")
    numbers = Texts(nothing, column="id")
    assert_refused(
        lambda: rows(numbers, encoder), "has 7 in row 0 of column 'id', which is no text"
    )
    assert_refused(lambda: Texts(prompt="q"), "belong together; give both columns or none")
    assert_refused(lambda: Texts(prompt="q", completion="a", layout="packed"), "must be padded")
    assert_refused(lambda: Texts(length=1), "data.length must be at least 2; got 1")
    assert_refused(lambda: Encoder(letters(), 20, 16), "at most 16, the context of the model")
