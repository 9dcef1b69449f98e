"""Every script and program runs from a clean interpreter in another folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOYS = sorted(p for p in (ROOT / "toys").glob("*.py") if "__main__" in p.read_text("utf-8"))
PROGRAMS = [path.parent.name for path in sorted(ROOT.glob("[a-z]*/__main__.py"))]
COMMANDS = [[str(path)] for path in TOYS] + [["-m", program] for program in PROGRAMS]


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
    result = _run([*command, "--no-such-option"], tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("path", TOYS, ids=lambda path: path.stem)
def test_quick_run_writes_what_it_is_asked_for(path, tmp_path):
    draws = "--figure" in _run([str(path), "--help"], tmp_path).stdout
    figure = ["--figure", "out"] if draws else []
    result = _run([str(path), "--quick", "--seed", "1", "--json", "out.json", *figure], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert result.stdout
    assert "manifest" in json.loads((tmp_path / "out.json").read_text())
    written = {"out.json", "out.png", "out.pdf"} if draws else {"out.json"}
    assert {p.name for p in tmp_path.iterdir()} == written
