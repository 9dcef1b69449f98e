"""Which method is closest after 1, 2 and 4 network evaluations: comparison and Markdown tables.

Everything here reads a record that `python toys/leaderboard.py --json FILE` wrote:

    record = read_summary("results/leaderboard.json")
    markdown(record)            # the tables of the benchmark page, one for each noise
    markdown(record, SHORT)     # the same with at most six rows each
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reporting import markdown_table
from toys.benchmark.ranking import Row, medians
from toys.methods import METHODS

CALLS = (1, 2, 4)
"""Network evaluations that are compared."""

_LINE = ("process", "method", "teacher", "latent", "nfe", "tasks", "seeds", "speed_up")
_LINE += ("least", "greatest")

SHORT = {
    "masked": ("di4c-d", "di4c-d-scalar", "di4c", "data-likelihood", "published-d", "sdtt"),
    "uniform": ("di4c-d", "di4c", "data-likelihood", "published-d", "rectified", "sdtt"),
}
"""Methods of the short tables, by noise."""


def comparison(record: Mapping[str, Any]) -> list[Row]:
    """The lines of `medians` over laws that all methods share, for each noise and 1, 2, 4 calls.

    The laws are those that every trained method of the record serves in so many calls. A method
    that does not serve all of them is left out, as its median would be over other laws. The exact
    teacher itself is left out too: its speed-up is 1 everywhere.

    Args:
        record: what `--json` wrote; only its key "summary" is read.
    """
    lines = pd.DataFrame(record["summary"])
    unit = (lines["method"] == "teacher") & (lines["teacher"] == "exact")
    found = []
    for _, group in lines[~unit & lines["nfe"].isin(CALLS)].groupby(["process", "nfe"], sort=False):
        trained = group[[name in METHODS and METHODS[name].trained for name in group["method"]]]
        served = (group if trained.empty else trained).groupby("method")["task"].agg(set)
        laws = set.intersection(*served)
        here = medians(group[group["task"].isin(laws)].to_dict("records"))
        found += [line for line in here if line["tasks"] == len(laws)]
    return found


def count(number: int, noun: str) -> str:
    """A number with its noun, as in `1 call` and `2 calls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def title_of(method: str) -> str:
    """What pictures and tables call a method."""
    return METHODS[method].title if method in METHODS else method


def markdown(
    record: Mapping[str, Any], only: Mapping[str, Sequence[str]] | None = None
) -> dict[str, str]:
    """Tables of median speed-ups with their ranges over the laws, one for each noise.

    A speed-up is the number of equivalent teacher steps per network evaluation: more is better, the
    exact teacher has 1. The best median of each column is bold. Rows are sorted by the first
    column.

    Args:
        record: what `--json` wrote.
        only: the methods to show, by noise; all by default.

    Returns:
        A Markdown table by name of the noise, each line ending in a newline. Noise of which there
        are no such methods has none.
    """
    lines = pd.DataFrame(comparison(record), columns=_LINE)
    tables = {}
    for process, group in lines.groupby("process", sort=False):
        if only is not None:
            group = group[group["method"].isin(only[str(process)])]
        if group.empty:
            continue
        cells = {(line["method"], line["nfe"]): line for line in group.to_dict("records")}
        calls = [n for n in CALLS if n in set(group["nfe"])]
        best = {n: max(line["speed_up"] for (_, k), line in cells.items() if k == n) for n in calls}
        order = group.sort_values(["nfe", "speed_up"], ascending=[True, False])["method"].unique()
        laws = group.groupby("nfe")["tasks"].first()
        header = ["method", *(f"{count(n, 'call')}, {count(laws[n], 'law')}" for n in calls)]
        rows = []
        for method in order:
            row = [cells.get((method, n)) for n in calls]
            shown = [_cell(line, best[n]) for n, line in zip(calls, row, strict=True)]
            rows.append([title_of(method), *shown])
        tables[str(process)] = markdown_table(header, rows)
    return tables


def _cell(line: Row | None, best: float) -> str:
    """Median and range, as in `16.6 (2.8 to 205)`."""
    if line is None:
        return ""
    median, least, greatest = (
        f"{value:.0f}" if value >= 99.95 else f"{value:.1f}"
        for value in (line["speed_up"], line["least"], line["greatest"])
    )
    shown = f"**{median}**" if line["speed_up"] == best else median
    return f"{shown} ({least} to {greatest})"
