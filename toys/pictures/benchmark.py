"""The pictures of the benchmark: TV against network evaluations, and the laws one can look at."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reporting import PALETTE, use_style
from toys.benchmark.ranking import continued, medians

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_COLUMNS = 4
_SPREAD = 0.8  # of the points of one number of evaluations, in doublings
_GAP = 0.3  # between two of them at most
_FLOOR = 1e-4  # a smaller TV is drawn here: exact methods have none
_ARROW = 1.7  # the factor that an arrow spans, in place of a bar that has no end
_APART = 1.9  # the least factor between levels with names of their own
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


def draw_leaderboard(
    rows: Sequence[Row],
    titles: Mapping[str, str],
    process: str,
    limits: Mapping[tuple[str, str], float],
) -> "Figure":
    """One panel a task: each method's TV with its 95 % interval, the teacher's curve behind.

    Where an interval ends below the axis, as at 0, an arrow stands for its lower part. A last panel
    shows the speed-up of one evaluation: median over the tasks, least and greatest.

    Args:
        rows: of `toys.benchmark.ranking.summarise`.
        titles: of the tasks to draw, by name.
        process: whose rows to draw.
        limits: of N TV by (task, process), where the exact curve ends early: it goes on dashed.
    """
    use_style()
    import matplotlib.pyplot as plt

    rows = [row for row in rows if row["process"] == process]
    names = [name for name in titles if any(row["task"] == name for row in rows)]
    columns = min(_COLUMNS, len(names) + 1)
    lines = math.ceil((len(names) + 1) / columns)
    entries = len({row["method"] for row in rows}) + 2  # of the legend
    size = (2.15 * columns + 1.5, max(1.85 * lines + 0.35, 0.15 * entries))
    fig, panels = plt.subplots(lines, columns, figsize=size, squeeze=False)
    known = {}
    for axes, name in zip(panels.flat, names, strict=False):
        here = [row for row in rows if row["task"] == name]
        curve = sorted((row["nfe"], row["tv"]) for row in here if _is_curve(row))
        (line,) = axes.plot(*zip(*curve, strict=True), color="0.6", ls="-", lw=2.5, zorder=1)
        known.setdefault("teacher, N steps", line)
        if (name, process) in limits:
            end = curve[-1][0]
            more = sorted(continued(dict(curve), limits[name, process]).items())
            more = [point for point in more if point[0] >= end]
            (line,) = axes.plot(*zip(*more, strict=True), color="0.6", ls="--", lw=1.2, zorder=1)
            known.setdefault("its limit of N TV", line)
        methods = list(dict.fromkeys(row["method"] for row in here if not _is_curve(row)))
        points = [row for row in here if not _is_curve(row)]
        points.sort(key=lambda row: methods.index(row["method"]))
        places = _side_by_side([row["nfe"] for row in points])
        for method in methods:
            own = [pair for pair in zip(places, points, strict=True) if pair[1]["method"] == method]
            known.setdefault(method, _draw_points(axes, own, *_LOOKS.get(method, _OTHERS)))
        axes.set(xscale="log", yscale="log", title=titles[name])
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 4, 16, 64, 256], ["1", "4", "16", "64", "256"])
        axes.set_ylim(_FLOOR / 2, 1.2)
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
        f"{process} noise; a TV below {_FLOOR:g} is drawn at {_FLOOR:g};\n"
        "an arrow is a 95 % interval that ends below",
        size=8,
    )
    return fig


def _side_by_side(numbers: Sequence[int]) -> list[float]:
    """Where points of these numbers of evaluations stand: on top of each other they would hide."""
    places = []
    for place, number in enumerate(numbers):
        count, rank = numbers.count(number), numbers[:place].count(number)
        step = min(_GAP, _SPREAD / max(count - 1, 1))
        places.append(number * 2 ** (step * (rank - (count - 1) / 2)))
    return places


def _draw_points(
    axes: "Axes", points: Sequence[tuple[float, Row]], color: str, marker: str
) -> "ErrorbarContainer":
    """The points of a method with their intervals."""
    bars, arrows = [], []
    for x, row in points:
        tv, half = max(row["tv"], _FLOOR), row["tv_interval"] or 0.0
        endless = tv - half < _FLOOR
        bars.append((x, tv, tv - tv / _ARROW if endless else half, half))
        if endless and half:
            arrows.append((x, tv / _ARROW))
    x, tv, low, high = zip(*bars, strict=True)
    if arrows:
        axes.plot(*zip(*arrows, strict=True), color=color, marker="v", mew=0, ls="", ms=2.6)
    look = {"color": color, "marker": marker, "ls": "", "lw": 0.8, "ms": 3.8, "zorder": 2}
    return axes.errorbar(x, tv, (low, high), **look)


def _is_curve(row: Row) -> bool:
    """Whether it is a point of the curve behind: the exact teacher's."""
    return row["method"] == "teacher" and row["teacher"] == "exact"


