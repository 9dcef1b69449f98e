"""The processes whose certificates are recorded, and how the record is read and shown."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypedDict

from reporting import ROOT, markdown_table
from reporting.typed import read_as
from theory.certified.recurrence import Entry

RECORD = ROOT / "results" / "certificate.json"
REMEDY = "make it again with --json"
STEPS = range(1, 9)  # columns of the table

_PROCESSES: list[tuple[str, tuple[str, ...], str | None, int]] = [
    ("masked", ("1/2",), None, 8),
    ("masked", ("1/2",), "1", 8),
    *(("two-state", (pi,), None, 8) for pi in ("1/2", "1/4", "1/10", "1/50", "0")),
    *(("two-state", (pi,), "1", 8) for pi in ("1/2", "1/4", "1/10", "0")),
    ("two-state", ("1/4", "1/2"), None, 3),
]
"""Noise, pi or its interval, (a + b) T, and the largest N. Masked noise has no pi."""


class Certificate(TypedDict):
    """A certificate on disk."""

    entries: list[Entry]


def family() -> list[dict[str, Any]]:
    """Noise, pi, rate and N of all entries of the record."""
    return [
        {"noise": noise, "pi": pi, "rate": rate, "N": num_steps}
        for noise, pi, rate, most_steps in _PROCESSES
        for num_steps in range(1, most_steps + 1)
    ]


def entries_of(path: Path = RECORD) -> list[Entry]:
    """The entries of a certificate. They are not verified.

    Raises:
        ValueError: if the file is no certificate; names the file and the field.
        OSError: if it cannot be read.
    """
    return read_as(path, Certificate, REMEDY)["entries"]


def title(entry: Entry) -> str:
    """The process in words."""
    schedule = "linear" if entry["rate"] is None else f"(a + b) T = {entry['rate']}"
    if entry["noise"] == "masked":
        return f"masked, {schedule}"
    name = {"1/2": "uniform", "0": "absorbing"}.get(entry["pi"][-1], "two-state")
    if len(entry["pi"]) == 2:
        name = f"all pi from {entry['pi'][0]} to {entry['pi'][1]}"
    elif name == "two-state":
        name = f"pi = {entry['pi'][0]}"
    return f"{name}, {schedule}"


def recorded_table() -> str:
    """The Markdown table of the recorded certificate."""
    return table(entries_of())


def table(entries: Sequence[Entry]) -> str:
    """A Markdown table: for each process and N the bounds, and the law for the largest N."""
    header = ["process", *(f"N = {n}" for n in STEPS), "law for the last N: 00, 01, 10, 11"]
    lines = []
    for name, group in groupby(entries, title):
        found = {entry["N"]: entry for entry in group}
        bounds = [f"{found[n]['lower'][:5]} to {_up(found[n]['upper'])}" for n in found]
        missing = [""] * (len(STEPS) - len(found))
        last = found[max(found)]
        at = f" (pi = {last['law_pi']})" if len(last["pi"]) == 2 else ""
        lines.append([name, *bounds, *missing, ", ".join(last["law"]) + at])
    return markdown_table(header, lines)


def _up(decimal: str) -> str:
    """The smallest number with three decimals that is not below."""
    thousandths = -(-int(decimal.replace(".", "")) // 1000)
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"
