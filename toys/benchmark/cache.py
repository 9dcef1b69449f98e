"""Rows on disk that outlive a kill, found again only by the same code, law, method and budget.

A key is a hash of everything that a row depends on: the code of the files of toys/ and di4c/ that
its method and the metrics import, directly or not (comments, docstrings and layout do not count),
the version of torch, the bytes of the law, and the settings of the run. Rows of other code are left
in the file and never read.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reporting import ROOT, append_row, read_rows

ROOMS = ("di4c", "toys")


def source_files(modules: Iterable[str], root: Path = ROOT) -> set[Path]:
    """The files of `ROOMS` that importing these modules runs, as far as rows can depend on them.

    A package that a dotted name merely passes through does not count, only what is imported from
    it; neither does what is imported for the type checker alone.

    Args:
        modules: dotted names.
        root: the clone.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file(waiting.pop(), root)
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(path, root)
    return found


def code_hash(modules: Iterable[str], root: Path = ROOT) -> str:
    """Hash of the code of all `source_files`, without comments, docstrings and layout."""
    digest = hashlib.sha256()
    for path in sorted(source_files(modules, root)):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(_code(path).encode())
    return digest.hexdigest()


def row_key(modules: Iterable[str], law: Tensor, settings: Mapping[str, Any]) -> str:
    """The key of what one run of a method gives.

    Args:
        modules: where the method and the metrics are defined.
        law: the task's law.
        settings: everything else, as JSON types.
    """
    digest = hashlib.sha256((code_hash(modules) + torch.__version__).encode())
    digest.update(str(tuple(law.shape)).encode() + law.contiguous().numpy().tobytes())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()


class RowCache:
    """The finished runs of a JSONL file, by key; one writer at a time.

    Args:
        path: the file; created with the first run.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        lines = read_rows(self.path) if self.path.exists() else []
        self._runs: dict[str, list[dict[str, Any]]] = {
            line["key"]: line["rows"] for line in lines if {"key", "rows"} <= line.keys()
        }

    def get(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of a finished run, None if there is none."""
        return self._runs.get(key)

    def put(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a finished run; they are on the disk when this returns."""
        append_row(self.path, {"key": key, "rows": rows})
        self._runs[key] = rows


def _file(module: str, root: Path) -> Path | None:
    """The file of a module of ours, None for others' modules and for plain names."""
    if module.partition(".")[0] not in ROOMS:
        return None
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imports(path: Path, root: Path) -> list[str]:
    """Dotted names of what a file imports when it runs."""
    found: list[str] = []
    for node in _running(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in names if _file(name, root) is not None]
            found += modules if len(modules) == len(names) else [*modules, node.module]
    return found


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _running(node)


@cache
def _code(path: Path) -> str:
    """What a file does: its syntax tree without positions and docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                del body[0]
    return ast.dump(tree)
