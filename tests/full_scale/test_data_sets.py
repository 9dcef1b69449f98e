"""CIFAR-10 and OpenWebText data, prepared from tiny files of the real formats."""

import io
import tracemalloc
from functools import partial

import datasets
import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from full_scale.data import cifar10, open_data, openwebtext
from tests.helpers.interrupted import first
from tests.helpers.tiny_text import WORDS, documents, save_documents, save_tokenizer, tokens


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Tests use neither the cache of the user nor the network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def _pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def _cifar(pixels, labels):
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)}
    )
    rows = {"img": [_png(p) for p in pixels], "label": labels}
    return datasets.Dataset.from_dict(rows, features)


@pytest.fixture(params=["parquet", "save_to_disk"])
def cifar_folder(request, tmp_path):
    folder, pixels = tmp_path / "source", _pictures(5)
    splits = {"train": _cifar(pixels, [3, 1, 4, 1, 5]), "test": _cifar(pixels[:2], [9, 2])}
    if request.param == "save_to_disk":
        datasets.DatasetDict(splits).save_to_disk(folder)
    else:
        (folder / "plain_text").mkdir(parents=True)
        for split, table in splits.items():
            table.to_parquet(folder / "plain_text" / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "openwebtext"])
def test_missing_data_is_reported_with_the_command(name, tmp_path):
    with pytest.raises(ValueError, match=rf"train is missing; run: .*prepare {name} --out"):
        open_data(name, tmp_path)


class TestCifar10:
    def test_pixels_come_channel_by_channel(self, cifar_folder, tmp_path):
        data = cifar10.prepare(tmp_path / "out", "train", str(cifar_folder))
        assert (data.num_dims, data.num_values, len(data)) == (3072, 256, 5)
        pixels = _pictures(5)
        for i, label in enumerate([3, 1, 4, 1, 5]):
            assert int(data[i]["label"]) == label
            for channel, row, column in ((0, 0, 0), (1, 2, 31), (2, 31, 5)):
                index = channel * 1024 + row * 32 + column
                assert int(data[i]["x_0"][index]) == pixels[i, row, column, channel]

    def test_pictures_may_lack_the_metadata_of_the_hub(self, tmp_path):
        """A parquet file of another program, whose pictures are {"bytes", "path"}."""
        pixels, folder = _pictures(3), tmp_path / "source"
        folder.mkdir()
        rows = [{"img": _png(p), "label": i} for i, p in enumerate(pixels)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "train-00000.parquet")
        data = cifar10.prepare(tmp_path / "out", "train", str(folder))
        np.testing.assert_array_equal(data.x_0, pixels.transpose(0, 3, 1, 2).reshape(3, -1))

    def test_a_column_without_pictures_is_refused(self, tmp_path):
        datasets.Dataset.from_dict({"img": [1, 2], "label": [0, 1]}).save_to_disk(tmp_path / "a")
        with pytest.raises(ValueError, match=r"column img holds no pictures .*give --source"):
            cifar10.prepare(tmp_path / "out", "train", str(tmp_path / "a"))

    def test_mirror_images_are_added_on_request(self, cifar_folder, tmp_path):
        cifar10.prepare(tmp_path / "out", "test", str(cifar_folder))
        data = open_data("cifar10", tmp_path / "out", "test", mirror=True)
        assert len(data) == 4
        picture, mirrored = (data[i]["x_0"].reshape(3, 32, 32) for i in (0, 2))
        torch.testing.assert_close(mirrored, picture.flip(-1))
        assert [int(data[i]["label"]) for i in range(4)] == [9, 2, 9, 2]
        assert len(open_data("cifar10", tmp_path / "out", "test")) == 2

    def test_training_data_has_mirror_images_by_default(self, cifar_folder, tmp_path):
        cifar10.prepare(tmp_path, "train", str(cifar_folder))
        assert len(open_data("cifar10", tmp_path)) == 10
        assert len(open_data("cifar10", tmp_path, mirror=False)) == 5

    def test_wrong_columns_and_picture_sizes_are_refused(self, tmp_path):
        datasets.Dataset.from_dict({"image": [1], "label": [0]}).save_to_disk(tmp_path / "a")
        with pytest.raises(ValueError, match="has the columns image, label and lacks img; give"):
            cifar10.prepare(tmp_path / "out", "train", str(tmp_path / "a"))
        _cifar(np.zeros((1, 16, 32, 3), np.uint8), [0]).save_to_disk(tmp_path / "b")
        with pytest.raises(ValueError, match="picture 0 has 32 x 16 pixels"):
            cifar10.prepare(tmp_path / "out", "train", str(tmp_path / "b"))

    def test_a_missing_split_is_reported(self, tmp_path):
        datasets.DatasetDict({"train": _cifar(_pictures(1), [0])}).save_to_disk(tmp_path / "a")
        with pytest.raises(ValueError, match=r"cannot be opened .*the split test"):
            cifar10.prepare(tmp_path / "out", "test", str(tmp_path / "a"))


