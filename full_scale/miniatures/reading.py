"""What a miniature reads of its own files: rows of a study, and the JSON record. All is checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from full_scale.miniatures.base import Kind, Miniature
from reporting.files import is_stream
from reporting.typed import Sha256, Size, Within, read_as, read_rows_as, typed

_ROW_REMEDY = "delete or repair this row"
_RECORD_REMEDY = "remove it or give another file"

_Count = Annotated[int, Within(0)]


class _Row(TypedDict):
    """A row in the record of a miniature. The metrics come in addition."""

    recipe: str
    model: Kind
    nfe: _Count
    seed: _Count
    shown: NotRequired[list[str]]


class _StudyRow(_Row):
    """A row of a study."""

    miniature: str
    samples: Size
    part: str
    model_sha256: Sha256 | None


class _Sweep(TypedDict):
    latents: list[float]
    samples: list[list[str]]


class Recorded(TypedDict):
    """What the record says of one miniature."""

    part: str
    samples: Size
    quick: bool
    teacher_sha256: Sha256
    manifests: dict[str, list[dict[str, Any]]]
    rows: list[_Row]
    sweep: _Sweep | None


class _Record(TypedDict):
    miniatures: dict[str, dict[str, Any]]


def recorded_row(path: Path, miniature: Miniature, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a study with these entries; None if there is none.

    Args:
        path: the JSONL file of the study.
        miniature: its miniature.
        key: entries of the row.

    Raises:
        ValueError: If a row of the file is damaged, or this one lacks a metric or its samples.
    """
    rows = read_rows_as(path, _StudyRow, _ROW_REMEDY) if path.exists() else []
    row = next((row for row in rows if row.items() >= key.items()), None)
    if row is None:
        return None
    try:
        _check_metrics(miniature, row, "row")
        if row["model"] != "data":
            _check_shown(miniature, typed(list[str], row.get("shown"), "row.shown"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {_ROW_REMEDY}") from None
    return dict(row)


def read_record(path: Path, miniature: Miniature) -> tuple[dict[str, Any], Recorded | None]:
    """What a JSON record holds of all miniatures by name, and what it holds of one.

    Args:
        path: the file. One that does not exist holds nothing, and a device or pipe is not read.
        miniature: the one whose entry is checked.

    Raises:
        ValueError: If the file is no record of miniatures, or the entry is damaged; names the
            field. The file is left as it is.
    """
    if is_stream(path) or not path.exists():
        return {}, None
    everything = read_as(path, _Record, _RECORD_REMEDY)["miniatures"]
    held, name = everything.get(miniature.name), f"miniatures.{miniature.name}"
    if held is None:
        return everything, None
    try:
        own: Recorded = typed(Recorded, held, name)
        for index, row in enumerate(own["rows"]):
            _check_metrics(miniature, row, f"{name}.rows[{index}]")
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {_RECORD_REMEDY}") from None
    return everything, own


def _check_metrics(miniature: Miniature, row: Mapping[str, Any], name: str) -> None:
    for metric in miniature.metrics:
        typed(float, row.get(metric), f"{name}.{metric}")


def _check_shown(miniature: Miniature, shown: list[str]) -> None:
    if miniature.pictures is None:
        return
    try:
        miniature.pictures(shown)
    except (ValueError, IndexError, RuntimeError):
        raise ValueError(f"row.shown must be images of {miniature.name}") from None
