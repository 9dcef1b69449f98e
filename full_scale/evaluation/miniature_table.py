"""The table and the rows of the miniatures: metrics and equivalent steps."""

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from full_scale.evaluation.spelling import METRICS
from reporting.files import write_whole

MAIN = "real_share"
"""The metric of equivalent steps."""

COLUMNS = ("recipe", "model", "nfe", "metric", "better", "seed", "value")
TEACHER_RECIPE = "words-teacher"

TABLE = {
    "recipe": ("recipe", "s"),
    "nfe": ("calls", "d"),
    "real_share": ("real words", ".4f"),
    "held_out_share": ("held-out words", ".4f"),
    "distinct_share": ("different", ".3f"),
    "letter_nll": ("letter NLL", ".3f"),
    "equivalent": ("equivalent steps", "s"),
}


def equivalent_steps(teacher: dict[int, float], calls: int, value: float) -> str:
    """Number of teacher calls that reach a share, divided by the calls of the student.

    The teacher's curve is interpolated linearly in the logarithm of its calls. It is made
    monotone: the first number of calls that reaches the share counts.

    Args:
        teacher: the teacher's share by number of calls.
        calls: calls of the student.
        value: share of the student.

    Returns:
        The ratio. It begins with "<" or ">" where the share is below or above the whole curve.
    """
    steps = sorted(teacher)
    curve = np.maximum.accumulate([teacher[n] for n in steps])
    if value < curve[0]:
        return f"<{steps[0] / calls:.2f}"
    if value > curve[-1]:
        return f">{steps[-1] / calls:.2f}"
    place = int(np.searchsorted(curve, value))
    if curve[place] == value:
        return f"{steps[place] / calls:.2f}"
    part = (value - curve[place - 1]) / (curve[place] - curve[place - 1])
    found = np.exp((1 - part) * np.log(steps[place - 1]) + part * np.log(steps[place]))
    return f"{found / calls:.2f}"


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds for each recipe and number of calls, with equivalent steps."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["recipe"], row["nfe"]), []).append(row)
    summary: list[dict[str, Any]] = [
        {"recipe": recipe, "nfe": nfe}
        | {name: fmean(row[name] for row in group) for name in METRICS}
        for (recipe, nfe), group in groups.items()
    ]
    teacher = {row["nfe"]: row[MAIN] for row in summary if row["recipe"] == TEACHER_RECIPE}
    for row in summary:
        if row["nfe"]:
            row["equivalent"] = equivalent_steps(teacher, row["nfe"], row[MAIN])
    return summary


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Put the rows into a CSV file, one line for each metric. Rows of other recipes stay in it."""
    lines = [
        dict(zip(COLUMNS, (row["recipe"], row["model"], row["nfe"], name, better), strict=False))
        | {"seed": row["seed"], "value": row[name]}
        for row in rows
        for name, better in METRICS.items()
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[~before["recipe"].isin(table["recipe"])], table])
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())
