"""Our runs: the rows that `python -m full_scale.evaluate` adds to results/evaluations.jsonl."""

from pathlib import Path
from typing import Any

from figures import BrokenResult
from reporting import read_rows

FILE = "evaluations.jsonl"
_IDENTITY = (
    *("experiment", "role", "model", "sampler", "steps", "teacher_steps", "guidance", "redraw"),
    *("sampling_seed", "num_samples"),
)

Row = dict[str, Any]


def our_runs(
    results: Path, experiment: str, metric: str, *, checkpoints: bool = False
) -> list[Row]:
    """The rows of an experiment that have a metric, sorted; a repeated evaluation replaces the old.

    Args:
        results: folder of the records.
        experiment: name of the experiment.
        metric: name of the metric.
        checkpoints: whether to take the rows of checkpoints, or those of finished models.

    Raises:
        BrokenResult: If a row is not that of an evaluation.
    """
    path = results / FILE
    if not path.is_file():
        return []
    newest: dict[tuple[Any, ...], Row] = {}
    try:
        for row in read_rows(path):
            wanted = row["experiment"] == experiment and metric in row["metrics"]
            if wanted and row.get("checkpoint", False) == checkpoints:
                training = (row.get("weights"), row.get("training_step"))
                newest[*(row[key] for key in _IDENTITY), *training] = row
    except (KeyError, TypeError) as error:
        raise BrokenResult(f"{path} does not hold rows of evaluations ({error!r})", FILE) from None
    return sorted(newest.values(), key=lambda row: (row["role"], row["steps"], row["guidance"]))


def value(row: Row, metric: str) -> float:
    """The metric of a row."""
    return row["metrics"][metric]["value"]


def error_bar(row: Row, metric: str) -> tuple[float, float]:
    """How far its interval reaches below and above the metric; zeros if there is no interval."""
    entry = row["metrics"][metric]
    if "low" not in entry:
        return 0.0, 0.0
    return entry["value"] - entry["low"], entry["high"] - entry["value"]


def fine_print(runs: list[Row], bars: bool = True) -> str:
    """What a reader must know about our runs; `bars` says whether their intervals are drawn."""
    if not runs:
        return "ours: no run on record yet (python -m full_scale.evaluate adds one)"
    counts = sorted({row["num_samples"] for row in runs})
    text = f"ours: {' or '.join(f'{count:,}' for count in counts)} samples"
    levels = {e["level"] for row in runs for e in row["metrics"].values() if "level" in e}
    if bars and levels:
        text += f"; bars: {' or '.join(f'{level:.0%}' for level in sorted(levels))} intervals"
    if any(row["few_samples"] and "fid" in row["metrics"] for row in runs):
        text += "\n*: fewer than 50,000 samples, not comparable with published FID"
    return text


def star(row: Row) -> str:
    """An asterisk if the FID is of too few samples to compare."""
    return "*" if row["few_samples"] and "fid" in row["metrics"] else ""
