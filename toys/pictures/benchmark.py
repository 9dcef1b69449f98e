"""Pictures of the benchmark: which method is closest, and TV against network evaluations by task.

Both functions take a record: what `python toys/leaderboard.py --json FILE` wrote.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reporting import PALETTE, use_style
from toys.benchmark.ranking import continued, medians
from toys.benchmark.tables import CALLS, comparison, count, title_of
from toys.pictures.laws import FLOOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_NOISE = {  # colour, marker, offset from the middle of a method's line
    "masked": (PALETTE["blue"], "o", -0.18),
    "uniform": (PALETTE["vermilion"], "s", 0.18),
}
_LIMITS = (0.2, 4000)  # of teacher steps per call; the numbers of the best stand at the right
_COLUMNS = 4
_SPREAD = 0.8  # room for the points of one number of evaluations, in doublings
_GAP = 0.3  # the largest distance between two of them, in doublings
_ARROW = 1.7  # an arrow spans this factor
_LOOKS = {  # colour, marker
    "jump-your-steps": (PALETTE["blue"], "^"),
    "optimal-grid": (PALETTE["blue"], "v"),
    "sequential": (PALETTE["black"], "*"),
    "confidence": (PALETTE["sky"], "P"),
    "sdtt": (PALETTE["yellow"], "s"),
    "data-likelihood": (PALETTE["purple"], "D"),
    "rectified": (PALETTE["purple"], "X"),
    "published": (PALETTE["green"], "o"),
    "published-d": (PALETTE["green"], "s"),
    "no-control-variate": (PALETTE["green"], "d"),
    "di4c": (PALETTE["vermilion"], "o"),
    "di4c-d": (PALETTE["vermilion"], "s"),
    "di4c-d-scalar": (PALETTE["orange"], "o"),
    "di4c-d-gaussian": (PALETTE["orange"], "^"),
    "di4c-d-position": (PALETTE["orange"], "v"),
    "di4c-squared": (PALETTE["vermilion"], "D"),
    "hybrid": (PALETTE["vermilion"], "P"),
}
_OTHERS = (PALETTE["black"], "p")


def draw_leaderboard(record: Mapping[str, Any]) -> "Figure":
    """Which method is closest after 1, 2 and 4 network evaluations? One column for each number.

    A dot is the median over the laws of the equivalent teacher steps per evaluation, and its bar is
    the range. The largest median of each noise in a column is written out. Methods are sorted by
    their medians; those that need more than one evaluation come last.

    Args:
        record: what `--json` wrote; only its key "summary" is read.
    """
    use_style()
    import matplotlib.pyplot as plt

    lines = comparison(record)
    places = {method: place for place, method in enumerate(_order(lines))}
    noises = [name for name in _NOISE if any(line["process"] == name for line in lines)]
    calls = [n for n in CALLS if any(line["nfe"] == n for line in lines)] or CALLS
    size = (5.0, 0.225 * len(places) + 1.25)  # small, so that a phone shows readable text
    shared = {"sharex": True, "sharey": True, "squeeze": False}
    fig, (panels,) = plt.subplots(1, len(calls), figsize=size, **shared)
    known = {}
    for axes, nfe in zip(panels, calls, strict=True):
        here = [line for line in lines if line["nfe"] == nfe]
        axes.axvspan(1e-3, 1, color="0.92", lw=0, zorder=0)
        known["exact teacher (grey: worse)"] = axes.axvline(
            1, color=PALETTE["black"], lw=1.0, ls="-", zorder=1
        )
        for process in noises:
            own = [line for line in here if line["process"] == process]
            known[f"{process} noise"] = _draw_noise(axes, own, places, *_NOISE[process])
        laws = {line["process"]: line["tasks"] for line in here}
        *first, last = dict.fromkeys(laws[name] for name in noises if name in laws) or [0]
        shown = " and ".join([*map(str, first), count(last, "law")])
        axes.set_title(f"{count(nfe, 'call')}\n({shown})", size=9)
        axes.set(xscale="log", xlim=_LIMITS, ylim=(len(places) - 0.4, -0.6))
        axes.set_xticks([1, 10, 100], ["1", "10", "100"], size=8)
        axes.minorticks_off()
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(places)), [title_of(name) for name in places], size=8)
    fig.supxlabel("teacher steps that one call is worth: median and range over the laws", size=8)
    fig.legend(known.values(), known.keys(), loc="outside upper center", ncols=3, fontsize=8)
    return fig


def _order(lines: Sequence[Row]) -> list[str]:
    """Methods by the geometric mean of their medians in the first number of calls they serve."""
    first = {}
    for nfe in CALLS:
        for method in {line["method"] for line in lines if line["nfe"] == nfe} - first.keys():
            logs = [
                math.log(line["speed_up"])
                for line in lines
                if (line["method"], line["nfe"]) == (method, nfe)
            ]
            first[method] = nfe, -sum(logs) / len(logs)
    return sorted(first, key=first.__getitem__)


def _draw_noise(
    axes: "Axes",
    lines: Sequence[Row],
    places: Mapping[str, int],
    color: str,
    marker: str,
    offset: float,
) -> "ErrorbarContainer":
    """Draw dots and bars of one noise in one column, with the number of the largest median."""
    at = [places[line["method"]] + offset for line in lines]
    values = [line["speed_up"] for line in lines]
    bars = [
        [line["speed_up"] - line["least"] for line in lines],
        [line["greatest"] - line["speed_up"] for line in lines],
    ]
    look = {"color": color, "marker": marker, "ms": 4, "ls": "", "mew": 0}
    drawn = axes.errorbar(values, at, xerr=bars, elinewidth=0.8, zorder=2, **look)
    if lines:
        best, place = max(zip(values, at, strict=True))
        axes.plot(best, place, color=color, marker=marker, ms=6.5, mec=PALETTE["black"], mew=0.9)
        side = axes.get_yaxis_transform()
        text = {"ha": "right", "va": "center", "color": color, "weight": "bold", "size": 8}
        axes.text(0.99, place, f"{best:.1f}", transform=side, **text)
    return drawn


def draw_leaderboard_panels(record: Mapping[str, Any], process: str) -> "Figure":
    """One panel per task: each method's TV with its 95 % interval, and the teacher's curve behind.

    If an interval ends below the axis, for example at 0, an arrow stands for its lower part. The
    last panel shows the speed-up of one evaluation: median over the tasks and range.

    Args:
        record: what `--json` wrote; the keys "summary", "tasks" and "limits" are read.
        process: the noise to draw.
    """
    use_style()
    import matplotlib.pyplot as plt

    rows = [row for row in record["summary"] if row["process"] == process]
    titles = record["tasks"]
    limits = {(line["task"], line["process"]): line["n_tv"] for line in record["limits"]}
    names = [name for name in titles if any(row["task"] == name for row in rows)]
    columns = min(_COLUMNS, len(names) + 1)
    lines = math.ceil((len(names) + 1) / columns)
    entries = len({row["method"] for row in rows}) + 2  # of the legend
    size = (2.15 * columns + 1.9, max(1.85 * lines + 0.35, 0.15 * entries))
    fig, panels = plt.subplots(lines, columns, figsize=size, squeeze=False)
    known = {}
    for axes, name in zip(panels.flat, names, strict=False):
        here = [row for row in rows if row["task"] == name]
        curve = sorted((row["nfe"], row["tv"]) for row in here if _is_curve(row))
        (line,) = axes.plot(*zip(*curve, strict=True), color="0.6", ls="-", lw=2.5, zorder=1)
        known.setdefault("exact teacher, N steps", line)
        if (name, process) in limits:
            end = curve[-1][0]
            more = sorted(continued(dict(curve), limits[name, process]).items())
            more = [point for point in more if point[0] >= end]
            (line,) = axes.plot(*zip(*more, strict=True), color="0.6", ls="--", lw=1.2, zorder=1)
            known.setdefault("continued by its limit", line)
        methods = list(dict.fromkeys(row["method"] for row in here if not _is_curve(row)))
        points = [row for row in here if not _is_curve(row)]
        points.sort(key=lambda row: methods.index(row["method"]))
        places = _side_by_side([row["nfe"] for row in points])
        for method in methods:
            own = [pair for pair in zip(places, points, strict=True) if pair[1]["method"] == method]
            known.setdefault(
                title_of(method), _draw_points(axes, own, *_LOOKS.get(method, _OTHERS))
            )
        axes.set(xscale="log", yscale="log", title=titles[name])
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 4, 16, 64, 256], ["1", "4", "16", "64", "256"])
        axes.set_ylim(FLOOR / 2, 1.2)
        axes.minorticks_off()
    for axes in panels.flat[len(names) + 1 :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("TV")
    for axes in panels[-1]:
        axes.set_xlabel("network evaluations")
    _draw_medians(panels.flat[len(names)], rows)
    fig.legend(known.values(), known.keys(), loc="outside right upper")
    fig.suptitle(
        f"{process} noise; a TV below {FLOOR:g} is drawn at {FLOOR:g};\n"
        "an arrow marks a 95 % interval that ends below the axis",
        size=8,
    )
    return fig


def _side_by_side(numbers: Sequence[int]) -> list[float]:
    """Places of the points with these numbers of evaluations, side by side if they share one."""
    places = []
    for place, number in enumerate(numbers):
        count, rank = numbers.count(number), numbers[:place].count(number)
        step = min(_GAP, _SPREAD / max(count - 1, 1))
        places.append(number * 2 ** (step * (rank - (count - 1) / 2)))
    return places


def _draw_points(
    axes: "Axes", points: Sequence[tuple[float, Row]], color: str, marker: str
) -> "ErrorbarContainer":
    """Draw the points of a method with their intervals."""
    bars, arrows = [], []
    for x, row in points:
        tv, half = max(row["tv"], FLOOR), row["tv_interval"] or 0.0
        endless = tv - half < FLOOR
        bars.append((x, tv, tv - tv / _ARROW if endless else half, half))
        if endless and half:
            arrows.append((x, tv / _ARROW))
    x, tv, low, high = zip(*bars, strict=True)
    if arrows:
        axes.plot(*zip(*arrows, strict=True), color=color, marker="v", mew=0, ls="", ms=2.6)
    look = {"color": color, "marker": marker, "ls": "", "lw": 0.8, "ms": 3.8, "zorder": 2}
    return axes.errorbar(x, tv, (low, high), **look)


def _is_curve(row: Row) -> bool:
    """Whether the row is a point of the exact teacher's curve."""
    return row["method"] == "teacher" and row["teacher"] == "exact"


def _draw_medians(cell: "Axes", rows: Sequence[Row]) -> None:
    """Draw median and range of the speed-up of one evaluation, one labelled line per method."""
    cell.set_axis_off()
    cell.set_title("speed-up in one evaluation")
    axes = cell.inset_axes((0.5, 0, 0.5, 1))  # the labels take the rest of the cell
    once = [row for row in rows if row["nfe"] == 1 and not _is_curve(row)]
    found = sorted(medians(once), key=lambda line: line["speed_up"])
    for place, line in enumerate(found):
        color, marker = _LOOKS.get(line["method"], _OTHERS)
        axes.plot([line["least"], line["greatest"]], [place, place], color=color, lw=0.8, ls="-")
        axes.plot(line["speed_up"], place, color=color, marker=marker, ls="", ms=3.8)
    axes.set_yticks(range(len(found)), [title_of(line["method"]) for line in found], size=5.5)
    axes.set(xscale="log")
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    axes.set_xlim(left=0.7)  # no value is below 1; this leaves room for the markers
    axes.set_xlabel("teacher steps\n(median, range)")
    axes.minorticks_off()
