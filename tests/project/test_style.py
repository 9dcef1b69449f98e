"""Sizes of files and folders, and the words that users read."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from reporting import ROOT

ROOMS = ("di4c", "docs", "figures", "full_scale", "reporting", "tests", "theory", "toys")
MADE = ("_build", "generated")  # in docs/; not kept

CODE_NAMES = re.compile(r"\b(?:E[123]|HALF)\b")
# As in " .027". Not in "1.5", "x.5" or "...5", nor in the format ".3f".
NO_ZERO = re.compile(r"(?<![\w.)\]/*])\.\d+\b(?!%)")


def sources() -> list[Path]:
    """Every Python file of the project."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return sorted(path for path in [*found, ROOT / "conftest.py"] if not set(MADE) & {*path.parts})


def pages() -> list[Path]:
    """Every page that is written by hand."""
    docs = (ROOT / "docs").rglob("*.md")
    own = [path for path in docs if not set(MADE) & {*path.parts}]
    return sorted([*ROOT.glob("*.md"), *own])


def faults(text: str) -> list[str]:
    """Code names, and numbers without the 0 before the point."""
    return [match.group() for name in (CODE_NAMES, NO_ZERO) for match in name.finditer(text)]


def is_test(path: Path) -> bool:
    """Whether the file belongs to the tests, which users do not read."""
    return path.is_relative_to(ROOT / "tests") or path.name.startswith("test_")


def name_of(path: Path) -> str:
    """The path as a reader knows it."""
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_300_lines():
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in sources()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_no_folder_is_a_drawer():
    """At most 25 files side by side. The tests of a claim stand beside it and do not count."""
    counts = Counter(name_of(path.parent) for path in sources() if not is_test(path))
    assert {folder: count for folder, count in counts.items() if count > 25} == {}


def texts(path: Path) -> list[str]:
    """The strings of several words in a file: docstrings, messages, statements."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str) and " " in value]


def test_texts_in_the_code_are_plain():
    shown = [path for path in sources() if not is_test(path)]
    found = {name_of(path): [f for text in texts(path) for f in faults(text)] for path in shown}
    assert {name: fault for name, fault in found.items() if fault} == {}


def test_pages_are_plain():
    found = {name_of(path): faults(path.read_text("utf-8")) for path in pages()}
    assert {name: fault for name, fault in found.items() if fault} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TV .027 is less", [".027"]),
        ("(.5, -.5)", [".5", ".5"]),
        ("{x:.3f} {y:.1%}", []),
        ("E1 and HALF", ["E1", "HALF"]),
        ("0.027, x.5, 1e-3, [0.5].5, ...5", []),
        ("(S,)*D.5 E12 HALFWAY v1.2.3", []),
    ],
)
def test_faults_are_found(text, found):
    assert sorted(faults(text)) == sorted(found)
