"""Check every claim; exit status 1 if any fails.

python -m theory                    the paper's statements in full, one line for each other group
python -m theory --all              every claim in full
python -m theory --only theorem2    in full those whose name or file contains the word
python -m theory --list             names, files, groups and statements; nothing is checked
python -m theory --list --markdown  the same as Markdown tables, with recorded numbers if any
python -m theory --json FILE        also write the results; --json results/theory.json records them

A claim that fails is always shown in full, with its worst comparison.
"""

import difflib
import math
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from reporting import ROOT, format_table, manifest, run_script, script_parser, write_json
from theory.claim import GROUPS, NOTATION, PAPER_STATEMENTS, Claim, all_claims
from theory.paper import statement_rows
from theory.recorded import read_claims
from theory.table import margin, markdown

RESULTS = ROOT / "results" / "theory.json"
WIDTH = 100  # columns; fewer in a narrow terminal

Row = dict[str, Any]


def main(argv: list[str] | None = None) -> None:
    """Run the claims."""
    parser = script_parser(__doc__, seed=False, figure=False, quick=False)
    parser.add_argument("--only", metavar="WORD", help="claims whose name or file contains WORD")
    parser.add_argument("--all", action="store_true", help="print every claim in full")
    parser.add_argument("--list", action="store_true", help="list the claims and stop")
    parser.add_argument("--markdown", action="store_true", help="with --list: as Markdown tables")
    args = parser.parse_args(argv)
    if args.list and args.json:
        parser.error("--json cannot be combined with --list, which checks nothing; leave it out")
    if args.markdown and not args.list:
        parser.error("--markdown needs --list; add it")
    claims = all_claims()
    if args.only:
        claims = _selected(args.only, claims)
    if args.markdown:
        print(markdown(read_claims(RESULTS) if RESULTS.exists() else None, claims), end="")
        return
    if args.list:
        for claim in claims:
            print(_wrapped(f"{claim.name} ({claim.file}, {claim.group}): {claim.statement}"))
        return
    torch.set_num_threads(1)  # the tensors are tiny: more threads are slower
    rows = []
    bar = tqdm(claims, unit="claim", disable=None, leave=False, dynamic_ncols=True)
    for claim in bar:
        bar.set_description(claim.name)
        rows.append(_row(claim))
    _report(rows, in_full=args.all or bool(args.only))
    if args.json:
        content = {"manifest": manifest(), "claims": rows, "statements": statement_rows(rows)}
        write_json(args.json, content)
        print(f"written to {args.json}")
    if not all(row["holds"] for row in rows):
        sys.exit(1)


def _report(rows: Sequence[Row], *, in_full: bool) -> None:
    """Print claims in full, the summary of each group and, last, the claims that fail."""
    failed = [row for row in rows if not row["holds"]]
    for symbol, meaning in NOTATION.items():
        print(_wrapped(f"{symbol:15} {meaning}", following=" " * 16))
    print()
    for group, title in GROUPS.items():
        shown = [row for row in rows if row["group"] == group and row["holds"]]
        if group == "paper":
            shown.sort(key=lambda row: list(PAPER_STATEMENTS).index(row["source"]))
        if shown and (in_full or group == "paper"):
            print(f"{title}\n{'-' * len(title)}", *map(_in_full, shown), sep="\n\n", end="\n\n")
    present = [group for group in GROUPS if any(row["group"] == group for row in rows)]
    print(format_table([_summary(group, rows) for group in present], _COLUMNS))
    controls = sum(row["negative_control"] for row in rows)
    cases = sum(row["informative"] for row in rows)
    others = sum(row["cases"] for row in rows) - cases
    print(_wrapped("deviation: the largest of an identity; slack: the least of an inequality"))
    print(f"\n{len(rows) - len(failed)} of {len(rows)} claims hold, {_comparisons(cases)}")
    if others:
        print(f"{_comparisons(others)} more could not fail and are not counted")
    if controls:
        print(_wrapped(f"{controls} of the claims show that a usual statement fails"))
    if not in_full:
        print("--all shows every claim, --list names them")
    for row in failed:
        print(f"\n{_in_full(row)}")


def _in_full(row: Row) -> str:
    """Several lines on one claim."""
    numbers = f"theory/{row['module']}.py; {_comparisons(row['informative'])}; {margin([row])}"
    lines = [_wrapped(f"{row['name']}: {row['verdict']} ({row['source']})")]
    parts = [row["statement"], f"Hypotheses: {row['hypotheses']}.", numbers]
    if not row["holds"]:
        parts.append(f"{row['failed']} failed. Worst case: {row['worst_failure']}")
    return "\n".join([*lines, *(_wrapped(part, "    ") for part in parts)])


def _comparisons(number: int) -> str:
    return "1 comparison" if number == 1 else f"{number:,} comparisons"


def _wrapped(text: str, indent: str = "", following: str = "    ") -> str:
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=following,
        break_on_hyphens=False,  # a formula such as (a-b) stays whole
    )


def _summary(group: str, rows: Sequence[Row]) -> Row:
    """One line on a group."""
    members = [row for row in rows if row["group"] == group]
    deviations = [r["worst_deviation"] for r in members if r["worst_deviation"] is not None]
    slacks = [row["least_slack"] for row in members if row["least_slack"] is not None]
    return {
        "title": GROUPS[group],
        "claims": len(members),
        "hold": sum(row["holds"] for row in members),
        "cases": sum(row["informative"] for row in members),
        "worst_deviation": max(deviations, default=None),
        "least_slack": min(slacks, default=None),
    }


_COLUMNS = {
    "title": ("group", ""),
    "claims": ("claims", "d"),
    "hold": ("hold", "d"),
    "cases": ("comparisons", ",d"),
    "worst_deviation": ("deviation", ".0e"),
    "least_slack": ("slack", ".0e"),
}


def _selected(word: str, claims: list[Claim]) -> list[Claim]:
    """The claims whose name or file contains the word, which may also be the path of a file."""
    plain = _plain(Path(word).stem)
    chosen = [c for c in claims if plain in _plain(c.module) or plain in _plain(c.name)]
    if not chosen:
        names = {_plain(name): name for c in claims for name in (c.name, Path(c.module).name)}
        closest = [names[close] for close in difflib.get_close_matches(plain, names)]
        hint = f"; the closest: {', '.join(closest)}" if closest else ""
        raise ValueError(f"--only {word} matches no claim and no file{hint}; --list shows all")
    return chosen


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _row(claim: Claim) -> Row:
    """Run one claim."""
    started = time.perf_counter()
    record = claim.run()
    return {
        "name": claim.name,
        "module": claim.module,
        "group": claim.group,
        "statement": claim.statement,
        "source": claim.source,
        "hypotheses": claim.hypotheses,
        "negative_control": claim.control,
        "cases": record.cases,
        "informative": record.informative,
        "worst_deviation": _finite(record.worst_deviation),
        "least_slack": _finite(record.least_slack),
        "verdict": "holds" if record.holds else "FAILED",
        "holds": record.holds,
        "failed": len(record.failures),
        "worst_failure": None if record.holds else record.complaint,
        "failures": record.failures[:10],
        "seconds": round(time.perf_counter() - started, 3),
    }


def _finite(number: float | None) -> float | None:
    """The number, or None where it is infinite: JSON has no infinity."""
    return number if number is not None and math.isfinite(number) else None


if __name__ == "__main__":
    run_script(main)
