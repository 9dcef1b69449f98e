"""Rows of the miniatures in one CSV file, their means, and equivalent steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from full_scale.miniatures.base import Better, Kind, Miniature
from reporting import format_table
from reporting.files import write_whole

COLUMNS = ("miniature", "recipe", "model", "nfe", "metric", "better", "seed", "value")
HEADLINE_CALLS = (1, 2, 4)


class Equivalent(NamedTuple):
    """Number of teacher calls with the same score, divided by the calls of a student.

    Attributes:
        steps: the ratio. If the score lies outside the teacher's curve, the ratio at its end.
        bound: ">" if the score is better than the whole curve, "<" if it is worse, else "".
    """

    steps: float
    bound: str = ""

    def __str__(self) -> str:
        return f"{self.bound}{self.steps:.2f}"


class Mean(NamedTuple):
    """A score of one model and number of calls, over the seeds.

    Attributes:
        miniature: name of the miniature.
        recipe: experiment of the student.
        model: what was measured.
        nfe: number of network calls; 0 for real data.
        metric: name of the metric.
        better: whether lower or higher is better.
        mean: mean over the seeds.
        interval: half width of the 95 % interval; None for one seed.
        equivalent: equivalent steps; None for real data and where no teacher was measured.
    """

    miniature: str
    recipe: str
    model: Kind
    nfe: int
    metric: str
    better: Better
    mean: float = 0.0
    interval: float | None = None
    equivalent: Equivalent | None = None


def equivalent_steps(
    teacher: Mapping[int, float], calls: int, value: float, better: Better
) -> Equivalent:
    """Number of teacher calls that reach a score, divided by the calls of the student.

    The teacher's curve is interpolated between its numbers of calls, linearly in the logarithm of
    the calls. Where lower is better, as for Frechet distances, the score is on a logarithmic scale
    too, unless a score is not positive. The curve is made monotone: the first number of calls that
    reaches the score counts.

    Args:
        teacher: the teacher's score by number of calls.
        calls: calls of the student.
        value: score of the student.
        better: whether lower or higher scores are better.
    """
    steps = sorted(teacher)
    scores = np.array([*(teacher[n] for n in steps), value], dtype=float)
    if better == "lower":
        scores = -(np.log(scores) if (scores > 0).all() else scores)
    curve, reached = np.maximum.accumulate(scores[:-1]), scores[-1]
    if reached < curve[0]:
        return Equivalent(steps[0] / calls, "<")
    if reached > curve[-1]:
        return Equivalent(steps[-1] / calls, ">")
    place = int(np.searchsorted(curve, reached))  # the first call that reaches it
    if curve[place] == reached:
        return Equivalent(steps[place] / calls)
    part = (reached - curve[place - 1]) / (curve[place] - curve[place - 1])
    found = np.exp((1 - part) * np.log(steps[place - 1]) + part * np.log(steps[place]))
    return Equivalent(float(found) / calls)


def long_frame(miniature: Miniature, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of a study with one line for each metric, in the columns of the CSV file."""
    lines = [
        {"miniature": miniature.name, "metric": metric, "better": better, "value": row[metric]}
        | {key: row[key] for key in ("recipe", "model", "nfe", "seed")}
        for row in rows
        for metric, better in miniature.metrics.items()
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def read_csv(path: Path) -> pd.DataFrame:
    """The rows of a CSV file.

    Raises:
        ValueError: If it does not have the columns of the miniatures, or a row has a wrong value.
    """
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # pandas raises subclasses of it
        raise ValueError(f"{path} is no CSV file ({error}); remove it or give another") from None
    if tuple(table.columns) != COLUMNS:
        raise ValueError(
            f"{path} has the columns {', '.join(table.columns)} instead of {', '.join(COLUMNS)}; "
            "remove it or give another file"
        )
    numbers = table[["nfe", "seed", "value"]].apply(pd.to_numeric, errors="coerce")
    right = np.isfinite(numbers.astype(float)).all(axis=1)
    for name, values in (("model", get_args(Kind)), ("better", get_args(Better))):
        right &= table[name].isin(values)
    wrong = [number for number, whole in enumerate(right, start=2) if not whole]
    if wrong:
        raise ValueError(
            f"{path}, line {wrong[0]}: not a row of the miniatures; remove it or give another file"
        )
    return table


def write_csv(path: Path, table: pd.DataFrame, *, add: bool = False) -> None:
    """Put rows into a CSV file. They replace those of the same miniature and recipe.

    Args:
        path: file to write.
        table: the rows.
        add: whether the rows replace those of the same seed alone, and those of real data stay.

    Raises:
        ValueError: If the file holds something else.
    """
    if add:
        table = table.loc[table["model"] != "data"]
    if path.exists():
        before, keys = read_csv(path), ["miniature", "recipe", *(["seed"] if add else [])]
        old = before.set_index(keys).index.isin(table.set_index(keys).index)
        table = pd.concat([before.loc[~old], table])
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def means(table: pd.DataFrame) -> list[Mean]:
    """Means over seeds with 95 % intervals, and equivalent steps in each metric."""
    scores: dict[Mean, list[float]] = {}
    for *group, _, value in table[list(COLUMNS)].itertuples(index=False, name=None):
        scores.setdefault(Mean(*group), []).append(value)
    found = [
        line._replace(mean=fmean(values), interval=_interval(values))
        for line, values in scores.items()
    ]
    curves: dict[tuple[str, str], dict[int, float]] = {}
    for line in found:
        if line.model == "teacher":
            curves.setdefault((line.miniature, line.metric), {})[line.nfe] = line.mean
    return [_compared(line, curves.get((line.miniature, line.metric))) for line in found]


def _interval(values: Sequence[float]) -> float | None:
    """Half width of the 95 % interval of a mean by Student's t; None for one value."""
    if len(values) == 1:
        return None
    return float(student_t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5


def _compared(line: Mean, teacher: Mapping[int, float] | None) -> Mean:
    """The line with its equivalent steps."""
    if line.nfe == 0 or teacher is None:
        return line
    found = equivalent_steps(teacher, line.nfe, line.mean, line.better)
    return line._replace(equivalent=found)


def spread(mean: float, interval: float | None) -> str:
    """A mean with its interval, as text. Without an interval, the mean alone."""
    return f"{mean:.4g}" if interval is None else f"{mean:.4g} ± {interval:.2g}"


def printed(miniature: Miniature, table: pd.DataFrame) -> str:
    """The table that the command prints: one line for each recipe, model and number of calls."""
    lines: dict[tuple[str, str, int], dict[str, Any]] = {}
    for cell in means(table):
        key = (cell.recipe, cell.model, cell.nfe)
        line = lines.setdefault(key, dict(zip(("recipe", "model", "nfe"), key, strict=True)))
        line[cell.metric] = spread(cell.mean, cell.interval)
        if cell.metric == miniature.main and cell.equivalent is not None:
            line["equivalent"] = str(cell.equivalent)
    columns = {"recipe": ("recipe", "s"), "model": ("model", "s"), "nfe": ("calls", "d")}
    columns |= {name: (name.replace("_", " "), "s") for name in miniature.metrics}
    return format_table(list(lines.values()), columns | {"equivalent": ("equivalent steps", "s")})


def headline(
    table: pd.DataFrame, main: Mapping[str, str], end: str = "", model: Kind = "student"
) -> dict[int, float]:
    """Median over the miniatures of the equivalent steps, by default of pure distillation.

    A score that is better than the teacher's whole curve counts as the end of the curve.

    Args:
        table: rows of the CSV file.
        main: the main metric of each miniature by name.
        end: what the name of the experiment has behind that of the miniature.
        model: what was measured.

    Returns:
        The median at 1, 2 and 4 calls, where it was measured.
    """
    ratios: dict[int, list[float]] = {}
    for line in means(table):
        # The experiment of pure distillation has the name of the miniature.
        wanted = (line.recipe, line.model) == (line.miniature + end, model)
        if wanted and line.metric == main.get(line.miniature) and line.equivalent is not None:
            ratios.setdefault(line.nfe, []).append(line.equivalent.steps)
    return {nfe: median(ratios[nfe]) for nfe in HEADLINE_CALLS if nfe in ratios}
