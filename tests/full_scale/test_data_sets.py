"""CIFAR-10, ImageNet and OpenWebText: the real loading code on tiny files of the same formats."""

import io
import shutil
import tracemalloc
from functools import partial

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from full_scale.data import cifar10, imagenet, open_data, openwebtext
from tests.helpers.tiny_text import WORDS, documents, save_documents, save_tokenizer, tokens


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or fills the user's cache, or the network."""
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


class TestCifar10:
    def test_pixels_channel_by_channel(self, cifar_folder, tmp_path):
        data = cifar10.prepare(tmp_path / "out", "train", str(cifar_folder))
        assert (data.num_dims, data.num_values, len(data)) == (3072, 256, 5)
        pixels = _pictures(5)
        for i, label in enumerate([3, 1, 4, 1, 5]):
            assert int(data[i]["label"]) == label
            for channel, row, column in ((0, 0, 0), (1, 2, 31), (2, 31, 5)):
                index = channel * 1024 + row * 32 + column
                assert int(data[i]["x_0"][index]) == pixels[i, row, column, channel]

    def test_by_name(self, cifar_folder, tmp_path):
        cifar10.prepare(tmp_path / "out", "test", str(cifar_folder))
        data = open_data("cifar10", tmp_path / "out", "test", mirror=True)
        assert len(data) == 4
        picture, mirrored = (data[i]["x_0"].reshape(3, 32, 32) for i in (0, 2))
        torch.testing.assert_close(mirrored, picture.flip(-1))
        assert [int(data[i]["label"]) for i in range(4)] == [9, 2, 9, 2]
        assert len(open_data("cifar10", tmp_path / "out", "test")) == 2

    def test_training_sees_mirror_images_unless_told_otherwise(self, cifar_folder, tmp_path):
        cifar10.prepare(tmp_path, "train", str(cifar_folder))
        assert len(open_data("cifar10", tmp_path)) == 10
        assert len(open_data("cifar10", tmp_path, mirror=False)) == 5

    def test_missing_says_the_command(self, tmp_path):
        with pytest.raises(ValueError, match=r"train is missing; run: .*prepare cifar10 --out"):
            open_data("cifar10", tmp_path)

    def test_wrong_columns_and_pictures(self, tmp_path):
        datasets.Dataset.from_dict({"image": [1], "label": [0]}).save_to_disk(tmp_path / "a")
        with pytest.raises(ValueError, match="has the columns image, label and lacks img; give"):
            cifar10.prepare(tmp_path / "out", "train", str(tmp_path / "a"))
        _cifar(np.zeros((1, 16, 32, 3), np.uint8), [0]).save_to_disk(tmp_path / "b")
        with pytest.raises(ValueError, match="picture 0 has 32 x 16 pixels"):
            cifar10.prepare(tmp_path / "out", "train", str(tmp_path / "b"))

    def test_offline_says_what_to_put_where(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"cannot be opened .*give --source a local folder"
        ) as e:
            cifar10.prepare(tmp_path / "out", "train")
        assert "\n" not in str(e.value)
        assert not (tmp_path / "out").exists()

    def test_missing_split(self, tmp_path):
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

    def test_interrupted_after_every_batch(self, prepare, tmp_path, monkeypatch):
        whole = prepare(tmp_path / "whole", "train")
        rows = openwebtext._rows
        for stop in (1, 2, 1, 5):
            monkeypatch.setattr(openwebtext, "_rows", partial(_first, rows, stop))
            with pytest.raises(KeyboardInterrupt):
                prepare(tmp_path / "parts", "train")
            monkeypatch.setattr(openwebtext, "_rows", rows)
            if stop == 5:
                break
        parts = prepare(tmp_path / "parts", "train")
        np.testing.assert_array_equal(parts.x_0, whole.x_0)

    def test_memory_does_not_grow_with_the_data(self, tmp_path, monkeypatch):
        """Twenty times as many documents, less than twice the peak."""
        monkeypatch.setattr(openwebtext, "_BATCH", 50)
        save_tokenizer(tmp_path / "tokenizer")
        peaks = []
        for count in (200, 200, 4000):  # the first one imports
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

    def test_bad_arguments(self, prepare, tmp_path):
        with pytest.raises(ValueError, match=r"held_out must lie in 1\.\.29, .*got 30"):
            prepare(tmp_path / "out", "train", held_out=30)
        with pytest.raises(ValueError, match="num_dims must be at least 3"):
            prepare(tmp_path / "out", "train", num_dims=2)
        with pytest.raises(ValueError, match=r"nowhere cannot be opened .*give a local"):
            prepare(tmp_path / "out", "train", tokenizer=str(tmp_path / "nowhere"))
        prepare(tmp_path / "out", "train")
        with pytest.raises(ValueError, match=r"holds other data \(num_dims is 10, not 12\)"):
            prepare(tmp_path / "out", "train", num_dims=12)

    def test_missing_says_the_command(self, tmp_path):
        with pytest.raises(ValueError, match=r"run: .*prepare openwebtext --out"):
            open_data("openwebtext", tmp_path)


def _first(rows, count, *args):
    """The first batches of a source, and then an interruption."""
    for number, item in enumerate(rows(*args)):
        if number == count:
            raise KeyboardInterrupt
        yield item
    raise KeyboardInterrupt


class Brightness:
    """Stands in for the VQGAN: the code of a cell of 4 x 4 pixels is its largest red, 0..255."""

    def encode(self, images):
        cells = images[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).amax((-1, -2))
        return ((cells + 1) * 127.5).round().long()


