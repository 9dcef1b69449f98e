"""Where the teacher helps: students of the miniatures that see a tenth, a third or all of the data.

Lines of students without data, and of the teacher, do not depend on the share. A point is a mean
over seeds with its 95 % interval. The record is results/miniatures.json.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import BrokenResult, load
from figures.miniatures import LOOKS, RESULT
from reporting import PALETTE, decimal_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = {
    RESULT: "python -m full_scale.miniature digits --recipes digits-data digits-data-alone "
    f"--data-share 0.1 --csv results/miniatures.csv --json results/{RESULT}"
}

_CALLS = (1, 4)  # one line of panels for each
_CURVES, _LEVELS = ("-data", "-data-alone"), ("-teacher", "")


def draw(results: Path) -> "Figure":
    """The main metric against the share of the data; a column for each miniature.

    Args:
        results: folder with the record.
    """
    import matplotlib.pyplot as plt

    everything = load(results, RESULT, "miniatures")["miniatures"]
    names = [
        name
        for name, record in everything.items()
        if any("@" in row["recipe"] for row in record["summary"])
    ]
    if not names:
        raise BrokenResult(f"{results / RESULT} has no students on shares of the data", RESULT)
    size = (1 + 2.9 * len(names), 4.4)
    fig, grid = plt.subplots(len(_CALLS), len(names), figsize=size, squeeze=False, sharex=True)
    for column, name in enumerate(names):
        record = everything[name]
        for row, calls in enumerate(_CALLS):
            _panel(grid[row, column], name, record, calls)
        grid[0, column].set_title(name)
        grid[-1, column].set_xlabel("share of the training data")
    for row, calls in enumerate(_CALLS):
        said = f"{calls} call{'s' if calls > 1 else ''}"
        grid[row, 0].set_ylabel(f"{said}: {_metric(everything[names[0]])}")
        for column, name in enumerate(names[1:], start=1):
            grid[row, column].set_ylabel(_metric(everything[name]))
    grid[0, 0].legend(loc="best")
    return fig


def _panel(axes: "Axes", name: str, record: dict[str, Any], calls: int) -> None:
    """The students of one miniature with so many calls."""
    lower = record["better"] == "lower"
    found = {(row["recipe"], row["model"]): row for row in record["summary"] if row["nfe"] == calls}
    for end in _LEVELS:
        label, colour, _ = LOOKS[end]
        model = "teacher" if end == "-teacher" else "student"
        level = found[name + end, model]["mean"]
        axes.axhline(level, color=PALETTE[colour], linestyle=":", label=label)
    for end in _CURVES:
        label, colour, marker = LOOKS[end]
        shares = {
            1.0 if "@" not in recipe else float(recipe.split("@")[1]): row
            for (recipe, model), row in found.items()
            if model == "student" and recipe.split("@")[0] == name + end
        }
        rows = [shares[share] for share in sorted(shares)]
        axes.errorbar(
            sorted(shares),
            [row["mean"] for row in rows],
            yerr=[row["interval"] or 0.0 for row in rows],
            color=PALETTE[colour],
            marker=marker,
            capsize=2,
            label=label,
        )
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.3, 1], labels=["10 %", "30 %", "100 %"])
    axes.xaxis.minorticks_off()
    if lower:
        axes.set_yscale("log")
        decimal_ticks(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)


def _metric(record: dict[str, Any]) -> str:
    return f"{record['main'].replace('_', ' ')} ({record['better']} is better)"
