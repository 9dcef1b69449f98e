"""The launch lines of docs/full_scale.md start a tiny training on CPUs, which gloo connects.

Of the lines, only the numbers and the experiment are replaced: 8 processes become 2, a machine is
a launcher, and the run is a small teacher. Each must log what one process logs.
"""

import re
import shlex
import socket
import subprocess
import sys

import pytest

from full_scale.train import parse, train
from reporting import ROOT, read_rows

TRAINING = "digits-teacher --steps 1 --micro-batch 1 --dropout 0 --reports.log-every 1 --device cpu"
TRAINING += " --reports.sample-every 0 --no-check-memory"
SMALLER = {"8": "2", "16": "4"}


def _lines():
    """The torchrun commands of trainings in the section on several GPUs."""
    text = (ROOT / "docs" / "full_scale.md").read_text("utf-8").replace("\\\n", " ")
    section = text.split("## One GPU, eight GPUs, two machines")[1].split("\n## ")[0]
    return re.findall(r"^(torchrun .*-m full_scale\.train .*)$", section, re.MULTILINE)


def _tiny(line, folder, port):
    """The same command for a tiny run; the options of the launcher and the batch stay."""
    words = shlex.split(line)
    place = words.index("full_scale.train")
    launcher = [SMALLER.get(word, word) for word in words[1:place]]
    launcher = [word.replace("first-machine:29500", f"localhost:{port}") for word in launcher]
    options = [SMALLER.get(word, word) for word in words[place + 1 :]]
    at = options.index("--teacher")
    options = options[1:at] + options[at + 2 :]
    own = [*TRAINING.split(), *options, "--optimizer.of-batch", "1", "--out", str(folder)]
    return [sys.executable, "-m", "torch.distributed.run", *launcher, "full_scale.train", *own], own


def test_there_is_a_line_for_eight_gpus_and_one_for_two_machines():
    single, double = _lines()
    assert "--nproc-per-node 8" in single
    assert "--nnodes 2" in double


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1], ids=["eight GPUs", "two machines"])
def test_the_line_trains_like_one_process(number, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, options = _tiny(_lines()[number], tmp_path / "many", port)
    machines = 2 if "--nnodes" in command else 1
    started = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(machines)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=900)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
    options[options.index(str(tmp_path / "many"))] = str(tmp_path / "one")
    train(parse(options), progress=False)
    [many], [one] = (read_rows(tmp_path / name / "log.jsonl") for name in ("many", "one"))
    assert many == pytest.approx(one, rel=1e-4)