def _draw_medians(cell: "Axes", rows: Sequence[Row]) -> None:
    """One line a method, with its name: median, least and greatest speed-up of one evaluation."""
    cell.set_axis_off()
    cell.set_title("speed-up in one evaluation")
    axes = cell.inset_axes((0.4, 0, 0.6, 1))  # the names stand in the rest of the cell
    once = [row for row in rows if row["nfe"] == 1 and not _is_curve(row)]
    found = sorted(medians(once), key=lambda line: line["speed_up"])
    for place, line in enumerate(found):
        color, marker = _LOOKS.get(line["method"], _OTHERS)
        axes.plot([line["least"], line["greatest"]], [place, place], color=color, lw=0.8, ls="-")
        axes.plot(line["speed_up"], place, color=color, marker=marker, ls="", ms=3.8)
    axes.set_yticks(range(len(found)), [line["method"] for line in found], size=5.5)
    axes.set(xscale="log")
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    axes.set_xlim(left=0.7)  # none is below 1: room for the markers
    axes.set_xlabel("teacher steps (median, range)", loc="right")
    axes.minorticks_off()


def draw_laws(laws: Sequence[Row], titles: Mapping[str, str]) -> "Figure":
    """One line a task, one column a method and number of steps: heat maps of exact laws.

    Args:
        laws: {"task", "method", "nfe", "tv", "probs" (S, S)}; the data is the method "data".
        titles: of the tasks to draw, by name.
    """
    use_style()
    import matplotlib.pyplot as plt
    from matplotlib.colors import PowerNorm

    kinds = list(dict.fromkeys((law["method"], law["nfe"]) for law in laws))
    fig, panels = plt.subplots(
        len(titles),
        len(kinds),
        figsize=(1.05 * len(kinds) + 0.3, 1.28 * len(titles) + 0.1),
        squeeze=False,
    )
    found = {(law["task"], law["method"], law["nfe"]): law for law in laws}
    for line, (task, title) in zip(panels, titles.items(), strict=True):
        data = found[task, "data", 0]["probs"]
        # One scale a line, by the data; the square root shows thin mass between the parts.
        norm = PowerNorm(0.5, vmin=0.0, vmax=max(map(max, data)), clip=True)
        for axes, kind in zip(line, kinds, strict=True):
            law = found.get((task, *kind))
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            if law is None:
                axes.set_axis_off()
                continue
            picture = list(zip(*law["probs"], strict=True))  # the first coordinate to the right
            axes.imshow(picture, norm=norm, origin="lower", interpolation="nearest")
            axes.set_xlabel("" if kind[0] == "data" else f"TV {law['tv']:.3f}", labelpad=1.5)
        line[0].set_ylabel(title)
    scale = "colours: square root of the probability, on one scale a line, up to the data's maximum"
    fig.supxlabel(scale, fontsize=6, color="0.3")
    for axes, (method, nfe) in zip(panels[0], kinds, strict=True):
        steps = "" if method == "data" else "\n1 step" if nfe == 1 else f"\n{nfe} steps"
        axes.set_title(method + steps, size=7)
    return fig


def draw_components(laws: Sequence[Row]) -> "Figure":
    """One panel a law: TV of the best fit against K, the bounds as a band, the teacher as levels.

    Args:
        laws: as `toys.components.study` returns them.
    """
    use_style()
    import matplotlib.pyplot as plt

    columns = min(3, len(laws))
    lines = math.ceil(len(laws) / columns)
    fig, panels = plt.subplots(
        lines, columns, figsize=(2.5 * columns, 2.0 * lines + 0.4), squeeze=False
    )
    for axes, law in zip(panels.flat, laws, strict=False):
        number, tv, lower, upper = (
            [row[name] for row in law["rows"]] for name in ("components", "tv", "lower", "upper")
        )
        band = [[max(value, _FLOOR) for value in side] for side in (lower, upper)]
        axes.fill_between(
            number,
            *band,
            color=PALETTE["sky"],
            alpha=0.25,
            lw=0,
            label="bounds of the least TV",
        )
        axes.plot(
            number,
            [max(value, _FLOOR) for value in tv],
            color=PALETTE["black"],
            marker="o",
            ls="-",
            label="best of the likeliest K products (EM)",
        )
        _mark_teacher(axes, law["teacher"])
        below, above = law["needed"]
        needed = f"{below}" if below == above else f"{below} to {above}"
        axes.set_title(f"{law['title']}\nexact with {needed}", size=7.5)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(number, [str(n) for n in number])
        axes.set_ylim(_FLOOR / 2, 1.5)
        axes.minorticks_off()
    for axes in panels.flat[len(laws) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("TV")
    for axes in panels[-1]:
        axes.set_xlabel("components K")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    line = plt.Line2D([], [], color=PALETTE["vermilion"], lw=0.7, ls=":")
    fig.legend([*handles, line], [*labels, "teacher, N steps"], loc="outside lower center", ncols=3)
    fig.suptitle(f"a TV below {_FLOOR:g}, zero included, is drawn at {_FLOOR:g}", size=7.5)
    return fig


def _mark_teacher(axes: "Axes", rows: Sequence[Row]) -> None:
    """Its levels, named beside the panel; those that are too close for it share a name."""
    groups: list[list[tuple[float, int]]] = []
    levels = sorted((max(row["tv"], _FLOOR), -row["steps"]) for row in rows)
    for tv, steps in reversed(levels):
        axes.axhline(tv, color=PALETTE["vermilion"], lw=0.7, ls=":")
        if groups and groups[-1][-1][0] < _APART * tv:
            groups[-1].append((tv, -steps))
        else:
            groups.append([(tv, -steps)])
    for group in groups:
        name = "N = " + ", ".join(str(steps) for _, steps in group)
        middle = math.sqrt(group[0][0] * group[-1][0])
        beside = axes.get_yaxis_transform()
        axes.text(1.02, middle, name, transform=beside, size=5.5, va="center")
