"""The import arrows between the rooms, the purity of the library, the oracle's independence."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Which rooms each room may import. Nobody imports the tests.
ARROWS = {
    "di4c": {"di4c"},
    "reporting": {"reporting"},
    "theory": {"theory", "di4c", "reporting"},
    "toys": {"toys", "di4c", "reporting"},
    "full_scale": {"full_scale", "di4c", "reporting"},
    "figures": {"figures", "toys", "theory", "di4c", "reporting"},
    "docs": {"docs", "di4c", "reporting", "theory", "toys", "full_scale", "figures"},
    "tests": {"tests", "docs", "di4c", "reporting", "theory", "toys", "full_scale", "figures"},
}
ROOMS = {*ARROWS, "conftest", "noxfile"}

# The library computes: no files, no terminal, no command line, and only these packages.
LIBRARY_PACKAGES = {"di4c", "jaxtyping", "numpy", "scipy", "torch"}
IO_FUNCTIONS = {"print", "open", "input", "breakpoint"}
IO_MODULES = {
    *("argparse", "glob", "io", "json", "logging", "optparse", "pathlib", "pickle", "shelve"),
    *("shutil", "socket", "subprocess", "tempfile", "urllib"),
}
IO_METHODS = {
    *("fromfile", "genfromtxt", "load", "loadtxt", "open", "read_bytes", "read_text"),
    *("save", "savetxt", "savez", "tofile", "write_bytes", "write_text"),
}


def imported(tree: ast.AST, path: Path) -> Iterator[str]:
    """Full names of all imported modules, relative and literal dynamic imports resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = path.parent.parts
            base = parents[: len(parents) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *filter(None, [node.module])])
            # `from . import x` at the root names a room in x, elsewhere x is inside the stem.
            yield from [stem] if stem else [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.JoinedStr):
                name = name.values[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def called(node: ast.Call) -> str:
    """The last name of what is called: `open` for both open(...) and path.open(...)."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def touches_sys_path(node: ast.AST) -> bool:
    """Whether the node reads or changes where Python looks for modules."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and "path" in [alias.name for alias in node.names]
    return isinstance(node, ast.Attribute) and (
        ast.unparse(node) == "sys.path" or node.attr in ("addsitedir", "syspath_prepend")
    )


def violations(path: Path, source: str) -> list[str]:
    """What a file breaks; `path` is relative to the root."""
    room = path.parts[0].removesuffix(".py")
    tree = ast.parse(source)
    packages = {name.partition(".")[0] for name in imported(tree, path)}
    found = [f"imports {name}" for name in packages & ROOMS - ARROWS.get(room, ROOMS)]
    for node in ast.walk(tree):
        if touches_sys_path(node):
            found.append("touches sys.path")
    if path.parts == ("theory", "tools", "oracle.py"):
        found += [f"oracle imports {name}" for name in packages - sys.stdlib_module_names]
    if room == "di4c":
        allowed = (LIBRARY_PACKAGES | sys.stdlib_module_names) - IO_MODULES
        found += [f"library imports {name}" for name in packages - allowed]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                names = IO_FUNCTIONS if isinstance(node.func, ast.Name) else IO_METHODS
                if called(node) in names:
                    found.append(f"library calls {called(node)}")
    return found


def sources() -> list[Path]:
    """Every Python file of the clone, relative to the root."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    ignored = {"build", "dist"}
    return sorted(
        p for p in paths if not any(part.startswith(".") or part in ignored for part in p.parts)
    )


@pytest.mark.parametrize("path", sources(), ids=str)
def test_file_respects_the_architecture(path):
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_every_file_is_in_a_known_room():
    rooms = {path.parts[0].removesuffix(".py") for path in sources()}
    assert rooms <= ROOMS
    assert {"di4c", "reporting", "tests", "conftest"} <= rooms


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("di4c/a.py", "import theory", "imports theory"),
        ("di4c/a.py", "def f():\n    import reporting.tables as t", "imports reporting"),
        ("di4c/a.py", "from toys.two_dim_tv import main", "imports toys"),
        ("di4c/a.py", "from .. import theory", "imports theory"),
        ("di4c/exact/a.py", "from ...figures import x", "imports figures"),
        ("di4c/a.py", "importlib.import_module('full_scale.train')", "imports full_scale"),
        ("di4c/a.py", "importlib.import_module(f'toys.{name}')", "imports toys"),
        ("di4c/a.py", "__import__('tests')", "imports tests"),
        ("di4c/a.py", "import conftest", "imports conftest"),
        ("di4c/a.py", "import pandas", "library imports pandas"),
        ("di4c/a.py", "import argparse", "library imports argparse"),
        ("di4c/a.py", "print(1)", "library calls print"),
        ("di4c/a.py", "with open('x') as f: pass", "library calls open"),
        ("di4c/a.py", "torch.save({}, name)", "library calls save"),
        ("di4c/a.py", "name.write_text('x')", "library calls write_text"),
        ("reporting/a.py", "import di4c", "imports di4c"),
        ("reporting/a.py", "from theory import claim", "imports theory"),
        ("theory/a.py", "import toys", "imports toys"),
        ("theory/test_a.py", "from ..toys import x", "imports toys"),
        ("theory/a.py", "import figures", "imports figures"),
        ("toys/a.py", "import theory", "imports theory"),
        ("toys/a.py", "import full_scale", "imports full_scale"),
        ("full_scale/a.py", "import theory", "imports theory"),
        ("full_scale/models/a.py", "from ...toys import x", "imports toys"),
        ("figures/a.py", "import full_scale", "imports full_scale"),
        ("docs/a.py", "from tests.helpers import x", "imports tests"),
        ("toys/a.py", "import docs.tables", "imports docs"),
        ("figures/a.py", "import tests.test_a", "imports tests"),
        ("theory/tools/oracle.py", "import di4c", "oracle imports di4c"),
        ("theory/tools/oracle.py", "from numpy import exp", "oracle imports numpy"),
        ("theory/tools/oracle.py", "import torch", "oracle imports torch"),
        ("theory/tools/oracle.py", "from . import claim", "oracle imports theory"),
        ("toys/a.py", "import sys\nsys.path.insert(0, '..')", "touches sys.path"),
        ("figures/a.py", "from sys import path", "touches sys.path"),
        ("tests/test_a.py", "monkeypatch.syspath_prepend('x')", "touches sys.path"),
        ("conftest.py", "site.addsitedir('x')", "touches sys.path"),
    ],
)
def test_checker_finds(path, source, expected):
    assert expected in violations(Path(path), source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("di4c/exact/a.py", "from ..processes import x\nfrom . import y\nimport torch, math"),
        ("di4c/a.py", "model.load_state_dict(x)"),
        ("theory/a.py", "from di4c import exact\nfrom reporting import manifest\nprint(1)"),
        ("theory/tools/oracle.py", "import itertools\nfrom fractions import Fraction"),
        ("toys/a.py", "from . import laws\nfrom toys.laws import x\nimport di4c, argparse"),
        ("figures/a.py", "import toys, theory, di4c, reporting\nopen('x')"),
        ("full_scale/a.py", "import theory_of_everything\nfrom . import data"),
        ("tests/test_a.py", "import figures, os.path\nos.path.join('a', 'b')"),
    ],
)
def test_checker_accepts(path, source):
    assert violations(Path(path), source) == []


def test_methods_without_a_body_are_abstract():
    """A subclass that forgets one is refused when it is made, not when the method is called."""
    found = set()
    for path in (ROOT / "di4c").rglob("*.py"):
        for kind in ast.walk(ast.parse(path.read_text("utf-8"))):
            bases = {getattr(base, "id", None) for base in getattr(kind, "bases", ())}
            if not isinstance(kind, ast.ClassDef) or "ABC" not in bases:
                continue
            for method in kind.body:
                if isinstance(method, ast.FunctionDef) and not _has_body(method):
                    marks = {getattr(mark, "id", None) for mark in method.decorator_list}
                    assert "abstractmethod" in marks, f"{path}: {kind.name}.{method.name}"
                    found.add(kind.name)
    assert found >= {"ForwardProcess", "Pair"}


def _has_body(method):
    """Whether there is more than a docstring or an ellipsis."""
    return not all(
        isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in method.body
    )
