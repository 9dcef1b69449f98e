"""Packed tokens return what was written, also after interruptions. Damage is reported."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from full_scale.data import TokenData
from full_scale.data.packed import (
    HEADER,
    PROGRESS,
    X_0,
    Description,
    PackedTokens,
    Rows,
    WithMirrorImages,
    pack,
)


def _data(num_rows, num_dims=3, num_values=300, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, num_values, (num_rows, num_dims)), rng.integers(0, 5, num_rows)


def _description(num_dims=3, num_values=300, num_classes=5, **source):
    return Description(num_dims, num_values, num_classes, {"data": "test", **source})


def _source(x_0, label, batch, stop_after=None):
    """A source of rows that raises KeyboardInterrupt after `stop_after` batches."""

    def rows(cursor):
        for number, start in enumerate(range(cursor or 0, len(x_0), batch)):
            if number == stop_after:
                raise KeyboardInterrupt
            stop = min(start + batch, len(x_0))
            yield Rows(x_0[start:stop], None if label is None else label[start:stop], stop)

    return rows


def _check(data, x_0, label):
    assert len(data) == len(x_0)
    np.testing.assert_array_equal(data.x_0, x_0)
    for i in range(len(x_0)):
        item = data[i]
        assert item["x_0"].dtype == torch.int64
        assert item["x_0"].tolist() == x_0[i].tolist()
        assert int(item["label"]) == label[i]


@given(st.integers(1, 20), st.integers(1, 7), st.lists(st.integers(0, 3), max_size=4))
def test_interrupted_writing_gives_the_same_data(tmp_path_factory, rows, batch, stops):
    folder = tmp_path_factory.mktemp("packed")
    x_0, label = _data(rows)
    for stop in stops:
        try:
            pack(folder, _description(), _source(x_0, label, batch, stop))
        except KeyboardInterrupt:
            # As if a killed process had written a batch without recording it.
            with (folder / X_0).open("ab") as file:
                file.write(b"torn")
            with pytest.raises(ValueError, match="is not complete"):
                PackedTokens(folder)
    data = pack(folder, _description(), _source(x_0, label, batch))
    _check(data, x_0, label)
    data.verify()
    assert not (folder / PROGRESS).exists()
    assert isinstance(data, TokenData)


@pytest.mark.parametrize(("num_values", "size"), [(256, 1), (257, 2), (65536, 2), (65537, 4)])
def test_values_take_as_few_bytes_as_possible(tmp_path, num_values, size):
    x_0 = np.array([[0, num_values - 1]])
    description = Description(2, num_values, None, {})
    data = pack(tmp_path, description, _source(x_0, None, 1))
    assert (tmp_path / X_0).stat().st_size == 2 * size
    assert data[0]["x_0"].tolist() == [0, num_values - 1]
    assert "label" not in data[0]


def test_complete_data_is_not_written_again(tmp_path):
    x_0, label = _data(4)
    pack(tmp_path, _description(), _source(x_0, label, 2))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    pack(tmp_path, _description(), _source(None, None, 2))  # reading this source would fail
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_another_source_is_refused_while_incomplete_and_when_complete(tmp_path):
    x_0, label = _data(4)
    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path, _description(split="train"), _source(x_0, label, 2, 1))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"holds other data \(split is train, not test\)"):
            pack(tmp_path, _description(split="test"), _source(x_0, label, 2))
        pack(tmp_path, _description(split="train"), _source(x_0, label, 2))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (Rows(np.array([[0, 1, 300]]), np.array([0]), 1), r"x_0 must lie in 0\.\.299.*0 to 300"),
        (Rows(np.array([[0, -1, 0]]), np.array([0]), 1), r"x_0 must lie in 0\.\.299.*-1 to 0"),
        (Rows(np.array([[0, 1, 2]]), np.array([5]), 1), r"label must lie in 0\.\.4"),
        (Rows(np.array([[0, 1, 2]]), None, 1), r"label must have shape \(1,\)"),
        (Rows(np.array([[0, 1]]), np.array([0]), 1), r"x_0 must have shape \(1, 3\)"),
    ],
)
def test_bad_rows_are_refused_and_not_kept(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        pack(tmp_path, _description(), lambda cursor: iter([rows]))
    x_0, label = _data(2)
    _check(pack(tmp_path, _description(), _source(x_0, label, 1)), x_0, label)


def test_a_source_without_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="source gave no rows"):
        pack(tmp_path, _description(), lambda cursor: iter(()))


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path):
        pack(tmp_path, _description(), _source(*_data(4), 2))
        return tmp_path

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"none is missing; put it there$"):
            PackedTokens(tmp_path / "none", "put it there")

    def test_a_file_that_is_too_short(self, folder):
        (folder / X_0).write_bytes((folder / X_0).read_bytes()[:-1])
        with pytest.raises(ValueError, match=r"x_0\.bin has 23 bytes instead of 24; remove"):
            PackedTokens(folder)

    def test_a_changed_byte(self, folder):
        content = bytearray((folder / X_0).read_bytes())
        content[5] ^= 1
        (folder / X_0).write_bytes(content)
        with pytest.raises(ValueError, match=r"x_0\.bin has SHA-256 .* instead of"):
            PackedTokens(folder).verify()

    def test_a_header_that_is_not_json(self, folder):
        (folder / HEADER).write_text("{")
        with pytest.raises(ValueError, match=r"header\.json is not JSON .*; remove"):
            PackedTokens(folder)

    def test_recorded_rows_that_are_lost(self, tmp_path):
        x_0, label = _data(4)
        with pytest.raises(KeyboardInterrupt):
            pack(tmp_path, _description(), _source(x_0, label, 2, 1))
        (tmp_path / X_0).write_bytes(b"")
        with pytest.raises(ValueError, match=r"x_0\.bin has 0 bytes, fewer than the 12"):
            pack(tmp_path, _description(), _source(x_0, label, 2))


def test_pickled_data_holds_the_path_and_not_the_values(tmp_path):
    data = pack(tmp_path, _description(), _source(*_data(1000), 500))
    sent = pickle.dumps(data)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent).x_0, data.x_0)


def test_mirror_images_follow_the_pictures(tmp_path):
    x_0 = np.arange(2 * 12).reshape(2, 12)
    data = pack(tmp_path, Description(12, 24, None, {}), _source(x_0, None, 2))
    both = WithMirrorImages(data, (2, 3, 2))
    assert len(both) == 4
    for i in range(2):
        assert both[i]["x_0"].tolist() == x_0[i].tolist()
        flipped = [x_0[i][c * 6 + h * 2 + w] for c in (0, 1) for h in (0, 1, 2) for w in (1, 0)]
        assert both[2 + i]["x_0"].tolist() == flipped
    with pytest.raises(IndexError, match="index 4 is out of range for 4 items"):
        both[4]
    assert isinstance(both, TokenData)
    assert both.sha256 == data.sha256


def test_the_hash_depends_on_values_and_labels(tmp_path):
    x_0, label = _data(4)
    contents = [(x_0, label), (x_0, label), (x_0[::-1], label), (x_0, (label + 1) % 5)]
    hashes = [
        pack(tmp_path / str(i), _description(), _source(*content, 2)).sha256
        for i, content in enumerate(contents)
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_the_header_describes_the_data(tmp_path):
    pack(tmp_path, _description(), _source(*_data(4), 2), {"command": "python"})
    header = json.loads((tmp_path / HEADER).read_text())
    assert header["num_rows"] == 4
    assert header["source"] == {"data": "test"}
    assert header["manifest"] == {"command": "python"}
