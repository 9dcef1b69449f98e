"""Every program explains itself, and a wrong option is one line.

What the toy scripts write is checked where the gallery runs them, in `test_docs.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reporting import ROOT
from reporting.programs import run_here

MODULE_ROOMS = ("docs", "theory", "figures", "full_scale", "reporting")

# Runs the help of every program in one interpreter that has nothing of the test run in it. All
# modules of the project are dropped before each program, so that each must import what it needs.
HELP_OF_ALL = """
import json, sys
from pathlib import Path
from reporting.programs import run_here

rooms = ("di4c", "docs", "figures", "full_scale", "reporting", "theory", "toys")
results = {}
for name, command in json.loads(sys.argv[1]).items():
    for module in [m for m in sys.modules if m.partition(".")[0] in rooms]:
        del sys.modules[module]
    results[name] = run_here([*command, "--help"], Path.cwd())
print(json.dumps(results))
"""


def _programs(room: str) -> list[Path]:
    """The files of a room that one can run."""
    paths = sorted((ROOT / room).rglob("*.py"))
    return [p for p in paths if '\nif __name__ == "__main__":' in p.read_text("utf-8")]


def _module(path: Path) -> str:
    """What to type after `python -m`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


TOYS = {path.name: [str(path)] for path in _programs("toys")}
MODULES = [_module(path) for room in MODULE_ROOMS for path in _programs(room)]
COMMANDS = TOYS | {name: ["-m", name] for name in MODULES}


def test_help_explains(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL, json.dumps(COMMANDS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    results = json.loads(result.stdout)
    assert results.keys() == COMMANDS.keys()
    for name, (status, stdout, stderr) in results.items():
        assert (status, stderr) == (0, ""), name
        assert "usage:" in stdout, name


def test_every_program_is_guarded():
    """So that what goes wrong is one line; see `run_script`."""
    rooms = (*MODULE_ROOMS, "toys")
    texts = {path: path.read_text("utf-8") for room in rooms for path in _programs(room)}
    guarded = '\nif __name__ == "__main__":\n    run_script(main)\n'
    assert [path for path, text in texts.items() if not text.endswith(guarded)] == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_bad_option_is_one_line(command, tmp_path):
    result = run_here([*command, "--no-such-option"], tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