class TestImageNet:
    @pytest.fixture
    def source(self, tmp_path):
        """Three classes; sizes and suffixes vary, one picture is grey."""
        rng = np.random.default_rng(0)
        for name, sizes in {"n03": [(8, 8), (8, 12)], "n01": [(16, 8)], "n02": [(9, 31)]}.items():
            (tmp_path / "source" / name).mkdir(parents=True)
            for i, (width, height) in enumerate(sizes):
                pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
                path = tmp_path / "source" / name / f"{name}_{i}.png"
                Image.fromarray(pixels).save(path)
        grey = Image.fromarray(np.full((8, 8), 100, np.uint8), "L")
        grey.save(tmp_path / "source" / "n02" / "n02_9.JPEG")
        (tmp_path / "source" / "n02" / "notes.txt").write_text("no picture")
        return tmp_path / "source"

    def _prepare(self, source, folder, **options):
        return imagenet.prepare(
            folder,
            "train",
            source,
            Brightness(),
            encoder_name="brightness",
            num_values=256,
            resolution=8,
            downsampling=4,
            **{"batch_size": 2} | options,
        )

    def test_codes_and_classes_in_order(self, source, tmp_path):
        data = self._prepare(source, tmp_path / "out")
        assert (len(data), data.num_dims, data.num_values) == (5, 4, 256)
        assert data.label.tolist() == [0, 1, 1, 2, 2]
        assert data[2]["x_0"].tolist() == [100] * 4
        # A picture of the right size is not touched.
        pixels = np.asarray(Image.open(source / "n03" / "n03_0.png"))[..., 0]
        largest = pixels.reshape(2, 4, 2, 4).max((1, 3)).reshape(-1)
        np.testing.assert_array_equal(data.x_0[3], largest)

    def test_other_folders_are_no_classes(self, source, tmp_path):
        """Hidden ones, whatever they hold, and those without pictures shift no label."""
        (source / ".ipynb_checkpoints").mkdir()
        shutil.copy(source / "n01" / "n01_0.png", source / ".ipynb_checkpoints")
        (source / "n01b").mkdir()
        (source / "n01b" / "notes.txt").write_text("no picture")
        data = self._prepare(source, tmp_path / "out")
        assert data.label.tolist() == [0, 1, 1, 2, 2]
        assert data.num_classes == 3

    def test_centre_is_cut_out(self, tmp_path):
        """Columns of grey 0, 1, 2, ...: 16 x 8 keeps columns 4 to 11, 8 x 16 rows 4 to 11."""
        ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None], (8, 16, 3))
        Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "wide.png")
        assert imagenet.picture(tmp_path / "wide.png", 8)[0, :, 0].tolist() == list(range(4, 12))
        tall = np.ascontiguousarray(ramp.transpose(1, 0, 2))
        Image.fromarray(tall).save(tmp_path / "tall.png")
        assert imagenet.picture(tmp_path / "tall.png", 8)[:, 0, 0].tolist() == list(range(4, 12))

    def test_shorter_side_is_scaled(self, tmp_path):
        Image.fromarray(np.full((100, 37, 3), 77, np.uint8)).save(tmp_path / "a.png")
        pixels = imagenet.picture(tmp_path / "a.png", 16)
        assert pixels.shape == (16, 16, 3)
        assert (pixels == 77).all()

    def test_mirror_images_follow_their_pictures(self, source, tmp_path):
        plain = self._prepare(source, tmp_path / "plain")
        both = self._prepare(source, tmp_path / "both", mirror=True)
        assert both.label.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
        np.testing.assert_array_equal(both.x_0[::2], plain.x_0)
        np.testing.assert_array_equal(both.x_0[1::2], plain.x_0[:, [1, 0, 3, 2]])

    def test_goes_on_where_it_was_interrupted(self, source, tmp_path, monkeypatch):
        whole = self._prepare(source, tmp_path / "whole")
        rows = imagenet._rows
        monkeypatch.setattr(imagenet, "_rows", partial(_first, rows, 1))
        with pytest.raises(KeyboardInterrupt):
            self._prepare(source, tmp_path / "parts")
        monkeypatch.setattr(imagenet, "_rows", partial(_only_from, rows, 2))
        parts = self._prepare(source, tmp_path / "parts")
        np.testing.assert_array_equal(parts.x_0, whole.x_0)
        np.testing.assert_array_equal(parts.label, whole.label)

    def test_another_set_of_pictures_is_refused(self, source, tmp_path):
        self._prepare(source, tmp_path / "out")
        (source / "n01" / "n01_0.png").rename(source / "n01" / "n01_7.png")
        with pytest.raises(ValueError, match="holds other data"):
            self._prepare(source, tmp_path / "out")

    def test_bad_sources(self, source, tmp_path):
        with pytest.raises(ValueError, match=r"one folder of .JPEG or .png files per class"):
            self._prepare(tmp_path / "nowhere", tmp_path / "out")
        (source / "n01" / "n01_1.JPEG").write_bytes(b"no picture")
        with pytest.raises(ValueError, match=r"n01_1\.JPEG is no picture"):
            self._prepare(source, tmp_path / "out")

    def test_missing_says_the_command(self, tmp_path):
        with pytest.raises(ValueError, match=r"run: .*prepare imagenet --out"):
            open_data("imagenet", tmp_path)


def _only_from(rows, cursor, *args):
    """The source, which must be asked to go on at a given place."""
    assert args[-1] == cursor
    yield from rows(*args)
