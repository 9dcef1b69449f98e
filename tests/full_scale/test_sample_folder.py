"""A folder of samples: several processes, a killed process, and what is not overwritten."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from full_scale import sample
from full_scale.evaluation.sample_folder import SAMPLES, SampleFolder
from full_scale.models.hashes import hash_file
from full_scale.sample import fill
from tests.helpers.sampled import draw, save_models

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save_models(tmp_path_factory.mktemp("models"))


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
    alone = draw(files, tmp_path / "alone", "unet-student", *options)
    both = [
        _start(files, tmp_path / "both", *options, RANK=str(rank), WORLD_SIZE="2")
        for rank in (0, 1)
    ]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    np.testing.assert_array_equal(SampleFolder(tmp_path / "both").samples(), alone)
    shown = tmp_path / "both" / "first_samples.png"
    assert shown.read_bytes() == (tmp_path / "alone" / "first_samples.png").read_bytes()


def test_the_last_row_is_done_before_its_process_records_the_hash(files, tmp_path, monkeypatch):
    """A second process that comes between the two shows the samples all the same."""

    def fill_by_two(folder, *rest):
        fill(folder, *rest)
        hash_file(folder.folder / SAMPLES).unlink()

    monkeypatch.setattr(sample, "fill", fill_by_two)
    found = draw(files, tmp_path / "both", "unet-student", "--steps", 1, "--num-samples", 2)
    assert found.shape[0] == 2


@pytest.mark.slow
def test_killed_and_started_again(files, tmp_path):
    """After a SIGKILL, the same command draws the missing samples and no others."""
    options = ["--steps", 8, "--num-samples", 1000, "--batch", 4]
    process = _start(files, tmp_path / "killed", *options)
    done = tmp_path / "killed" / "done.npy"
    deadline = time.monotonic() + 300
    while not (done.is_file() and np.load(done).sum() > 20):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder = SampleFolder(tmp_path / "killed")
    drawn = folder.num_done()
    assert 0 < drawn < 1000
    with pytest.raises(ValueError, match=rf"not complete: {drawn} of 1000 are drawn; run the"):
        folder.samples()
    rows = np.load(tmp_path / "killed" / "samples.npy", mmap_mode="r+")
    marked = np.load(done)
    rows[np.flatnonzero(marked)[0]] = 7  # would be overwritten if it were drawn again
    again = draw(files, tmp_path / "killed", "unet-student", *options[:-1], 500)
    assert (again[np.flatnonzero(marked)[0]] == 7).all()
    whole = draw(files, tmp_path / "whole", "unet-student", *options[:-1], 500)
    np.testing.assert_array_equal(np.delete(again, np.flatnonzero(marked)[0], 0), whole[1:])


class TestFolder:
    def test_another_run_is_refused(self, files, tmp_path):
        options = ["--steps", 2, "--num-samples", 3]
        draw(files, tmp_path / "a", "unet", *options)
        for more, named in (
            (["--seed", 1], "settings.seed is 0, not 1"),
            (["--steps", 3], "settings.plan.steps is 2, not 3"),
            (["--num-samples", 4], "num_samples is 3, not 4"),
        ):
            with pytest.raises(ValueError, match=f"another run .*{named}"):
                draw(files, tmp_path / "a", "unet", *options, *more)
        with pytest.raises(ValueError, match=r"another run .*settings.model.sha256"):
            draw(files, tmp_path / "a", "unet-student", *options)

    def test_record_says_what_it_is(self, files, tmp_path):
        draw(
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
    def test_empty_arrays_of_a_killed_command_are_replaced(self, tmp_path, size):
        """The command was killed before it wrote run.json. The next one needs other sizes."""
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
        with pytest.raises(ValueError, match=r"but no run\.json, so their model is unknown"):
            SampleFolder.create(tmp_path, {}, num_samples, 4, 8, {})
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_nothing_there(self, tmp_path):
        with pytest.raises(ValueError, match=r"there is no run.json in it; run: python -m"):
            SampleFolder(tmp_path)


def test_rows_between_those_of_a_process_may_change_meanwhile(tmp_path):
    """Another process writes row 1 after this one has begun with rows 0 and 2."""
    settings = {"num_samples": 3, "num_dims": 2, "num_values": 9, "manifest": {}}
    mine, other = (SampleFolder.create(tmp_path / "drawn", {}, **settings) for _ in range(2))

    class Positions(list):
        def __iter__(self):
            yield 0
            if other.todo([1]):
                other.write([1], np.full((1, 2), 5))
            yield 2

    mine.write(Positions([0, 2]), np.full((2, 2), 7))
    assert mine.samples().tolist() == [[7, 7], [5, 5], [7, 7]]
