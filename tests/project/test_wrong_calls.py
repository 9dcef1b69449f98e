"""Wrong calls of the library are refused in one line that names the argument.

`python -m tests.hard_use calls` tries these and the wrong command lines of all scripts.
"""

import pytest

from tests.hard_use import wrong_commands
from tests.hard_use.calls import command_lines, refused_call
from tests.hard_use.wrong_calls import CALLS

WORDS = ("model", "codes", "vqgan", "samples", "law", "pictures")


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(("call", "named"), CALLS)
def test_library(call, named, as_installed):
    assert refused_call(call, named) is None


def test_tables_are_long():
    lines = [*command_lines({word: word for word in WORDS})]
    assert len(set(lines)) == len(lines) >= 300
    assert len(CALLS) >= 60


def test_every_option_that_reads_meets_every_wrong_path():
    lines = [*command_lines({word: word for word in WORDS})]
    for path in ("absent", "folder", "pipe"):
        found = sum(f" {path}" in f" {line}" for line in lines)
        assert found >= len(wrong_commands.READS.strip().splitlines())
