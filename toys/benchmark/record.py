"""An earlier record of the benchmark, as `--json` writes it, checked when it is read."""

from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from reporting.typed import Size, Within, read_as

Known = float | None


class _Row(TypedDict):
    """What ranking and tables need of a row."""

    task: str
    process: str
    method: str
    teacher: str
    seed: int
    budget: str
    nfe: Size
    tv: Annotated[float, Within(0, 1.000001)]
    kl: NotRequired[Known]
    captured_tc: NotRequired[Known]
    off_support: NotRequired[Known]
    train_seconds: NotRequired[Known]
    latent_refinement: NotRequired[Known]


class _Limit(TypedDict):
    task: str
    process: str
    n_tv: float


class Record(TypedDict):
    """A record."""

    manifest: dict[str, Any]
    rows: list[_Row]
    limits: list[_Limit]


def read_record(path: Path | str) -> Record:
    """The record in a file.

    Raises:
        ValueError: If it is no record of the benchmark; names the file and the field.
        OSError: If it cannot be read.
    """
    return read_as(path, Record, "finished must name a record that --json wrote")
