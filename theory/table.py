r"""Tables of the claims as Markdown, for the README and for docs/.

All claims, in four tables, one for each group (numbers from a recorded run, if there is one):

    from reporting import read_json
    from theory.table import markdown, paper_markdown

    record = read_json(Path("results/theory.json"))  # or None
    print(markdown(record))

The paper's statements in one table, one row for each statement, as the README shows it:

    print(paper_markdown(record))

On the command line, with the numbers of results/theory.json where it exists:

    python -m theory --list --markdown
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from theory.claim import GROUPS, PAPER_STATEMENTS, Claim, all_claims

Row = Mapping[str, Any]


def markdown(record: Row | None = None, claims: Sequence[Claim] | None = None) -> str:
    """The claims as one table for each group.

    Args:
        record: what `python -m theory --json FILE` has written; without it, and for a claim that
            it does not hold, the columns of numbers are left out or empty.
        claims: which claims; all by default.
    """
    rows = _recorded(record)
    parts = []
    for group, title in GROUPS.items():
        members = [c for c in (all_claims() if claims is None else claims) if c.group == group]
        if not members:
            continue
        lines = [
            [
                f"{escaped(c.statement)}<br>`{c.name}`",
                f"`{c.file}`",
                escaped(c.hypotheses),
                *_numbers([rows[c.name]] if c.name in rows else []),
            ]
            for c in members
        ]
        header = ["statement and name", "file", "hypotheses", "comparisons", "margin"]
        parts.append(f"## {title}\n\n{_table(header, lines, numbers=bool(rows))}")
    return "\n\n".join(parts) + "\n"


def paper_markdown(record: Row | None = None) -> str:
    """One row for each statement of the paper: files, comparisons, margin.

    Args:
        record: what `python -m theory --json FILE` has written; without it there are no numbers.
    """
    rows = _recorded(record)
    lines = []
    for source in PAPER_STATEMENTS:
        claims = [c for c in all_claims() if c.group == "paper" and c.source == source]
        files = dict.fromkeys(f"`{c.file}`" for c in claims)
        known = [rows[c.name] for c in claims if c.name in rows]
        text = " ".join(escaped(c.statement) for c in claims)
        lines.append([source, text, ", ".join(files), *_numbers(known)])
    header = ["paper", "what is checked", "file", "comparisons", "margin"]
    return _table(header, lines, numbers=bool(rows)) + "\n"


def margin(rows: Sequence[Row]) -> str:
    """The worst deviation of the identities and the least slack of the inequalities, in words."""
    deviations = [row["worst_deviation"] for row in rows if row["worst_deviation"] is not None]
    slacks = [row["least_slack"] for row in rows if row["least_slack"] is not None]
    words = []
    if deviations:
        worst = max(deviations)
        words.append(f"off by at most {worst:.0e}" if worst else "no deviation")
    if slacks:
        words.append(f"slack at least {min(slacks):.0e}")
    return ", ".join(words) or "no number"


def escaped(text: str) -> str:
    """The text so that Markdown shows every character as it is."""
    return re.sub(r"([\\`*_\[\]<>|$~])", r"\\\1", text)


def _recorded(record: Row | None) -> dict[str, Row]:
    """Rows of a recorded run by name."""
    return {row["name"]: row for row in record["claims"]} if record else {}


def _numbers(rows: Sequence[Row]) -> list[str]:
    """The two cells of numbers; empty without a recorded row."""
    return [f"{sum(row['cases'] for row in rows):,}", margin(rows)] if rows else ["", ""]


def _table(header: list[str], lines: list[list[str]], *, numbers: bool) -> str:
    """A Markdown table; without numbers the last two columns are dropped."""
    kept = len(header) if numbers else -2
    rows = [header[:kept], ["---"] * len(header[:kept]), *(line[:kept] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
