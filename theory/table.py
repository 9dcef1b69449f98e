r"""Tables of the claims as Markdown, for the README and for docs/.

All claims, in four tables, one for each group (numbers from a recorded run, if there is one):

    from theory.recorded import read_claims
    from theory.table import markdown, paper_markdown

    record = read_claims("results/theory.json")  # or None
    print(markdown(record))

The paper's statements in one table, one row for each statement, as the README shows it:

    print(paper_markdown(record))

On the command line, with the numbers of results/theory.json where it exists:

    python -m theory --list --markdown
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reporting import markdown_table
from theory.claim import GROUPS, NOTATION, PAPER_STATEMENTS, Claim, all_claims

Row = Mapping[str, Any]


def markdown(record: Row | None = None, claims: Sequence[Claim] | None = None) -> str:
    """The notation, and one table of claims for each group.

    Args:
        record: what `python -m theory --json FILE` has written. Without it the columns of numbers
            are left out; they are empty for a claim that the record does not have.
        claims: which claims; all by default.
    """
    chosen = all_claims() if claims is None else claims
    symbols = [[escaped(symbol), escaped(meaning)] for symbol, meaning in NOTATION.items()]
    parts = [f"## Notation\n\n{markdown_table(['symbol', 'meaning'], symbols)}"]
    for group, title in GROUPS.items():
        members = [claim for claim in chosen if claim.group == group]
        lines = [
            [
                f"{escaped(claim.statement)}<br>`{claim.name}`",
                f"`{claim.file}`",
                escaped(claim.hypotheses),
                *_numbers(record, [claim]),
            ]
            for claim in members
        ]
        if lines:
            header = ["statement and name", "file", "hypotheses", *_headers(record)]
            parts.append(f"## {title}\n\n{markdown_table(header, lines)}")
    return "\n".join(parts)


def paper_markdown(record: Row | None = None) -> str:
    """One row for each statement of the paper: in words, files, comparisons, margin.

    Args:
        record: what `python -m theory --json FILE` has written; without it there are no numbers.
    """
    lines = []
    for source, words in PAPER_STATEMENTS.items():
        claims = [c for c in all_claims() if c.group == "paper" and c.source == source]
        files = dict.fromkeys(f"`{claim.file}`" for claim in claims)
        lines.append([source, words, ", ".join(files), *_numbers(record, claims)])
    return markdown_table(["paper", "what it says", "file", *_headers(record)], lines)


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


def _headers(record: Row | None) -> list[str]:
    """The headers of the columns of numbers."""
    return ["comparisons", "margin"] if record else []


def _numbers(record: Row | None, claims: Sequence[Claim]) -> list[str]:
    """Comparisons that could have failed, and margin; empty cells if none is in the record."""
    if not record:
        return []
    names = {claim.name for claim in claims}
    rows = [row for row in record["claims"] if row["name"] in names]
    # Records of an older version do not say which comparisons could have failed.
    could_fail = sum(row.get("informative", row["cases"]) for row in rows)
    return [f"{could_fail:,}", margin(rows)] if rows else ["", ""]
