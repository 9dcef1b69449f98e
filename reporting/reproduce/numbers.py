"""The numbers that a reproduction compares with the records in results/, and how closely.

Counts of claims and comparisons must be equal. Numbers of the exact engine may differ by rounding,
which depends on the processor.

Rounding also enters the training of networks. With the vector instructions of the processor turned
off, most numbers of trained methods change by less than 1e-6. A few change by up to 0.01, because a
random draw falls on the other side of a threshold and the training takes another path. Frechet
distances change by 0.2 %. The tolerances of trained methods leave room for this.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporting.provenance import shown
from reporting.records import read_json
from reporting.reproduce.stages import MINIATURES

GROUPS = {
    "paper": "What the paper states",
    "sharper": "Sharper than the paper",
    "fails": "Where the usual statement fails",
    "beyond": "Beyond the paper",
}
"""Whose statement a claim is: the titles that `python -m theory` prints."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from the recorded one: the larger of the two bounds counts.

    Attributes:
        relative: as a share of the recorded number.
        absolute: in units of the number.
    """

    relative: float
    absolute: float

    def __str__(self) -> str:
        share = f"{self.relative:.0%}" if self.relative >= 0.01 else f"{self.relative:.0e} of it"
        bounds = [share] * (self.relative > 0) + [f"{self.absolute:g}"] * (self.absolute > 0)
        return f"within {' or '.join(bounds)}" if bounds else "equal"


EQUAL = Tolerance(0.0, 0.0)
ROUNDING = Tolerance(1e-9, 1e-12)
FITTED = Tolerance(0.01, 1e-6)
TRAINED = Tolerance(0.1, 0.015)
MEASURED = Tolerance(1e-6, 1e-12)  # scores of real data, in the features of a float32 network
SCORED = Tolerance(0.1, 0.006)  # of a share of 500 samples, three samples
DISTILLED = Tolerance(0.3, 0.03)
"""Of a student. CPUs round bfloat16 differently, and 70 steps of training make 19 % of it. Shares
of 500 samples may differ by three standard errors."""


@dataclass(frozen=True)
class Number:
    """One number, recorded and computed again.

    Attributes:
        group: what it is part of.
        name: which number.
        recorded: value in results/; None if there is no such record.
        found: value of this run; None if it is missing.
        tolerance: how far the two may be apart.
    """

    group: str
    name: str
    recorded: float | None
    found: float | None
    tolerance: Tolerance

    @property
    def reproduced(self) -> bool:
        """Whether both are there and agree."""
        if self.recorded is None or self.found is None:
            return False
        distance = abs(self.found - self.recorded)
        bound = max(self.tolerance.relative * abs(self.recorded), self.tolerance.absolute)
        return math.isfinite(distance) and distance <= bound


Values = Iterator[tuple[str, float, Tolerance]]


def _claims(record: Record) -> Values:
    """Comparisons that hold in each statement of the paper, and claims that hold in each group."""
    groups: dict[str, list[Record]] = {}
    for claim in record["claims"]:
        groups.setdefault(claim["group"], []).append(claim)  # old records have no groups
    for claim in groups.pop("paper", []):
        name = f"{claim['source']}, {claim['name']}: comparisons that hold"
        yield name, claim["cases"] - claim["failed"], EQUAL
    for group, claims in groups.items():
        yield (
            f"{GROUPS.get(group, group)}: claims that hold",
            sum(c["holds"] for c in claims),
            EQUAL,
        )


def _curve(record: Record) -> Values:
    """TV after N steps, its limit and coefficient, and the distance from the closed form."""
    for row in record["rows"]:
        if row["steps"] in _SHOWN:
            yield f"TV after {_steps(row['steps'])}", row["tv"], ROUNDING
    for key, name in (("limit", "limit of N TV"), ("log_coefficient", "coefficient of log N")):
        if record.get(key) is not None:
            yield name, record[key], ROUNDING
    known = [row for row in record["rows"] if row.get("closed_form") is not None]
    if known:
        distance = max(abs(row["tv"] - row["closed_form"]) for row in known)
        yield "largest distance of TV from its closed form", distance, Tolerance(0.0, 1e-12)


_SHOWN = (1, 4, 16, 64, 256, 1024)


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _panels(record: Record) -> Values:
    """TV of each panel of figure 1 to the data law."""
    for panel in record["panels"]:
        if panel["components"] is not None:
            name = f"TV of a mixture of {panel['components']}, {_steps(panel['steps'])}"
            yield name, panel["tv"], FITTED
        elif panel["steps"] is not None:
            yield f"TV of a product, {_steps(panel['steps'])}", panel["tv"], ROUNDING


def _laws(record: Record) -> Values:
    """The curves of each law."""
    for law in record["laws"]:
        yield f"{law['law']}: total correlation", law["total_correlation"], ROUNDING
        for curve in law["curves"]:
            for name, value, tolerance in _curve(curve):
                yield f"{law['law']}, {curve['process']} noise: {name}", value, tolerance


def _methods(record: Record) -> Values:
    """TV by task and method: all rows of untrained methods, of trained ones the fewest calls."""
    fewest: dict[tuple[str, str], int] = {}
    for row in record["rows"]:
        key = row["task"], row["method"]
        fewest[key] = min(row["nfe"], fewest.get(key, row["nfe"]))
    for row in record["rows"]:
        name = f"{row['task']}, {row['method']}: TV after {_steps(row['nfe'])}"
        if row["parameters"] == 0:
            if row["nfe"] in _SHOWN:
                yield name, row["tv"], ROUNDING
        elif row["nfe"] == fewest[row["task"], row["method"]]:
            yield name, row["tv"], TRAINED


def _scores(record: Record) -> Values:
    """The main metric of each model of a miniature."""
    for miniature in record["miniatures"].values():
        for line in miniature["summary"]:
            calls = f", {line['nfe']} call{'s' * (line['nfe'] > 1)}" * (line["nfe"] > 0)
            kinds = {"data": MEASURED, "teacher": SCORED}
            tolerance = kinds.get(line["model"], DISTILLED)
            yield f"{line['recipe']}, {line['model']}{calls}", line["mean"], tolerance


@dataclass(frozen=True)
class Comparison:
    """A record of this run against one in results/.

    Attributes:
        group: what the numbers are about, for the reader.
        file: name of the record of this run.
        values: reads the numbers off a record.
        recorded: name of the record in results/; None if it is the same.
    """

    group: str
    file: str
    values: Callable[[Record], Values]
    recorded: str | None = None


COMPARISONS = (
    Comparison("Claims of the theory", "theory.json", _claims),
    *(
        Comparison(f"Two coordinates, {process}", f"two_dim_tv_{name}.json", _curve)
        for name, process in (
            ("masked", "masked pair"),
            ("uniform", "uniform pair"),
            ("absorbing", "absorbing pair"),
            ("ctmc", "two unequal rates"),
        )
    ),
    Comparison("A law with zeros, uniform grid", "two_dim_log.json", _curve),
    Comparison("A law with zeros, quadratic grid", "two_dim_log_quadratic.json", _curve),
    Comparison("Two moons", "figure1.json", _panels),
    Comparison("Digit patches", "digit_patches.json", _laws),
    Comparison("Letter windows", "letter_windows.json", _laws),
    Comparison("Quick benchmark", "leaderboard.json", _methods, "quick/leaderboard.json"),
    *(
        Comparison(f"Quick {name}", f"{name}.json", _scores, f"quick/{name}.json")
        for name in MINIATURES
    ),
)


def compare(out: Path, results: Path) -> tuple[list[Number], list[str]]:
    """All numbers, and one line for each record that cannot be read.

    Args:
        out: folder of this run.
        results: folder of the records to compare with.
    """
    numbers, faults = [], []
    for comparison in COMPARISONS:
        new, old = out / comparison.file, results / (comparison.recorded or comparison.file)
        found, recorded = _read(new, comparison, faults), _read(old, comparison, faults)
        if found and not recorded:
            faults[-1] += f"; to record this run: cp {shown(new)} {shown(old)}"
        for name, (_, tolerance) in (recorded | found).items():
            (before, _), (now, _) = recorded.get(name, _ABSENT), found.get(name, _ABSENT)
            numbers.append(Number(comparison.group, name, before, now, tolerance))
        if not (recorded or found):
            numbers.append(Number(comparison.group, "the record", None, None, EQUAL))
    return numbers, faults


_ABSENT = (None, EQUAL)


def _read(
    path: Path, comparison: Comparison, faults: list[str]
) -> dict[str, tuple[float, Tolerance]]:
    """The numbers of a record; none, and a fault, if it cannot be read."""
    try:
        return {name: (value, bound) for name, value, bound in comparison.values(read_json(path))}
    except FileNotFoundError:
        faults.append(f"{shown(path)} is missing")
    except (OSError, ValueError) as error:
        faults.append(str(error))
    except (AttributeError, LookupError, TypeError) as error:
        faults.append(f"{shown(path)} is not a record of {comparison.group.lower()} ({error!r})")
    return {}
