"""Samples: the same whatever the batch, the processes or a kill; each option does something."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from full_scale import sample
from full_scale.evaluation.decoding import pictures
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.load import load_model
from full_scale.models.network import Network
from full_scale.models.presets import PRESETS
from full_scale.models.sampling import Plan, samples_at_once
from tests.helpers.tiny_models import DENOISERS, DIT, MASKGIT, UNET, VQGAN, save_model
from tests.helpers.tiny_text import save_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, config in DENOISERS.items():
        save_model(folder / f"{name}.safetensors", config)
        save_model(folder / f"{name}-student.safetensors", config, student=True, seed=1)
    save_model(folder / "vqgan.safetensors", VQGAN)
    save_tokenizer(folder / "tokenizer")
    return folder


def _draw(files, out, model, *options):
    """Samples by the command."""
    sample.main(
        [
            str(files / f"{model}.safetensors"),
            "--out",
            str(out),
            "--device",
            "cpu",
            *map(str, options),
        ]
    )
    return SampleFolder(out).samples()


def test_as_many_samples_at_once_as_fit():
    """Published sizes in 4 GiB: 20 bytes for each of D S probabilities."""
    for name, expected in (("sdtt-owt", 4), ("maskgit-imagenet", 64), ("tauldr-cifar10", 64)):
        with torch.device("meta"):
            network = PRESETS[name].network.build()
        model = Network(network, PRESETS[name].process.build())
        assert samples_at_once(model, 2**32, 64) == expected
        assert samples_at_once(model, 1, 64) == 1


def test_too_little_memory_is_one_line(files, tmp_path, monkeypatch):
    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried much")

    monkeypatch.setattr(sample, "draw", too_large)
    with pytest.raises(ValueError, match=r"CUDA out of memory\) with 8 samples .* smaller --batch"):
        _draw(files, tmp_path / "out", "dit", "--steps", 2, "--batch", 8, "--num-samples", 9)


@pytest.mark.parametrize("model", ["unet", "maskgit", "dit"])
@pytest.mark.parametrize("role", ["", "-student"])
def test_same_samples_at_any_batch_size(files, tmp_path, model, role):
    options = ["--steps", 3, "--num-samples", 11, "--seed", 5]
    drawn = [
        _draw(files, tmp_path / str(batch), model + role, *options, "--batch", batch)
        for batch in (1, 3, 8)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert len({tuple(row) for row in drawn[0]}) > 2
    other = _draw(files, tmp_path / "other", model + role, *options[:-1], 6)
    assert (other != drawn[0]).any()


def test_more_samples_begin_with_the_same_ones(files, tmp_path):
    few = _draw(files, tmp_path / "few", "dit", "--steps", 2, "--num-samples", 4)
    many = _draw(files, tmp_path / "many", "dit", "--steps", 2, "--num-samples", 9)
    np.testing.assert_array_equal(many[:4], few)


@pytest.mark.parametrize("model", ["unet", "maskgit", "dit"])
def test_hybrid_lies_between_student_and_teacher(files, tmp_path, model):
    """All calls by the teacher: the teacher's own samples. None: the student's."""
    options = ["--steps", 4, "--num-samples", 6, "--sampler", "ancestral"]
    student = _draw(files, tmp_path / "student", f"{model}-student", *options)
    teacher = _draw(files, tmp_path / "teacher", model, *options)
    # Counted as published, a DiT makes one more call, for masks that are left.
    calls = len(DENOISERS[model].time_grid(4, 1.0)) - 1
    teacher_file = ["--teacher", files / f"{model}.safetensors", "--teacher-steps"]
    hybrids = [
        _draw(files, tmp_path / str(n), f"{model}-student", *options, *teacher_file, n)
        for n in (2, calls)
    ]
    np.testing.assert_array_equal(hybrids[1], teacher)
    assert (hybrids[0] != teacher).any()
    assert (hybrids[0] != student).any()
    assert SampleFolder(tmp_path / "2").run["settings"]["role"] == "hybrid"


def test_command_and_library_draw_alike(files, tmp_path):
    """`Loaded.sample` with the streams of samples 0..3."""
    from di4c.rng import SampleGenerators

    drawn = _draw(
        files, tmp_path / "a", "unet-student", "--steps", 3, "--num-samples", 4, "--seed", 2
    )
    model = load_model(files / "unet-student.safetensors")
    expected = model.sample(4, 3, generator=SampleGenerators(2, range(4)))
    np.testing.assert_array_equal(drawn, expected.numpy())


def test_a_latent_for_each_call_or_one_for_all(files, tmp_path):
    """They differ as soon as there is a second call."""
    for steps in (1, 3):
        drawn = [
            _draw(
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
        """Sample i has class i mod 3: the same as when it is asked for."""
        options = ["--steps", 2, "--num-samples", 200]
        every = _draw(files, tmp_path / "all", "maskgit", *options)
        for label in range(3):
            one = _draw(files, tmp_path / str(label), "maskgit", *options, "--label", label)
            np.testing.assert_array_equal(every[label::3], one[label::3])
            assert (every != one).any()

    def test_guidance_changes_samples(self, files, tmp_path):
        options = ["--steps", 4, "--num-samples", 40]
        plain = _draw(files, tmp_path / "plain", "maskgit", *options)
        guided = _draw(files, tmp_path / "guided", "maskgit", *options, "--guidance", 9)
        assert (plain != guided).any()

    def test_ancestral_leaves_no_mask(self, files, tmp_path):
        options = ["--steps", 3, "--num-samples", 8, "--sampler", "ancestral"]
        drawn = _draw(files, tmp_path / "a", "maskgit", *options)
        assert drawn.max() < MASKGIT.codebook_size

    def test_codes_become_pictures(self, files, tmp_path):
        vqgan = ["--vqgan", files / "vqgan.safetensors"]
        drawn = _draw(files, tmp_path / "a", "maskgit", "--steps", 2, "--num-samples", 4, *vqgan)
        sheet = np.asarray(Image.open(tmp_path / "a" / "first_samples.png"))
        assert sheet.shape == (18, 18, 3)
        network = load_model(files / "vqgan.safetensors").backbone
        image = network.decode(torch.from_numpy(drawn[3:].astype(int)).reshape(1, 2, 2))[0]
        expected = ((image.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
        np.testing.assert_array_equal(sheet[10:, 10:], expected.numpy())


class TestShown:
    def test_pixels_as_a_sheet(self, files, tmp_path):
        drawn = _draw(files, tmp_path / "a", "unet", "--steps", 2, "--num-samples", 5, "--show", 3)
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
        drawn = _draw(files, tmp_path / "a", "dit", "--steps", 2, "--num-samples", 3, *words)
        lines = (tmp_path / "a" / "first_samples.jsonl").read_text().splitlines()
        assert len(lines) == 3
        from tests.helpers.tiny_text import END, WORDS

        names = ["?", *WORDS, END]
        for row, line in zip(drawn, lines, strict=True):
            text = json.loads(line)["text"].replace(" ", "")
            assert text == "".join(names[token] for token in row)

    def test_only_numbers_without_the_means(self, files, tmp_path, capsys):
        options = ["--steps", 1, "--num-samples", 2]
        _draw(files, tmp_path / "a", "dit", *options)
        assert not list((tmp_path / "a").glob("first*"))
        assert capsys.readouterr().out == f"2 samples in {tmp_path / 'a'}\n"
        # The same command with a tokenizer draws nothing and shows them.
        _draw(
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


def _start(files, out, *options, **environment):
    command = [sys.executable, "-m", "full_scale.sample", str(files / "unet-student.safetensors")]
    command += ["--out", str(out), "--device", "cpu", *map(str, options)]
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_processes_share_the_work(files, tmp_path):
    options = ["--steps", 3, "--num-samples", 41, "--batch", 4]
    alone = _draw(files, tmp_path / "alone", "unet-student", *options)
    both = [
        _start(files, tmp_path / "both", *options, RANK=str(rank), WORLD_SIZE="2")
        for rank in (0, 1)
    ]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    np.testing.assert_array_equal(SampleFolder(tmp_path / "both").samples(), alone)
    shown = tmp_path / "both" / "first_samples.png"
    assert shown.read_bytes() == (tmp_path / "alone" / "first_samples.png").read_bytes()


@pytest.mark.slow
def test_killed_and_started_again(files, tmp_path):
    """SIGKILL once some samples are there; the same command draws the others, and those alone."""
    options = ["--steps", 8, "--num-samples", 3000, "--batch", 4]
    process = _start(files, tmp_path / "killed", *options)
    done = tmp_path / "killed" / "done.npy"
    deadline = time.monotonic() + 120
    while not (done.is_file() and np.load(done).sum() > 20):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder = SampleFolder(tmp_path / "killed")
    drawn = folder.num_done()
    assert 0 < drawn < 3000
    with pytest.raises(ValueError, match=rf"not complete: {drawn} of 3000; the command"):
        folder.samples()
    rows = np.load(tmp_path / "killed" / "samples.npy", mmap_mode="r+")
    marked = np.load(done)
    rows[np.flatnonzero(marked)[0]] = 7  # would be overwritten if it were drawn again
    again = _draw(files, tmp_path / "killed", "unet-student", *options[:-1], 500)
    assert (again[np.flatnonzero(marked)[0]] == 7).all()
    whole = _draw(files, tmp_path / "whole", "unet-student", *options[:-1], 500)
    np.testing.assert_array_equal(np.delete(again, np.flatnonzero(marked)[0], 0), whole[1:])


class TestFolder:
    def test_another_run_is_refused(self, files, tmp_path):
        options = ["--steps", 2, "--num-samples", 3]
        _draw(files, tmp_path / "a", "unet", *options)
        for more, named in (
            (["--seed", 1], "settings.seed is 0, not 1"),
            (["--steps", 3], "settings.plan.steps is 2, not 3"),
            (["--num-samples", 4], "num_samples is 3, not 4"),
        ):
            with pytest.raises(ValueError, match=f"another run .*{named}"):
                _draw(files, tmp_path / "a", "unet", *options, *more)
        with pytest.raises(ValueError, match=r"another run .*settings.model.sha256"):
            _draw(files, tmp_path / "a", "unet-student", *options)

    def test_record_says_what_it_is(self, files, tmp_path):
        _draw(
            files,
            tmp_path / "a",
            "maskgit-student",
            "--steps",
            2,
            "--num-samples",
            3,
            "--guidance",
            1,
        )
        run = SampleFolder(tmp_path / "a").run
        settings = run["settings"]
        assert settings["role"] == "student"
        assert settings["experiment"] == "other"
        assert settings["model"]["name"] == "maskgit-student.safetensors"
        assert settings["plan"]["sampler"] == "confidence"
        assert settings["plan"]["guidance"] == 1
        assert run["manifest"]["model"] == {"command": "test"}

    @pytest.mark.parametrize("size", [(5, 4, 8), (2, 3, 8), (3, 4, 700)])
    def test_empty_arrays_of_a_killed_command_give_way(self, tmp_path, size):
        """Killed before its run.json; the next one wants other numbers of samples, dims, values."""
        SampleFolder.create(tmp_path, {}, 3, 4, 8, {})
        (tmp_path / "run.json").unlink()
        folder = SampleFolder.create(tmp_path, {}, *size, {})
        rows = np.full(size[:2], size[2] - 1)
        folder.write(range(size[0]), rows)
        np.testing.assert_array_equal(folder.samples(), rows)

    @pytest.mark.parametrize("num_samples", [3, 5])
    def test_samples_without_a_record_are_left_alone(self, tmp_path, num_samples):
        SampleFolder.create(tmp_path, {}, 3, 4, 8, {}).write([1], np.ones((1, 4)))
        (tmp_path / "run.json").unlink()
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ValueError, match=r"holds samples and no run\.json that says of what"):
            SampleFolder.create(tmp_path, {}, num_samples, 4, 8, {})
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_nothing_there(self, tmp_path):
        with pytest.raises(ValueError, match=r"are missing: no run.json there; run: python -m"):
            SampleFolder(tmp_path)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("unet", ["--steps", 0], "steps must be at least 1; got 0"),
        ("unet", ["--sampler", "confidence"], "sampler must be one of ancestral, tau-leaping"),
        ("unet", ["--guidance", 1], "guidance must be 0 for the ancestral sampler of a U-Net"),
        ("unet", ["--label", 1], "a U-Net has no classes"),
        ("maskgit", ["--label", 3], r"label must lie in 0\.\.2; got 3"),
        ("unet", ["--teacher-steps", 1], "teacher_steps is 1 and there is no teacher"),
        ("unet", ["--teacher", "unet"], "teacher is given and takes no step"),
        (
            "unet",
            ["--teacher", "dit", "--teacher-steps", 1],
            "teacher has 13 states and the model 9",
        ),
        (
            "maskgit",
            ["--teacher", "maskgit", "--teacher-steps", 1],
            "teacher_steps must be 0 for the",
        ),
        ("unet", ["--teacher-steps", 9, "--teacher", "unet"], r"teacher_steps must lie in 0\.\.2"),
        ("vqgan", [], "is a VQGAN, which has no samples"),
        ("maskgit", ["--vqgan", "unet"], "is a U-Net; give a converted VQGAN"),
        ("dit", ["--tokenizer", "/nowhere"], "tokenizer /nowhere cannot be opened"),
    ],
)
def test_bad_options(files, tmp_path, model, options, message):
    paths = {name: str(files / f"{name}.safetensors") for name in ("unet", "dit", "maskgit")}
    options = ["--steps", 2, "--num-samples", 2, *(paths.get(option, option) for option in options)]
    with pytest.raises(ValueError, match=message):
        _draw(files, tmp_path / "a", model, *options)
    assert not (tmp_path / "a").exists(), "the folder is left to the right command"


@pytest.mark.parametrize("option", ["--num-samples", "--batch", "--show"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_of_samples_are_positive(files, tmp_path, option, value, capsys):
    with pytest.raises(SystemExit):
        _draw(files, tmp_path / "a", "unet", "--steps", 2, option, value)
    assert f"{option}: must be a whole number of at least 1; got" in capsys.readouterr().err


def test_teachers_of_another_size_are_refused(files):
    network = load_model(files / "unet.safetensors").network
    taller = Network(replace(UNET, height=8).build(), network.process)
    with pytest.raises(ValueError, match="teacher has 144 dimensions and the model 72"):
        Plan(2, teacher_steps=1).resolve(network, taller)


@pytest.mark.parametrize(
    ("config", "steps", "times"),
    [
        (UNET, 4, [0, 0.01, 0.34, 0.67, 1]),
        (DIT, 2, [0, 1e-5, (1 + 1e-5) / 2, 1]),
        (MASKGIT, 2, [0, 0.5, 1]),
    ],
)
def test_grids_count_steps_as_published(config, steps, times):
    torch.testing.assert_close(config.time_grid(steps, 1.0), torch.tensor(times).double())


def test_labels_belong_to_classes(files):
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="a U-Net has no classes"):
        load_model(files / "unet.safetensors").sample(2, 1, labels=labels)
    with pytest.raises(ValueError, match=r"guidance is 2\.0 and there are no labels"):
        load_model(files / "maskgit.safetensors").sample(2, 2, guidance=2.0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"labels must hold one class for each of 4 samples; got the shape \(2,\)"),
        ([[0, 1, 2, 0]], r"for each of 4 samples; got the shape \(1, 4\)"),
        ([0, 1, 2, 3], r"labels must lie in 0\.\.2; got 0 to 3: None means no class"),
        ([0, 1, 2, -1], r"labels must lie in 0\.\.2; got -1 to 2"),
    ],
)
@pytest.mark.parametrize("sampler", ["confidence", "ancestral"])
def test_labels_are_one_class_a_sample(files, labels, message, sampler):
    model = load_model(files / "maskgit.safetensors")
    with pytest.raises(ValueError, match=message):
        model.sample(4, 2, labels=torch.tensor(labels), sampler=sampler)


def test_plan_names_the_published_sampler(files):
    for name, sampler in (("unet", "ancestral"), ("dit", "ancestral"), ("maskgit", "confidence")):
        network = load_model(files / f"{name}.safetensors").network
        assert Plan(2).resolve(network).sampler == sampler
