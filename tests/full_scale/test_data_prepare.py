"""The command `python -m full_scale.prepare`: after kills, offline and with bad options."""

import json
import time

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from full_scale import prepare
from full_scale.data import open_data
from full_scale.data.packed import HEADER, PROGRESS, PackedTokens
from full_scale.models.load import load_model
from tests.helpers.forks import FORKS, as_program
from tests.helpers.tiny_models import UNET, VQGAN, save_model
from tests.helpers.tiny_text import save_documents, save_tokenizer


@pytest.fixture
def start(tmp_path):
    """A function that starts the command offline. Its standard error goes to errors.txt."""
    processes = []

    def start_program(*options):
        environment = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
        arguments = (prepare.main, [*map(str, options)], tmp_path / "errors.txt", environment)
        process = FORKS.Process(target=as_program, args=arguments, daemon=True)
        processes.append(process)
        process.start()
        return process

    yield start_program
    for process in processes:
        process.kill()
        process.join()


def test_killed_preparation_can_be_continued(start, tmp_path, capsys, monkeypatch):
    """The command gets SIGKILL twice after it has recorded rows. The final data is the same."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    save_documents(tmp_path / "source", 40_000)
    save_tokenizer(tmp_path / "tokenizer")
    options = ["openwebtext", "--source", tmp_path / "source", "--split", "train"]
    options += ["--tokenizer", tmp_path / "tokenizer", "--length", 16, "--held-out", 500]
    killed = tmp_path / "killed" / "train"
    rows = 0
    for _ in range(2):
        process = start(*options, "--out", tmp_path / "killed")
        deadline = time.monotonic() + 240
        while _rows(killed) <= rows:
            assert process.is_alive(), (tmp_path / "errors.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
        process.join()
        rows = _rows(killed)
        assert not (killed / HEADER).exists()
        with pytest.raises(ValueError, match=r"is not complete; run: .*prepare openwebtext"):
            open_data("openwebtext", tmp_path / "killed")
    for out in ("killed", "whole"):
        prepare.main([*map(str, options), "--out", str(tmp_path / out), "--verify"])
        assert "verified" in capsys.readouterr().out
    data, whole = PackedTokens(killed), PackedTokens(tmp_path / "whole" / "train")
    assert data.header["sha256"] == whole.header["sha256"]
    assert data.header["num_rows"] == whole.header["num_rows"] > rows > 0


def _rows(folder):
    """Number of rows recorded so far; -1 if no preparation is in progress."""
    try:
        return json.loads((folder / PROGRESS).read_text())["num_rows"]
    except FileNotFoundError:
        return -1


def test_offline_failure_is_one_line_with_the_remedy(start, tmp_path):
    process = start("cifar10", "--out", tmp_path / "out")
    process.join(timeout=300)
    assert process.exitcode == 2
    errors = (tmp_path / "errors.txt").read_text()
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert lines == errors.splitlines()[-1:]
    assert "uoft-cs/cifar10 cannot be opened" in lines[0]
    assert "give --source a local folder" in lines[0]
    assert not (tmp_path / "out").exists()


class TestImageNet:
    @pytest.fixture
    def source(self, tmp_path):
        rng = np.random.default_rng(0)
        for name in ("n02", "n01"):
            (tmp_path / "source" / name).mkdir(parents=True)
            for i in range(3):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "source" / name / f"{i}.png")
        return tmp_path / "source"

    def test_tokens_are_the_codes_of_the_vqgan(self, source, tmp_path, capsys):
        vqgan = save_model(tmp_path / "vqgan.safetensors", VQGAN)
        options = ["--source", str(source), "--vqgan", str(vqgan), "--out", str(tmp_path / "out")]
        (tmp_path / "map.txt").write_text("n03\nn02 a cat\nn01 a dog\n")
        options += ["--class-map", str(tmp_path / "map.txt")]
        prepare.main(["imagenet", *options, "--batch", "2", "--no-mirror"])
        data = open_data("imagenet", tmp_path / "out")
        assert (len(data), data.num_dims, data.num_values) == (6, 4, 16)
        assert [int(data[i]["label"]) for i in range(6)] == [2, 2, 2, 1, 1, 1]
        model = load_model(vqgan)
        for i, path in enumerate(sorted(source.rglob("*.png"))):
            pixels = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)
            codes = model.backbone.encode(pixels[None].float() / 127.5 - 1)
            assert data[i]["x_0"].tolist() == codes.flatten().tolist()
        out = capsys.readouterr().out
        assert "complete" in out
        assert "left out: random crops and mirror images" in out
        header = PackedTokens(tmp_path / "out" / "train").header
        assert model.sha256 in header["source"]["encoder"]

    @pytest.mark.parametrize(("split", "rows"), [("train", 12), ("test", 6)])
    def test_training_pictures_are_mirrored_by_default(self, source, tmp_path, capsys, split, rows):
        """As the published training flips them. What it also does is said in one line."""
        vqgan = save_model(tmp_path / "vqgan.safetensors", VQGAN)
        options = ["--source", str(source), "--vqgan", str(vqgan), "--out", str(tmp_path / "out")]
        prepare.main(["imagenet", *options, "--split", split])
        assert len(open_data("imagenet", tmp_path / "out", split)) == rows
        said = "its mirror image; left out: random crops\n" in capsys.readouterr().out
        assert said == (split == "train")

    @pytest.mark.parametrize("batch", ["0", "-1"])
    def test_a_batch_size_below_1_is_refused(self, source, batch, capsys):
        with pytest.raises(SystemExit):
            prepare.main(["imagenet", "--source", str(source), "--batch", batch])
        assert "--batch: must be a whole number of at least 1; got" in capsys.readouterr().err

    def test_a_source_and_a_vqgan_are_required(self, source, tmp_path):
        with pytest.raises(ValueError, match=r"imagenet needs --source .*convert vqgan"):
            prepare.main(["imagenet", "--source", str(source)])
        unet = save_model(tmp_path / "unet.safetensors", UNET)
        with pytest.raises(ValueError, match="is a U-Net; give a converted VQGAN"):
            prepare.main(["imagenet", "--source", str(source), "--vqgan", str(unet)])
