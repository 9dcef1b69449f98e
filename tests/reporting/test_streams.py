"""Streams of a script that are closed, full, or take only some characters."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
from tqdm import tqdm
from reporting import run_script, script_parser, write_json
def main():
    args = script_parser(__doc__).parse_args()
    for _ in tqdm(range(2)):
        pass
    print("µ \\udcff", "x" * 100_000 * args.quick)
    if args.json:
        write_json(args.json, {"a": 1})
    Path("done").write_text(Path("/proc/self/fd/2").resolve().name)
run_script(main)
"""
CLOSED = "error: standard output is closed; send it to a file or to /dev/null\n"
FULL = "error: standard output: No space left on device\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)

    def run(line, **environment):
        command = ["bash", "-c", f"set -o pipefail; {line}", "bash", sys.executable]
        return subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            env=os.environ | {"PYTHONUNBUFFERED": ""} | environment,
        )

    return run


@pytest.mark.parametrize("flags", ["", "-u"])
@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        ("2>&-", 0, ""),
        ("<&-", 0, None),
        ("2>/dev/full", 0, ""),
        ("2>&1 >/dev/null | true", 0, ""),
        ("<&- 2>&- >/dev/null", 0, ""),
        (">&-", 2, CLOSED),
        (">&- 2>&-", 2, ""),
        ("--json /dev/stdout >&-", 2, CLOSED),
        (">/dev/full", 2, FULL),
        ("--quick 2>/dev/null | head -c 1", 141, ""),
        ("2>/dev/null | true", 141, ""),
        ("2>&1 | true", 141, ""),
    ],
)
def test_a_stream_that_takes_nothing(run, tmp_path, flags, redirected, status, said):
    result = run(f'"$1" {flags} script.py {redirected}')
    assert result.returncode == status
    if said is not None:
        assert "".join(result.stderr.decode().partition("error")[1:]) == said
    assert (tmp_path / "done").exists() or status
    assert b"Traceback" not in result.stderr
    assert b"Exception" not in result.stderr


def test_no_file_gets_the_number_of_a_closed_stream(run, tmp_path):
    assert run('"$1" script.py 2>&-').returncode == 0
    assert (tmp_path / "done").read_text() == "null"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8:strict", "µ \\udcff".encode()),
        ("ascii", rb"\xb5 \udcff"),
        ("latin-1", b"\xb5 \\udcff"),
    ],
)
def test_every_text_can_be_shown(run, encoding, expected):
    result = run('"$1" script.py', PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == expected


def test_a_help_that_nobody_gets_is_an_error(run):
    result = run('"$1" script.py --help >/dev/full')
    assert (result.returncode, result.stderr.decode()) == (2, FULL)


def test_an_error_of_a_file_keeps_its_name(run):
    result = run('"$1" script.py --json /dev/full 2>&1')
    assert result.returncode == 2
    assert result.stdout.endswith(b"error: /dev/full: No space left on device\n")
