"""ImageNet data, prepared from a few small pictures by the real code."""

import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

from full_scale.data import imagenet
from tests.helpers.interrupted import first, only_from


class Brightness:
    """Replaces the VQGAN. The code of 4 x 4 pixels is their largest red value, 0..255."""

    def encode(self, images):
        cells = images[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).amax((-1, -2))
        return ((cells + 1) * 127.5).round().long()


class TestImageNet:
    @pytest.fixture
    def source(self, tmp_path):
        """A folder with three classes. Sizes and suffixes of the pictures vary, and one is grey."""
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

    def test_codes_and_labels_follow_the_order_of_the_folders(self, source, tmp_path):
        data = self._prepare(source, tmp_path / "out")
        assert (len(data), data.num_dims, data.num_values) == (5, 4, 256)
        assert data.label.tolist() == [0, 1, 1, 2, 2]
        assert data[2]["x_0"].tolist() == [100] * 4
        # This picture has the right size already, so its pixels are used unchanged.
        pixels = np.asarray(Image.open(source / "n03" / "n03_0.png"))[..., 0]
        largest = pixels.reshape(2, 4, 2, 4).max((1, 3)).reshape(-1)
        np.testing.assert_array_equal(data.x_0[3], largest)

    def test_hidden_folders_and_folders_without_pictures_are_no_classes(self, source, tmp_path):
        """The labels of the other folders do not change."""
        (source / ".ipynb_checkpoints").mkdir()
        shutil.copy(source / "n01" / "n01_0.png", source / ".ipynb_checkpoints")
        (source / "n01b").mkdir()
        (source / "n01b" / "notes.txt").write_text("no picture")
        data = self._prepare(source, tmp_path / "out")
        assert data.label.tolist() == [0, 1, 1, 2, 2]
        assert data.num_classes == 3

    def test_the_centre_is_cut_out(self, tmp_path):
        """Of 16 columns, or 16 rows, of grey levels 0, 1, 2, ... numbers 4 to 11 stay."""
        ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None], (8, 16, 3))
        Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "wide.png")
        assert imagenet.picture(tmp_path / "wide.png", 8)[0, :, 0].tolist() == list(range(4, 12))
        tall = np.ascontiguousarray(ramp.transpose(1, 0, 2))
        Image.fromarray(tall).save(tmp_path / "tall.png")
        assert imagenet.picture(tmp_path / "tall.png", 8)[:, 0, 0].tolist() == list(range(4, 12))

    def test_the_shorter_side_is_scaled_to_the_resolution(self, tmp_path):
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

    def test_a_class_map_gives_a_part_of_the_classes_their_numbers(self, source, tmp_path):
        """The header keeps the map. Data of another map are refused by what differs alone."""
        lines = "n07 a fish\nn03 a bird\nn01 a cat\n\nn02 a dog\n"
        (tmp_path / "map.txt").write_text(lines)
        data = self._prepare(source, tmp_path / "out", class_map=tmp_path / "map.txt")
        assert (data.label.tolist(), data.num_classes) == ([2, 3, 3, 1, 1], 4)
        assert data.header["source"]["classes"] == {"n01": 2, "n02": 3, "n03": 1}
        with pytest.raises(ValueError, match=r"holds other data \(num_classes is 4, not 3; class"):
            self._prepare(source, tmp_path / "out")

    @pytest.mark.parametrize(
        ("lines", "message"),
        [("n01\nn02\n", "has no line for n03"), ("n01\nn02\nn03\nn01\n", "has n01 twice")],
    )
    def test_an_incomplete_class_map_is_refused(self, source, tmp_path, lines, message):
        (tmp_path / "map.txt").write_text(lines)
        with pytest.raises(ValueError, match=message):
            self._prepare(source, tmp_path / "out", class_map=tmp_path / "map.txt")

    def test_interrupted_preparation_continues(self, source, tmp_path, monkeypatch):
        whole = self._prepare(source, tmp_path / "whole")
        rows = imagenet._rows
        monkeypatch.setattr(imagenet, "_rows", partial(first, rows, 1))
        with pytest.raises(KeyboardInterrupt):
            self._prepare(source, tmp_path / "parts")
        monkeypatch.setattr(imagenet, "_rows", partial(only_from, rows, 2))
        parts = self._prepare(source, tmp_path / "parts")
        np.testing.assert_array_equal(parts.x_0, whole.x_0)
        np.testing.assert_array_equal(parts.label, whole.label)

    def test_another_set_of_pictures_is_refused(self, source, tmp_path):
        self._prepare(source, tmp_path / "out")
        (source / "n01" / "n01_0.png").rename(source / "n01" / "n01_7.png")
        with pytest.raises(ValueError, match="holds other data"):
            self._prepare(source, tmp_path / "out")

    def test_bad_sources_are_refused(self, source, tmp_path):
        with pytest.raises(ValueError, match=r"one folder of .JPEG or .png files per class"):
            self._prepare(tmp_path / "nowhere", tmp_path / "out")
        (source / "n01" / "n01_1.JPEG").write_bytes(b"no picture")
        with pytest.raises(ValueError, match=r"n01_1\.JPEG is not a picture"):
            self._prepare(source, tmp_path / "out")
