"""What the laboratory prints and records about a conjecture."""

import textwrap
from collections.abc import Mapping
from typing import Any

from flint import arb, fmpq

from theory.lab.arithmetic import Number
from theory.lab.conjecture import Conjecture
from theory.lab.exact_check import Case
from theory.lab.search import Outcome
from theory.table import escaped

WIDTH = 100  # columns
LONGEST = 200  # characters of an input in a table; a longer one is left out
LONG = 40  # characters; a longer fraction is shown as a decimal only


def described(conjecture: Conjecture, outcome: Outcome) -> str:
    """The outcome in words, with the counterexample or the closest case."""
    lines = [f"{conjecture.path}: {conjecture.text}"]
    tried = (
        f"{outcome.starts:,} random cases and {outcome.evaluations - outcome.starts:,} steps of "
        f"ascent in {outcome.seconds:.0f} seconds"
    )
    if outcome.counterexample:
        lines.append(f"FALSE. Found after {tried}. The worst case, checked in exact arithmetic:")
        return "\n".join([*map(_wrapped, lines), *_case(outcome.counterexample)])
    lines.append(f"No counterexample in {tried}. This is evidence, not a proof.")
    if outcome.doubtful:
        lines.append(
            f"{outcome.doubtful} violations in floating point were not confirmed: rounding."
        )
    if outcome.closest:
        lines.append(
            f"The closest case has (right - left) / (|left| + |right|) = {outcome.least:.2g} (or "
            "right - left, if one side is 0). Rounded it is:"
        )
        return "\n".join([*map(_wrapped, lines), *_case(outcome.closest)])
    return "\n".join(map(_wrapped, lines))


def as_row(conjecture: Conjecture, outcome: Outcome) -> dict[str, Any]:
    """The outcome for JSON."""
    case = outcome.counterexample or outcome.closest
    return {
        "file": conjecture.path,
        "conjecture": conjecture.text,
        "refuted": outcome.counterexample is not None,
        "starts": outcome.starts,
        "evaluations": outcome.evaluations,
        "unconfirmed": outcome.doubtful,
        "seconds": round(outcome.seconds, 1),
        "least_relative_margin": outcome.least,
        "case": case
        and {
            "setting": str(case.setting),
            "inputs": case.inputs,
            "left": shown(case.left),
            "right": shown(case.right),
            "margin": shown(case.margin),
        },
    }


def record_markdown(record: Mapping[str, Any]) -> str:
    """A Markdown table of recorded outcomes: conjecture, cases, outcome, and where.

    Args:
        record: what `python -m theory.lab FILES --json FILE` has written.
    """
    lines = ["| conjecture | cases tried | outcome | worst or closest case |", "|---|---|---|---|"]
    for row in record["conjectures"]:
        case, found = row["case"], f"no counterexample; closest {row['least_relative_margin']:.1g}"
        if row["refuted"]:
            found = f"**false**: right - left = {case['margin']}"
        inputs = [f"{name} = {text}" for name, text in case["inputs"].items()] if case else []
        where = "; ".join(text for text in inputs if len(text) <= LONGEST)
        cells = [escaped(row["conjecture"]), f"{row['evaluations']:,}", found]
        cells.append(f"`{where}`" if where else "see the record")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _case(case: Case) -> list[str]:
    """The inputs as Python, and both sides."""
    inputs = [
        textwrap.fill(
            f"{name} = {text}",
            WIDTH,
            initial_indent="    ",
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, text in case.inputs.items()
    ]
    sides = [
        f"    left = {shown(case.left)}",
        f"    right = {shown(case.right)}",
        f"    right - left = {shown(case.margin)}",
    ]
    return [f"    # {case.setting}", *inputs, *sides]


def shown(number: Number) -> str:
    """A rational as a fraction and a decimal, an interval by the digits that are certain."""
    if isinstance(number, arb):
        return number.str(15, radius=False) if number.rel_accuracy_bits() > 20 else str(number)
    text = str(number)
    if not isinstance(number, fmpq) or "/" not in text:
        return text
    decimal = f"{float(number):.6g}"
    return f"about {decimal} (exact)" if len(text) > LONG else f"{text} (about {decimal})"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
