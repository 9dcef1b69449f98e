"""Where the teacher helps: students of the miniatures that see a tenth, a third or all of the data.

The first panels have the main metric. The last ones show memory: the share of samples that are
nearer to an image that the student was trained on than to a new one, or the share of held-out words
among the real words. Lines of students without data, and of the teacher, do not depend on the
share. A point is a mean over seeds. The record is results/miniatures.json.
"""

from pathlib import Path
from statistics import fmean
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

_CALLS = (1, 4)  # one column of panels for each
_CURVES, _LEVELS = ("-data", "-data-alone"), ("-teacher", "")


def draw(results: Path) -> "Figure":
    """The main metric and the memory against the share of the data, by miniature.

    Args:
        results: folder with the record.
    """
    import matplotlib.pyplot as plt

    everything = load(results, RESULT, "miniatures")["miniatures"]
    records = {
        name: record
        for name, record in everything.items()
        if any("@" in row["recipe"] for row in record["rows"])
    }
    if not records:
        raise BrokenResult(f"{results / RESULT} has no students on shares of the data", RESULT)
    columns, size = len(_CALLS) + 1, (7.2, 0.5 + 2.2 * len(records))
    fig, grid = plt.subplots(len(records), columns, figsize=size, squeeze=False)
    for line, (name, record) in zip(grid, records.items(), strict=True):
        main = record["main"]
        for axes, calls in zip(line[:-1], _CALLS, strict=True):
            _panel(axes, name, _values(record, calls, main))
            if record["better"] == "lower":
                axes.set_yscale("log")
                decimal_ticks(axes.yaxis, (1, 1.5, 2, 3, 5))
            else:
                axes.set_ylim(bottom=0)
            axes.set_title(f"{name}, {calls} call{'s' * (calls > 1)}")
            axes.set_ylabel(f"{main.replace('_', ' ')} ({record['better']} is better)")
        _panel(line[-1], name, _memory(record, _CALLS[-1]))
        line[-1].set_title(f"{name}, {_CALLS[-1]} calls")
        line[-1].set_ylabel(_memory_name(record))
    for axes in grid[-1]:
        axes.set_xlabel("share of the training data")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return fig


def _panel(axes: "Axes", name: str, values: dict[str, float]) -> None:
    """Levels of the teacher and of pure distillation, and curves of the others.

    Args:
        axes: where to draw.
        name: name of the miniature.
        values: a value for each recipe.
    """
    for end in _LEVELS:
        label, colour, _ = LOOKS[end]
        axes.axhline(values[name + end], color=PALETTE[colour], linestyle=":", label=label)
    for end in _CURVES:
        label, colour, marker = LOOKS[end]
        shares = {
            float(recipe.partition("@")[2] or 1): value
            for recipe, value in values.items()
            if recipe.partition("@")[0] == name + end
        }
        places = sorted(shares)
        looks = {"color": PALETTE[colour], "marker": marker, "linestyle": "-", "label": label}
        axes.plot(places, [shares[share] for share in places], **looks)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.3, 1], labels=["10 %", "30 %", "100 %"])
    axes.xaxis.minorticks_off()


def _values(record: dict[str, Any], calls: int, metric: str) -> dict[str, float]:
    """The mean of a metric over the seeds, for each recipe."""
    found: dict[str, list[float]] = {}
    for row in record["rows"]:
        if row["nfe"] == calls and row["model"] in ("teacher", "student"):
            found.setdefault(row["recipe"], []).append(row[metric])
    return {recipe: fmean(values) for recipe, values in found.items()}


def _memory(record: dict[str, Any], calls: int) -> dict[str, float]:
    """What shows memory, for each recipe."""
    if "training_share" in record["rows"][0]:
        return _values(record, calls, "training_share")
    real = _values(record, calls, "real_share")
    return {
        recipe: value / real[recipe]
        for recipe, value in _values(record, calls, "held_out_share").items()
    }


def _memory_name(record: dict[str, Any]) -> str:
    images = "training_share" in record["rows"][0]
    return "nearer to training images" if images else "held-out words among real"
