"""Every command in README.md, CONTRIBUTING.md and docs/ does what a reader would type.

Toy scripts are run with --quick, full-scale trainings with --dry-run. Commands that need hours,
checkpoints or data stop when their own parser has read them, so every option and value is checked.
"""

import argparse
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from reporting import ROOT
from reporting.programs import Result, run_here

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# Which programs are run, and with which further options; all others only parse their arguments.
RUN = {
    "toys/": ["--quick"],
    "full_scale.train": ["--dry-run"],
    "theory --only lemma1": [],
}
# A benchmark without tasks or methods trains for hours, or for minutes with --quick.
CHEAP = {"--task": ["pair"], "--method": ["teacher", "sequential"]}


def commands(text: str) -> list[str]:
    """The commands of a page: lines of its shell blocks, and commands between backticks."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`((?:python|pytest|make|nox|pip|torchrun|accelerate) [^`\n]+)`", text)
    return [shlex.join(shlex.split(line, comments=True)) for line in [*lines, *inline] if line]


ALL = sorted({command for page in PAGES for command in commands(page.read_text("utf-8"))} - {""})


def test_commands_are_found():
    assert "python -m theory --only theorem2" in ALL
    assert len(ALL) > 40
    assert commands("```bash\na \\\n  b  # c\n\nd\n```\n`make x`, `make`") == ["a b", "d", "make x"]


@pytest.mark.parametrize("command", ALL, ids=str)
def test_command(command, tmp_path):
    CHECKS[command.split()[0]](shlex.split(command)[1:], tmp_path)


def check_python(words: list[str], folder: Path) -> None:
    """Run it, or let it parse its arguments."""
    np.save(folder / "my_law.npy", np.array([[0.4, 0.1], [0.1, 0.4]]))
    if words[0].startswith("toys/"):
        words = [str(ROOT / words[0]), *words[1:]]
    name = " ".join(words).removeprefix("-m ").removeprefix(f"{ROOT}/")
    for start, options in RUN.items():
        if name.startswith(start) and "--help" not in words:
            result = run_here([*words, *options, *_cheap(words, folder)], folder)
            break
    else:
        result = parse_only(words, folder)
    assert result.returncode == 0, result.stderr


def _cheap(words: list[str], folder: Path) -> list[str]:
    """For the benchmark: one task and methods without training, where the command names none.

    It has a cache of its own, because another test may have the usual one at the same time.
    """
    if not words[0].endswith("leaderboard.py"):
        return []
    given = {"--task", *words} if "--law" in words else set(words)
    cheap = CHEAP | {"--cache": [str(folder / "cache.jsonl")]}
    return [word for name, values in cheap.items() if name not in given for word in (name, *values)]


def parse_only(words: list[str], folder: Path) -> Result:
    """Run a program up to the point where it has read its arguments."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *args, **options):
        parse(self, *args, **options)
        self.exit(0, "parsed")

    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        result = run_here(words, folder)
    assert result.returncode or "parsed" in result.stderr or "usage:" in result.stdout
    return result


def check_make(words: list[str], folder: Path) -> None:
    """The target exists, and `make help` lists it."""
    [target] = words
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def check_nox(words: list[str], folder: Path) -> None:
    """The session exists, for this Python."""
    option, session = words
    name, _, version = session.partition("-")
    pythons = r'@nox\.session\(python=\[[^]]*"' + re.escape(version)
    text = (ROOT / "noxfile.py").read_text("utf-8")
    assert option == "-s"
    assert re.search(rf"{pythons}[^]]*\]\)\ndef {name}\(", text)


def check_pip(words: list[str], folder: Path) -> None:
    """It installs this project, with extras that exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    assert words[:2] == ["install", "-e"]
    for word in words[2:]:
        name = re.fullmatch(r"\.(?:\[([\w-]+)\])?", word)
        assert name, word
        assert name[1] is None or name[1] in extras, word


def check_pytest(words: list[str], folder: Path) -> None:
    """What it tests exists."""
    assert all((ROOT / word).exists() for word in words if not word.startswith("-"))


def check_source(words: list[str], folder: Path) -> None:
    """The environment of `make` has this script; after it, `python` can import every room."""
    assert words == [".venv/bin/activate"]
    script = Path(sys.prefix) / "bin" / "activate"
    assert script.exists(), "the tests run in a virtual environment"
    line = f"source {shlex.quote(str(script))} && command -v python && python -c 'import theory'"
    result = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).parent == script.parent


def check_accelerate(words: list[str], folder: Path) -> None:
    """The launcher understands its options; the program after it is checked as any other."""
    from accelerate.commands.launch import launch_command_parser

    args = launch_command_parser().parse_args(words[1:])
    assert (words[0], args.module) == ("launch", True)
    check_python(["-m", args.training_script, *args.training_script_args], folder)


def check_torchrun(words: list[str], folder: Path) -> None:
    """As for accelerate."""
    from torch.distributed.run import get_args_parser

    args = get_args_parser().parse_args(words)
    assert args.module
    check_python(["-m", args.training_script, *args.training_script_args], folder)


CHECKS = {
    "accelerate": check_accelerate,
    "make": check_make,
    "nox": check_nox,
    "pip": check_pip,
    "pytest": check_pytest,
    "python": check_python,
    "source": check_source,
    "torchrun": check_torchrun,
}


@pytest.mark.parametrize(
    "command",
    [
        "python -m full_scale.sample runs/x --stepz 3",
        "python -m full_scale.train cifar10 --no-such-option 3",
        "python toys/two_dim_tv.py --process no-such-process",
        "make no-such-target",
        "pip install -e .[no-such-extra]",
        "pytest no/such/folder",
        "torchrun --nproc-per-node 2 -m full_scale.sample --no-such-option",
    ],
)
def test_a_wrong_command_is_found(command, tmp_path):
    with pytest.raises((AssertionError, subprocess.CalledProcessError)):
        test_command(command, tmp_path)