class TestOpenWebText:
    @pytest.fixture
    def prepare(self, tmp_path, monkeypatch):
        monkeypatch.setattr(openwebtext, "_BATCH", 4)
        save_documents(tmp_path / "source", 30)
        save_tokenizer(tmp_path / "tokenizer")
        return partial(
            openwebtext.prepare,
            source=str(tmp_path / "source"),
            tokenizer=str(tmp_path / "tokenizer"),
            num_dims=10,
            held_out=9,
        )

    def test_sequences_are_pieces_of_the_joined_documents(self, prepare, tmp_path):
        for split, part in (("train", slice(0, 21)), ("test", slice(21, 30))):
            data = prepare(tmp_path / "out", split)
            joined = [token for text in documents(30)[part] for token in tokens(text)]
            end = len(WORDS) + 1
            assert (data.num_dims, data.num_values) == (10, end + 1)
            assert len(data) == len(joined) // 8
            for i in range(len(data)):
                expected = [end, *joined[8 * i : 8 * i + 8], end]
                assert data[i]["x_0"].tolist() == expected

    def test_documents_without_a_text_are_skipped_and_counted(self, prepare, tmp_path, capsys):
        """The data are those without these documents, of which the held-out ones are the last."""
        texts = documents(30)
        for name, at in (("gaps", (0, 5, 13)), ("none", ())):
            rows = [[text, None] if i in at else [text] for i, text in enumerate(texts)]
            table = {"text": [text for row in rows for text in row]}
            datasets.Dataset.from_dict(table).save_to_disk(tmp_path / name)
        gaps, none = (
            prepare(tmp_path / f"out-{name}", "train", source=str(tmp_path / name))
            for name in ("gaps", "none")
        )
        np.testing.assert_array_equal(gaps.x_0, none.x_0)
        assert "skipped 3 documents without a text" in capsys.readouterr().err

    def test_interrupted_preparation_gives_the_same_sequences(self, prepare, tmp_path, monkeypatch):
        whole = prepare(tmp_path / "whole", "train")
        rows = openwebtext._rows
        for stop in (1, 2, 1, 5):
            monkeypatch.setattr(openwebtext, "_rows", partial(first, rows, stop))
            with pytest.raises(KeyboardInterrupt):
                prepare(tmp_path / "parts", "train")
            monkeypatch.setattr(openwebtext, "_rows", rows)
            if stop == 5:
                break
        parts = prepare(tmp_path / "parts", "train")
        np.testing.assert_array_equal(parts.x_0, whole.x_0)

    def test_memory_does_not_grow_with_the_data(self, tmp_path, monkeypatch):
        """Twenty times as many documents take less than twice the peak memory."""
        monkeypatch.setattr(openwebtext, "_BATCH", 50)
        save_tokenizer(tmp_path / "tokenizer")
        peaks = []
        for count in (200, 200, 4000):  # the first call imports libraries and is not compared
            folder = tmp_path / str(len(peaks))
            save_documents(folder / "source", count)
            tracemalloc.start()
            openwebtext.prepare(
                folder / "out",
                "train",
                str(folder / "source"),
                str(tmp_path / "tokenizer"),
                num_dims=10,
                held_out=9,
            )
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[2] < 2 * peaks[1]

    def test_bad_arguments_are_refused(self, prepare, tmp_path):
        with pytest.raises(ValueError, match=r"held_out must lie in 1\.\.29, .*got 30"):
            prepare(tmp_path / "out", "train", held_out=30)
        with pytest.raises(ValueError, match="num_dims must be at least 3"):
            prepare(tmp_path / "out", "train", num_dims=2)
        with pytest.raises(ValueError, match=r"nowhere cannot be opened .*give a local"):
            prepare(tmp_path / "out", "train", tokenizer=str(tmp_path / "nowhere"))
        prepare(tmp_path / "out", "train")
        with pytest.raises(ValueError, match=r"holds other data \(num_dims is 10, not 12\)"):
            prepare(tmp_path / "out", "train", num_dims=12)
