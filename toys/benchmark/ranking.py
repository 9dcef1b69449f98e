"""What a total variation is worth in steps of the teacher, and one line for several seeds.

The benchmark ranks by teacher-equivalent steps: the number N of equal steps after which the exact
product teacher reaches the same total variation, interpolated on logarithmic scales. That number
divided by the network evaluations of the method is its speed-up; more is better, the teacher has 1.

`rank` adds these values to rows, `summarise` averages over seeds, `medians` is over the tasks.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

Row = dict[str, Any]

SUMMARY = (
    *("task", "process", "method", "teacher", "latent", "nfe", "seeds", "tv", "tv_interval", "kl"),
    *("equivalent_steps", "bound", "speed_up", "train_seconds", "latent_refinement"),
)
"""Columns of `summarise` that records keep; `tv_interval` is half of the 95 % interval."""

_ONE_LINE = ["task", "process", "method", "teacher", "nfe"]
_MEANS = (
    *("tv", "kl", "captured_tc", "off_support", "equivalent_steps", "speed_up", "train_seconds"),
    *("latent_refinement", "peak_memory"),
)


class Equivalent(NamedTuple):
    """Teacher-equivalent steps.

    Attributes:
        steps: the interpolated N, or an end of the curve.
        bound: "" for a value; ">=" if the teacher's curve ends before it reaches the TV; "<" if
            one step of the teacher is already closer; "~" if the curve is `continued` there.
    """

    steps: float
    bound: str = ""


def equivalent_steps(curve: Mapping[int, float], tv: float) -> Equivalent:
    """The smallest number of teacher steps that reaches this total variation.

    Linear between the points of the curve in log N and log TV.

    Args:
        curve: TV of the exact teacher by its number of steps; it may rise in places.
        tv: the total variation to reach.

    Raises:
        ValueError: If the curve is empty.
    """
    if not curve:
        raise ValueError("curve must hold the teacher's TV after at least one number of steps")
    points = sorted(curve.items())
    n, level = points[0]
    if level <= tv:
        return Equivalent(float(n), "" if level == tv else "<")
    for later, lower in points[1:]:
        if lower <= tv:
            if tv == 0 or lower == 0:  # no logarithm: the teacher needs this step
                return Equivalent(float(later))
            share = math.log(level / tv) / math.log(level / lower)
            return Equivalent(math.exp(math.log(n) + share * math.log(later / n)))
        n, level = later, lower
    return Equivalent(float(n), ">=")


def rank(
    rows: Sequence[Mapping[str, Any]], limits: Mapping[tuple[str, str], float] | None = None
) -> list[Row]:
    """The rows with `equivalent_steps`, `bound` and `speed_up`.

    The curves to compare with are the exact teacher's rows among them. Rows of a task and noise
    without such a curve are left out.

    Args:
        rows: of any methods; the curves are the rows of method "teacher" with teacher "exact".
        limits: the limit of N TV by (task, process) where the exact curve ends early and is
            `continued`; values beyond its end have the bound "~".
    """
    curves: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        if row["method"] == "teacher" and row["teacher"] == "exact":
            curves.setdefault((row["task"], row["process"]), {})[row["nfe"]] = row["tv"]
    ranked = []
    for row in rows:
        where = row["task"], row["process"]
        curve = curves.get(where)
        if curve is None:
            continue
        value = equivalent_steps(curve, row["tv"])
        if value.bound == ">=" and limits and where in limits:
            longer = equivalent_steps(continued(curve, limits[where]), row["tv"])
            value = Equivalent(longer.steps, longer.bound or "~")
        known = {"equivalent_steps": value.steps, "bound": value.bound}
        ranked.append({**row, **known, "speed_up": value.steps / row["nfe"]})
    return ranked


def continued(curve: Mapping[int, float], limit: float, last: int = 256) -> dict[int, float]:
    r"""The curve, and beyond its last N the expansion $N\,\mathrm{TV}_N = c - b / N$.

    c is the limit of N TV, and b is chosen such that the expansion meets the last exact point. On
    3 x 3 digit patches, continued from N = 2, the expansion is off by less than 1 %.

    Args:
        curve: TV by number of steps.
        limit: c.
        last: the number of steps to continue to, in doublings.
    """
    end = max(curve)
    slope = (limit - end * curve[end]) * end
    longer = dict(curve)
    n = 2 * end
    while n <= last:
        longer[n] = (limit - slope / n) / n
        n *= 2
    return longer


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One line for the seeds of each task, process, method, teacher and number of evaluations.

    Numbers are means over the seeds, None if one seed has no value (an infinite KL divergence).

    Args:
        rows: of `rank`.

    Returns:
        The columns of `SUMMARY`, the other means, and `equivalent`: the equivalent steps as text,
        marked as a bound if they are a bound for any seed. `tv_interval` is None for one seed.
    """
    if not rows:
        return []
    groups = pd.DataFrame(rows).astype(dict.fromkeys(_MEANS, float)).groupby(_ONE_LINE, sort=False)
    values = groups[list(_MEANS)]
    lines = values.mean().where(values.count().eq(groups.size(), axis=0))
    lines["latent"] = groups["latent"].first()
    lines["seeds"] = groups.size()
    lines["tv_interval"] = _half_width(groups["tv"])
    lines["bound"] = groups["bound"].agg(lambda bounds: next(filter(None, bounds), ""))
    steps = lines["equivalent_steps"].map("{:.1f}".format)
    lines["equivalent"] = lines["bound"] + steps
    return records(lines)


def medians(lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Over the tasks: the median speed-up of each method and number of network evaluations.

    Args:
        lines: of `summarise`; a speed-up that is a bound counts as the bound.

    Returns:
        process, method, teacher, latent, nfe; tasks: how many; seeds: of the task with the fewest;
        speed_up: the median; least, greatest: the range.
    """
    if not lines:
        return []
    groups = pd.DataFrame(lines).groupby(
        ["process", "method", "teacher", "latent", "nfe"], sort=False
    )
    return records(
        groups.agg(
            tasks=("task", "size"),
            seeds=("seeds", "min"),
            speed_up=("speed_up", "median"),
            least=("speed_up", "min"),
            greatest=("speed_up", "max"),
        )
    )


def _half_width(groups: "pd.api.typing.SeriesGroupBy") -> pd.Series:
    """Half of the 95 % confidence interval of each mean by Student's t; NaN for a single value.

    The interval is exact for Gaussian values.
    """
    from scipy.stats import t as student_t  # slow to load

    return groups.sem() * student_t.ppf(0.975, groups.size() - 1)


def records(frame: pd.DataFrame) -> list[Row]:
    """One dictionary per line, with the levels of its index; None for missing values."""
    frame = frame.reset_index().astype(object)
    return frame.where(frame.notna(), None).to_dict("records")
