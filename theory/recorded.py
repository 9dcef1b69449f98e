"""The record of a run of all claims, checked when it is read."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NotRequired, TypedDict

from reporting.claims import ClaimRow, failed
from reporting.typed import Count, checking, read_as

REMEDY = "record the claims again: python -m theory --json results/theory.json"
_SHOWN = 5  # names that a message lists


class RecordedClaim(ClaimRow):
    """One claim with its numbers, as `theory.record.Record` explains them."""

    informative: NotRequired[Count]  # records of an older version do not have it
    worst_deviation: float | None
    least_slack: float | None


class TheoryRecord(TypedDict):
    """What `python -m theory --json FILE` writes."""

    claims: list[RecordedClaim]


def read_claims(path: Path | str, needed: Iterable[str] = ()) -> TheoryRecord:
    """The record in a file, in which every claim holds.

    Args:
        path: the file.
        needed: names of claims that it must have.

    Raises:
        ValueError: If it is no such record, a claim fails, is there twice or is missing; names it.
        OSError: If it cannot be read.
    """
    record = read_as(path, TheoryRecord, REMEDY)
    names = [claim["name"] for claim in record["claims"]]
    with checking(path, REMEDY):
        for problem, found in (
            ("claims that do not hold", failed(record["claims"])),
            ("claims that are there twice", [n for n, k in Counter(names).items() if k > 1]),
            ("no claims of the names", [name for name in needed if name not in names]),
        ):
            if found:
                more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
                raise ValueError(f"it has {problem}: {', '.join(found[:_SHOWN])}{more}")
    return record
