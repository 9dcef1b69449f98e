"""Finished runs on disk: they survive a kill, and are found again only by the same code.

The key of a run is a hash of everything that its rows depend on: the contents of all files of di4c/
and toys/, the version of torch, the bytes of the law, and the settings of the run. Rows of other
code stay in the file and are not read.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import torch
from torch import Tensor

from reporting import ROOT, append_row, check_rows, only_writer_of
from reporting.files import require_writable
from reporting.typed import checking, read_rows_as, typed

CODE = ("di4c", "toys")
"""Folders of the clone whose files the rows depend on."""


@cache
def code_hash(root: Path = ROOT) -> str:
    """Hash of the names and contents of all Python files of `CODE`, committed or not.

    Args:
        root: the clone.
    """
    digest = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in (root / folder).rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def row_key(law: Tensor, settings: Mapping[str, Any]) -> str:
    """The key of the rows that one run gives.

    Args:
        law: the task's law.
        settings: everything else but the code, as JSON types.
    """
    digest = hashlib.sha256((code_hash() + torch.__version__).encode())
    digest.update(str(tuple(law.shape)).encode() + law.contiguous().numpy().tobytes())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()


T = TypeVar("T")
_REMEDY = "repair or remove the file"


class _Line(TypedDict):
    key: str
    rows: list[dict[str, Any]]


class RowCache:
    """The finished runs of a JSONL file, by key.

    Args:
        path: the file; created with the first run.

    Raises:
        ValueError: If the file is no such cache. It is left as it is.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        runs = []
        if self.path.exists():
            check_rows(self.path, "key")
            runs = read_rows_as(self.path, _Line, _REMEDY)
        self._runs: dict[str, list[dict[str, Any]]] = {run["key"]: run["rows"] for run in runs}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who computes runs for this cache; checked before the first one.

        Raises:
            ValueError: If another process does so, or the file cannot be written.
        """
        try:
            require_writable(self.path)
        except OSError as error:
            raise ValueError(
                f"finished runs cannot be kept ({error}); name another place: --cache FILE"
            ) from None
        with only_writer_of(self.path):
            yield

    def get(self, key: str, kind: type[T]) -> list[T] | None:
        """The rows of a finished run, None if there is none.

        Args:
            key: of the run.
            kind: type of its rows. Rows of other code may have another type; nobody asks for them.

        Raises:
            ValueError: If a row has another type; names the file, the run and the field.
        """
        if key not in self._runs:
            return None
        with checking(self.path, _REMEDY):
            return typed(list[kind], self._runs[key], f"the run {key[:12]}, rows")

    def put(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a finished run; they are on the disk when this returns."""
        append_row(self.path, {"key": key, "rows": rows})
        self._runs[key] = rows
