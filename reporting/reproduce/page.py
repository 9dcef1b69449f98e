"""The report of a reproduction: one HTML page that holds its pictures and needs no network."""

import base64
import itertools
import statistics
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reporting.files import write_whole
from reporting.records import read_json
from reporting.reproduce.numbers import GROUPS, Number
from reporting.reproduce.stages import DRAWN, MINIATURES, Outcome

Record = dict[str, Any]


def write_page(
    path: Path,
    out: Path,
    results: Path,
    outcomes: Sequence[Outcome],
    numbers: Sequence[Number],
    manifest: Record,
    seconds: float,
) -> None:
    """Write the report.

    Args:
        path: HTML file to write.
        out: folder of this run.
        results: folder of the recorded runs: what takes hours is shown from there.
        outcomes: how each step ended.
        numbers: what was compared.
        manifest: machine, versions and date of this run.
        seconds: how long the run took.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # slow

    environment = Environment(
        loader=PackageLoader("reporting", "reproduce"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "small": small, "duration": duration}
    theory = _read(out / "theory.json")
    claims = theory.get("claims", [])
    page = environment.get_template("report.html").render(
        style=Path(__file__).with_name("report.css").read_text("utf-8"),
        claims=sorted((c for c in claims if c["group"] == "paper"), key=_place),
        groups=[_summary(group, claims) for group in GROUPS],
        statements=theory.get("statements", []),
        informative=informative,
        pictures={name: _picture(name, out, results) for name in PICTURES},
        ranked=_RANKED,
        ranking=_ranking(_read(results / "leaderboard.json")),
        miniatures=_miniatures(_read(results / "miniatures.json")),
        outcomes=outcomes,
        seconds=seconds,
        numbers=[
            (group, list(members))
            for group, members in itertools.groupby(numbers, lambda entry: entry.group)
        ],
        count=len(numbers),
        reproduced=sum(entry.reproduced for entry in numbers),
        manifest=manifest,
    )
    write_whole(path, page.encode())


_SCALE = 0.5  # of the pixels of a picture, which has 250 for an inch
PICTURES = ("figure1", "theorem1", "theorem2", "leaderboard", *MINIATURES)


def _read(path: Path) -> Record:
    """A record; empty if it cannot be read, which the comparison of numbers reports."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


_ORDER = (
    *("Proposition 1", "Lemma 1", "Theorem 1, upper", "Theorem 1, lower", "Theorem 2"),
    *("Losses", "Surrogate", "Control"),
)


def _place(claim: Record) -> int:
    """Place of a claim in the paper's order."""
    found = (place for place, name in enumerate(_ORDER) if claim["source"].startswith(name))
    return next(found, len(_ORDER))


def informative(claim: Record) -> int:
    """Comparisons that could have failed; all of them in a record that does not count these."""
    return claim.get("informative", claim["cases"])


def _summary(group: str, claims: Sequence[Record]) -> Record:
    """One line on the claims of a group."""
    members = [claim for claim in claims if claim["group"] == group]
    return {
        "title": GROUPS[group],
        "claims": len(members),
        "hold": sum(claim["holds"] for claim in members),
        "cases": sum(map(informative, members)),
        "failed": [claim["name"] for claim in members if not claim["holds"]],
    }


def _picture(name: str, out: Path, results: Path) -> Record | None:
    """A picture as a data URI and whether it was drawn from this run; None if there is none."""
    for folder, new in ((out, True), (results, False)):
        path = folder / "figures" / f"{name}.png"
        if new <= (name in DRAWN) and path.is_file():
            content = path.read_bytes()
            wide, high = struct.unpack(">II", content[16:24])  # where a PNG has its size
            return {
                "uri": f"data:image/png;base64,{base64.b64encode(content).decode()}",
                "new": new,
                "width": round(wide * _SCALE),
                "panels": wide > 1.5 * high,
            }
    return None


_RANKED = 6
_CALLS = (1, 2, 4)


def _ranking(record: Record) -> list[Record]:
    """For each noise the methods that are best after one call, with their median speed-ups.

    Methods that do not serve as many laws as the others are left out: their medians would be over
    other laws.
    """
    tables = []
    for process in ("masked", "uniform"):
        lines: dict[str, Record] = {}
        for calls in _CALLS:
            rows = [
                row
                for row in record.get("medians", [])
                if (row["process"], row["nfe"], row["teacher"]) == (process, calls, "exact")
            ]
            laws = statistics.mode(row["tasks"] for row in rows) if rows else 0
            for row in rows:
                if row["tasks"] == laws:
                    title = record["methods"].get(row["method"], row["method"])
                    lines.setdefault(row["method"], {"method": title})[calls] = row
        once = [line for line in lines.values() if 1 in line]
        once.sort(key=lambda line: -line[1]["speed_up"])
        tables.append({"process": process, "lines": once[:_RANKED]})
    return tables


def _miniatures(record: Record) -> list[Record]:
    """For each miniature the scores of the teacher and of a student that saw no data."""
    tables = []
    for name, data in MINIATURES.items():
        found = record.get("miniatures", {}).get(name)
        if found is None:
            continue
        lines = {(x["recipe"], x["model"], x["nfe"]): x for x in found["summary"]}
        pairs = [
            (n, lines.get((f"{name}-teacher", "teacher", n)), lines.get((name, "student", n)))
            for n in _CALLS
        ]
        metric = f"{found['main'].replace('_', ' ')}, {found['better']} is better"
        tables.append(
            {
                "name": name,
                "data": data,
                "metric": metric,
                "lines": [pair for pair in pairs if None not in pair],
            }
        )
    return tables


def number(value: float | None) -> str:
    """A number to read: six digits, a dash where there is none."""
    return "-" if value is None else f"{value:.6g}"


def small(value: float | None) -> str:
    """A deviation or a slack: one digit and its power of ten."""
    return "-" if value is None else f"{value:.0e}" if value else "0"


def duration(seconds: float) -> str:
    """As in 2 min 15 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
