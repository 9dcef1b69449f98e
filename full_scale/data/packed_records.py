"""The two JSON files of a folder of packed tokens, see `full_scale.data.packed`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

from reporting.typed import Sha256, Size, Within, read_as

HEADER, PROGRESS = "header.json", "progress.json"


class _Described(TypedDict):
    """The fields that both records share: those of `full_scale.data.packed.Description`."""

    num_dims: Size
    num_values: Annotated[int, Within(1, 2**32)]
    num_classes: Annotated[int, Within(1, 2**16)] | None
    source: dict[str, Any]


class Progress(_Described):
    """Content of progress.json."""

    num_rows: Annotated[int, Within(0, 2**40)]
    cursor: Any


class Header(_Described):
    """Content of header.json."""

    num_rows: Size
    sha256: dict[str, Sha256]
    manifest: dict[str, Any]


_Record = TypeVar("_Record", Progress, Header)


def read_record(path: Path, kind: type[_Record]) -> _Record:
    """The content of one of the files.

    Raises:
        ValueError: If it is damaged; names the file and the field.
    """
    return read_as(path, kind, f"remove {path.parent} and prepare it again")


def check_same(folder: Path, held: Mapping[str, Any], asked: dict[str, Any]) -> None:
    """Raise a ValueError that says what differs, if a record is not of the data that is asked."""
    there, here = (value | value.get("source", {}) | {"source": None} for value in (held, asked))
    differing = [
        f"{name} is {_short(there.get(name))}, not {_short(here[name])}"
        for name in here
        if there.get(name) != here[name]
    ]
    if differing:
        raise ValueError(
            f"{folder} holds other data ({'; '.join(differing)}); use another folder or remove it"
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
