"""What the benchmark keeps on disk: rows of runs, limits, records. All are checked when read."""

from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from reporting.typed import Count, Distance, Size, Within, read_as
from toys.tasks.setting import PROCESSES

_Positive = Annotated[float, Within(0)]
_Process = Literal[*PROCESSES]
_Teacher = Literal["exact", "trained"]


class MeasuredRow(TypedDict):
    """One law of one run, as the cache of finished runs and a record hold it.

    The names of tasks and methods are open, because users add their own. `toys.benchmark.metrics`
    and `toys.tasks.setting.Output` explain the numbers.
    """

    code: str | None
    task: str
    process: _Process
    method: str
    teacher: _Teacher
    seed: Annotated[int, Within(0, 2**32 - 1)]
    budget: str
    latent: str
    nfe: Size
    tv: Distance
    kl: _Positive | None
    captured_tc: float | None
    off_support: Distance
    train_seconds: _Positive
    parameters: Count
    peak_memory: Count | None
    latent_refinement: float
    seconds: _Positive
    law: NotRequired[list[Distance]]


class FoundLimit(TypedDict):
    """The limit of N TV of a law, as the cache holds it."""

    limit: _Positive


class _Limit(TypedDict):
    task: str
    process: _Process
    n_tv: _Positive


class Record(TypedDict):
    """A record."""

    manifest: dict[str, Any]
    rows: list[MeasuredRow]
    limits: list[_Limit]


class _Line(TypedDict):
    """A line of the summary, of which the tables of the documentation are made."""

    task: str
    process: _Process
    method: str
    teacher: _Teacher
    latent: str
    nfe: Size
    seeds: Size
    speed_up: _Positive


class Summary(TypedDict):
    """The part of a record that the tables need."""

    summary: Annotated[list[_Line], Within(1)]


def read_record(path: Path | str) -> Record:
    """The record in a file.

    Raises:
        ValueError: If it is no record of the benchmark; names the file and the field.
        OSError: If it cannot be read.
    """
    return read_as(path, Record, "finished must name a record that --json wrote")


def read_summary(path: Path | str) -> Summary:
    """The summary of the record in a file, with all else that the file holds.

    Raises:
        ValueError: If it is no record of the benchmark; names the file and the field.
        OSError: If it cannot be read.
    """
    return read_as(path, Summary, f"make it again: python toys/leaderboard.py --json {path}")
