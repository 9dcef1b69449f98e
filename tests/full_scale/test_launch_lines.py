"""The launch lines of docs/full_scale.md start a tiny training on CPUs, which gloo connects.

Of the lines, only the numbers and the experiment are replaced: 8 or 16 processes become 2, a
machine is a launcher, and the run is a small teacher. Each must log what one process logs.
"""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from full_scale import sample
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.train import parse, train
from reporting import ROOT, read_rows
from tests.helpers import train_ranks
from tests.helpers.ports import free_port

TRAINING = "digits-teacher --micro-batch 1 --dropout 0 --reports.log-every 1 --device cpu"
TRAINING += " --reports.sample-every 0 --no-check-memory"


def _lines():
    """The torchrun commands of trainings in the section on several GPUs."""
    text = (ROOT / "docs" / "full_scale.md").read_text("utf-8").replace("\\\n", " ")
    section = text.split("## One GPU, eight GPUs, two machines")[1].split("\n## ")[0]
    return re.findall(r"^(torchrun .*-m full_scale\.train .*)$", section, re.MULTILINE)


def _tiny(line, folder, port, machines):
    """The same command for a tiny run; the options of the launcher and the batch stay."""
    smaller = {"8": str(2 // machines), "16": "2"}
    words = [smaller.get(word, word) for word in shlex.split(line)]
    place = words.index("full_scale.train")
    launcher = [word.replace("first-machine:29500", f"localhost:{port}") for word in words[1:place]]
    options = words[place + 1 :]
    at = options.index("--teacher")
    options = options[1:at] + options[at + 2 :]
    own = [*TRAINING.split(), *options, "--optimizer.of-batch", "1", "--out", str(folder)]
    return [sys.executable, "-m", "torch.distributed.run", *launcher, "full_scale.train", *own], own


def test_there_is_a_line_for_eight_gpus_and_one_for_two_machines():
    single, double = _lines()
    assert "--nproc-per-node 8" in single
    assert "--nnodes 2" in double


def _both(line, folder, steps, machines=1):
    """Train with the line and in one process. Each row of both logs must be the same."""
    port = free_port()
    command, options = _tiny(line, folder / "many", port, machines)
    command, options = ([*words, "--steps", str(steps)] for words in (command, options))
    # Without a rendezvous, the launcher takes its port from here: 29500 may be in use.
    env = os.environ | {"PET_MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(machines)
    ]
    try:
        options[options.index(str(folder / "many"))] = str(folder / "one")
        train(parse(options), progress=False)
        for process in started:
            _, errors = process.communicate(timeout=900)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
    many, one = (read_rows(folder / name / "log.jsonl") for name in ("many", "one"))
    assert len(many) == steps
    for ours, theirs in zip(many, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
def test_eight_gpus_train_and_sample_like_one_process(tmp_path):
    """Sampling gets the environment variables of torchrun from `train_ranks`."""
    _both(_lines()[0], tmp_path, steps=3)
    drawing = [
        str(tmp_path / "one"),
        *["--steps", "2", "--num-samples", "5", "--batch", "2", "--device", "cpu"],
    ]
    with train_ranks.started(train_ranks.draw, [*drawing, "--out", str(tmp_path / "drawn_by_two")]):
        sample.main([*drawing, "--out", str(tmp_path / "drawn_by_one")])
    drawn = [SampleFolder(tmp_path / f"drawn_by_{name}").samples() for name in ("one", "two")]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.slow
def test_two_machines_train_like_one_process(tmp_path):
    _both(_lines()[1], tmp_path, steps=1, machines=2)
