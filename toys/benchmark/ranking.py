"""What a total variation is worth in steps of the teacher, and one line for several seeds.

The headline is teacher-equivalent steps: the number N of equal steps after which the exact product
teacher reaches the same total variation, interpolated on logarithmic scales. Divided by the network
evaluations that the method took it is a speed-up.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_MEANS = (
    *("tv", "kl", "captured_tc", "off_support", "equivalent_steps", "speed_up", "train_seconds"),
    *("latent_refinement", "peak_memory"),
)


class Equivalent(NamedTuple):
    """Teacher-equivalent steps.

    Attributes:
        steps: the interpolated N, or an end of the curve.
        bound: "" for a value, ">=" where the curve ends before it gets so low, "<" where already
            one step of the teacher is better, "~" on an asymptotic curve.
    """

    steps: float
    bound: str = ""


def equivalent_steps(curve: Mapping[int, float], tv: float) -> Equivalent:
    """The number of teacher steps that reaches this total variation first.

    Linear between the points of the curve in log N and log TV.

    Args:
        curve: TV of the exact teacher by its number of steps; needs not fall everywhere.
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
            if tv == 0 or lower == 0:  # no logarithm: not before this step
                return Equivalent(float(later))
            share = math.log(level / tv) / math.log(level / lower)
            return Equivalent(math.exp(math.log(n) + share * math.log(later / n)))
        n, level = later, lower
    return Equivalent(float(n), ">=")


class Interval(NamedTuple):
    """A mean over seeds with the half-width of its 95 % interval, None for a single seed."""

    mean: float
    half_width: float | None


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % confidence interval by Student's t; exact for Gaussian seeds."""
    if not values:
        raise ValueError("values must hold at least one number; got none")
    count, mean = len(values), math.fsum(values) / len(values)
    if count == 1:
        return Interval(mean, None)
    from scipy.stats import t as student_t  # slow to load

    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Interval(mean, float(student_t.ppf(0.975, count - 1)) * math.sqrt(variance / count))


def rank(
    rows: Sequence[Mapping[str, Any]], limits: Mapping[tuple[str, str], float] | None = None
) -> list[dict[str, Any]]:
    """Rows with `equivalent_steps`, `bound` and `speed_up` by the teacher's rows among them.

    Where the exact teacher has no row yet, nothing can be ranked, and the rows are left out.

    Args:
        rows: of any methods; those of the method "teacher", the exact one, are the curves.
        limits: the limit of N TV by (task, process) where the exact curve ends early and is
            `continued`; values beyond its end have the bound "~".
    """
    curves: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        if row["method"] == "teacher" and row.get("teacher", "exact") == "exact":
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
        known = {"teacher": row.get("teacher", "exact"), "speed_up": value.steps / row["nfe"]}
        known |= {"equivalent_steps": value.steps, "bound": value.bound}
        ranked.append({**row, **known})
    return ranked


def continued(curve: Mapping[int, float], limit: float, last: int = 256) -> dict[int, float]:
    r"""The curve, and beyond its last N the expansion $N\,\mathrm{TV}_N = c - b / N$.

    c is the limit of N TV and b makes the expansion meet the last exact point. On 3 x 3 digit
    patches, continued from N = 2, it is off by less than 1 %.

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


def recorded_limits(record: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """The limits of N TV, by (task, process), of what `--json` wrote; older records have none."""
    return {(line["task"], line["process"]): line["n_tv"] for line in record.get("limits", ())}


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line for the seeds of each task, process, method and number of network evaluations.

    Numbers are means over seeds, None where a seed has none; `tv_interval` is the half-width of the
    95 % interval of the TV, and `equivalent` the mean in words, a bound if any seed has one.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("task", "process", "method", "teacher", "nfe"))
        groups.setdefault(key, []).append(row)
    return [_summary(group) for group in groups.values()]


def medians(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The headline: the median over tasks of the speed-up, for each method and number of calls.

    Args:
        lines: of `summarise`; a speed-up that is a bound counts as the bound.

    Returns:
        process, method, teacher, latent, nfe; tasks: how many; seeds: of the task with the fewest;
        speed_up: their median; least, greatest.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for line in lines:
        key = tuple(line[name] for name in ("process", "method", "teacher", "latent", "nfe"))
        groups.setdefault(key, []).append(line)
    found = []
    for (process, method, teacher, latent, nfe), group in groups.items():
        values = [line["speed_up"] for line in group]
        found.append(
            {"process": process, "method": method, "teacher": teacher, "latent": latent, "nfe": nfe}
            | {"tasks": len(group), "seeds": min(line["seeds"] for line in group)}
            | {"speed_up": statistics.median(values), "least": min(values), "greatest": max(values)}
        )
    return found


def _summary(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    line = dict(group[0]) | {"seeds": len(group)}
    for name in _MEANS:
        values = [row[name] for row in group]
        line[name] = None if None in values else interval(values).mean
    line["tv_interval"] = interval([row["tv"] for row in group]).half_width
    line["bound"] = next((row["bound"] for row in group if row["bound"]), "")
    line["equivalent"] = f"{line['bound']}{line['equivalent_steps']:.1f}"
    return line
