"""Samples do not depend on the batch; each option has its effect; what is shown of them."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from di4c.rng import SampleGenerators
from full_scale import load_model
from full_scale.evaluation.decoding import pictures
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.presets import PRESETS, Preset
from reporting import ROOT
from tests.helpers.sampled import draw, save_models
from tests.helpers.tiny_models import DENOISERS, MASKGIT, PROCESSES
from tests.helpers.tiny_text import END, WORDS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("model", ["unet", "maskgit", "dit"])
@pytest.mark.parametrize("role", ["", "-student"])
def test_same_samples_at_any_batch_size(files, tmp_path, model, role):
    options = ["--steps", 3, "--num-samples", 5, "--seed", 5]
    drawn = [
        draw(files, tmp_path / str(batch), model + role, *options, "--batch", batch)
        for batch in (1, 2, 5)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert len({tuple(row) for row in drawn[0]}) > 2
    other = draw(files, tmp_path / "other", model + role, *options[:-1], 6)
    assert (other != drawn[0]).any()


def test_more_samples_begin_with_the_same_ones(files, tmp_path):
    few = draw(files, tmp_path / "few", "dit", "--steps", 2, "--num-samples", 4)
    many = draw(files, tmp_path / "many", "dit", "--steps", 2, "--num-samples", 9)
    np.testing.assert_array_equal(many[:4], few)


@pytest.mark.parametrize("model", ["unet", "maskgit", "dit"])
def test_hybrid_lies_between_student_and_teacher(files, tmp_path, model):
    """The samples are the teacher's if it makes all calls, and differ if it makes fewer."""
    options = ["--steps", 4, "--num-samples", 6, "--sampler", "ancestral"]
    student = draw(files, tmp_path / "student", f"{model}-student", *options)
    teacher = draw(files, tmp_path / "teacher", model, *options)
    # A DiT makes one more call than there are steps.
    calls = len(DENOISERS[model].time_grid(4, 1.0)) - 1
    teacher_file = ["--teacher", files / f"{model}.safetensors", "--teacher-steps"]
    hybrids = [
        draw(files, tmp_path / str(n), f"{model}-student", *options, *teacher_file, n)
        for n in (2, calls)
    ]
    np.testing.assert_array_equal(hybrids[1], teacher)
    assert (hybrids[0] != teacher).any()
    assert (hybrids[0] != student).any()
    assert SampleFolder(tmp_path / "2").run["settings"]["role"] == "hybrid"


def test_command_and_library_draw_alike(files, tmp_path):
    """`Loaded.sample` with the streams of samples 0..3."""
    drawn = draw(
        files, tmp_path / "a", "unet-student", "--steps", 3, "--num-samples", 4, "--seed", 2
    )
    model = load_model(files / "unet-student.safetensors")
    expected = model.sample(4, 3, generator=SampleGenerators(2, range(4)))
    np.testing.assert_array_equal(drawn, expected.numpy())


def test_a_latent_for_each_call_or_one_for_all(files, tmp_path):
    """The samples of both differ if there is more than one call."""
    for steps in (1, 3):
        drawn = [
            draw(
                files,
                tmp_path / f"{redraw}{steps}",
                "unet-student",
                *("--steps", steps, "--num-samples", 20, "--redraw", redraw),
            )
            for redraw in ("per_step", "fixed")
        ]
        assert (drawn[0] == drawn[1]).all() == (steps == 1)


