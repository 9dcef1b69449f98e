"""Every script and program runs in another folder, its help from a clean interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.programs import ROOT, run_here

MODULE_ROOMS = ("theory", "figures", "full_scale", "reporting")


def _programs(room: str) -> list[Path]:
    """The files of a room that one can run."""
    return sorted(p for p in (ROOT / room).rglob("*.py") if '"__main__"' in p.read_text("utf-8"))


def _module(path: Path) -> str:
    """What to type after `python -m`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


TOYS = _programs("toys")
MODULES = [path for room in MODULE_ROOMS for path in _programs(room)]
COMMANDS = [[str(path)] for path in TOYS] + [["-m", _module(path)] for path in MODULES]


def _name(command: list[str]) -> str:
    return Path(command[-1]).stem


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("command", COMMANDS, ids=_name)
def test_help_explains(command, tmp_path):
    result = _run([*command, "--help"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("command", COMMANDS, ids=_name)
def test_bad_option_is_one_line(command, tmp_path):
    result = run_here([*command, "--no-such-option"], tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


# Their quick run trains for minutes: here with the methods that cost least.
SHORTER = {"leaderboard": ["--task", "pair", "--method", "sequential", "data-likelihood"]}


@pytest.mark.parametrize("path", TOYS, ids=lambda path: path.stem)
def test_quick_run_writes_what_it_is_asked_for(path, tmp_path):
    draws = "--figure" in run_here([str(path), "--help"], tmp_path).stdout
    figure = ["--figure", "out"] if draws else []
    options = ["--quick", "--seed", "1", "--json", "out.json", *SHORTER.get(path.stem, [])]
    result = _run([str(path), *options, *figure], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert result.stdout
    assert "manifest" in json.loads((tmp_path / "out.json").read_text())
    written = {"out.json", "out.png", "out.pdf"} if draws else {"out.json"}
    assert {p.name for p in tmp_path.iterdir()} == written