class TestMaskGIT:
    def test_classes_in_turn(self, files, tmp_path):
        """Sample i has class i mod 3, and is the same as when this class is asked for."""
        options = ["--steps", 2, "--num-samples", 200]
        every = draw(files, tmp_path / "all", "maskgit", *options)
        for label in range(3):
            one = draw(files, tmp_path / str(label), "maskgit", *options, "--label", label)
            np.testing.assert_array_equal(every[label::3], one[label::3])
            assert (every != one).any()

    def test_guidance_changes_samples(self, files, tmp_path):
        options = ["--steps", 4, "--num-samples", 40]
        plain = draw(files, tmp_path / "plain", "maskgit", *options)
        guided = draw(files, tmp_path / "guided", "maskgit", *options, "--guidance", 9)
        assert (plain != guided).any()

    def test_the_published_guidance_is_the_default(self, files, tmp_path, monkeypatch):
        """The tiny model takes the place of ImageNet's, whose published evaluation has weight 6."""
        assert PRESETS["maskgit-imagenet"].guidance == 6
        page = (ROOT / "docs" / "full_scale.md").read_text("utf-8")
        assert set(re.findall(r"guidance (\d)", page)) == {"6"}
        published = Preset("tiny", MASKGIT, PROCESSES[MASKGIT], guidance=6.0)
        monkeypatch.setitem(PRESETS, "tiny", published)
        options = ["--steps", 4, "--num-samples", 40]
        drawn = {
            given: draw(files, tmp_path / str(given), "maskgit", *options, *given)
            for given in ((), ("--guidance", 6), ("--guidance", 0))
        }
        np.testing.assert_array_equal(drawn[()], drawn["--guidance", 6])
        assert (drawn[()] != drawn["--guidance", 0]).any()
        assert SampleFolder(tmp_path / "()").run["settings"]["plan"]["guidance"] == 6
        ancestral = draw(files, tmp_path / "other", "maskgit", *options, "--sampler", "ancestral")
        assert len(ancestral) == 40  # a sampler without guidance is not refused

    def test_ancestral_leaves_no_mask(self, files, tmp_path):
        options = ["--steps", 3, "--num-samples", 8, "--sampler", "ancestral"]
        drawn = draw(files, tmp_path / "a", "maskgit", *options)
        assert drawn.max() < MASKGIT.codebook_size

    def test_codes_become_pictures(self, files, tmp_path):
        vqgan = ["--vqgan", files / "vqgan.safetensors"]
        drawn = draw(files, tmp_path / "a", "maskgit", "--steps", 2, "--num-samples", 4, *vqgan)
        sheet = np.asarray(Image.open(tmp_path / "a" / "first_samples.png"))
        assert sheet.shape == (18, 18, 3)
        network = load_model(files / "vqgan.safetensors").backbone
        image = network.decode(torch.from_numpy(drawn[3:].astype(int)).reshape(1, 2, 2))[0]
        expected = ((image.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
        np.testing.assert_array_equal(sheet[10:, 10:], expected.numpy())


class TestShown:
    def test_pixels_as_a_sheet(self, files, tmp_path):
        drawn = draw(files, tmp_path / "a", "unet", "--steps", 2, "--num-samples", 5, "--show", 3)
        sheet = np.asarray(Image.open(tmp_path / "a" / "first_samples.png"))
        assert sheet.shape == (10, 14, 3)
        for i, (top, left) in enumerate(((0, 0), (0, 8), (6, 0))):
            levels = np.round(drawn[i].reshape(3, 4, 6).astype(float) * 255 / 8)
            picture = sheet[top : top + 4, left : left + 6]
            np.testing.assert_array_equal(picture, np.moveaxis(levels, 0, -1))
        assert (sheet[6:, 8:] == 255).all()

    def test_channels_stay_channels(self):
        content = {"kind": "pixels", "shape": [3, 1, 2], "levels": 256}
        image = pictures(np.array([[1, 2, 3, 4, 5, 255]]), content)
        assert image[0, :, 0, :].tolist() == [[1, 2], [3, 4], [5, 255]]

    def test_tokens_as_text(self, files, tmp_path):
        words = ["--tokenizer", files / "tokenizer"]
        drawn = draw(files, tmp_path / "a", "dit", "--steps", 2, "--num-samples", 3, *words)
        lines = (tmp_path / "a" / "first_samples.jsonl").read_text().splitlines()
        assert len(lines) == 3
        names = ["?", *WORDS, END]
        for row, line in zip(drawn, lines, strict=True):
            text = json.loads(line)["text"].replace(" ", "")
            assert text == "".join(names[token] for token in row)

    def test_only_numbers_without_a_tokenizer(self, files, tmp_path, capsys):
        options = ["--steps", 1, "--num-samples", 2]
        draw(files, tmp_path / "a", "dit", *options)
        assert not list((tmp_path / "a").glob("first*"))
        assert capsys.readouterr().out == f"2 samples in {tmp_path / 'a'}\n"
        # The same command with a tokenizer draws nothing and shows the texts.
        draw(
            files,
            tmp_path / "a",
            "dit",
            "--steps",
            1,
            "--num-samples",
            2,
            "--tokenizer",
            files / "tokenizer",
        )
        assert list((tmp_path / "a").glob("first*"))
