"""What the latent costs: the time to generate with a mixture against that of the product model.

Published seconds stand beside our benchmark (python -m full_scale.bench latency), if it was run.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import load
from figures.published import DI4C, LATENCIES
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
RESULT = "latency.json"
TITLES = {"cifar10": "CIFAR-10", "imagenet": "ImageNet", "openwebtext": "OpenWebText"}
_PAPER_BOUND = 5.0
_PUBLISHED, _OURS = PALETTE["vermilion"], PALETTE["blue"]


def draw(results: Path) -> "Figure":
    """Extra time of the mixture in percent, one line per experiment.

    Args:
        results: Folder that may hold latency.json.
    """
    import matplotlib.pyplot as plt

    ours = load(results, RESULT, "rows")["rows"] if (results / RESULT).is_file() else []
    names = [latency.experiment for latency in LATENCIES]
    ends = [end for row in ours for end in (row["overhead_low"], row["overhead_high"])]
    fig, axes = plt.subplots(figsize=(5.0, 2.8))
    axes.set(xlim=(min([0.0, *ends]) - 0.3, max([_PAPER_BOUND, *ends]) + 0.7))
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="extra time of the mixture in %")
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.set(title="Time to generate: mixture against product model")
    axes.grid(axis="y", visible=False)
    axes.axvline(_PAPER_BOUND, color="0.5", linestyle="--", linewidth=0.8)
    for place, latency in enumerate(LATENCIES):
        if latency.overhead is None:
            text = "published: unchanged, no numbers"
            _label(axes, 0.0, place - 0.25, text, _PUBLISHED, (0, 0), "left")
            continue
        percent = 100 * latency.overhead
        axes.plot(percent, place - 0.25, marker="s", color=_PUBLISHED, markerfacecolor="white")
        text = f"{percent:.1f} ({latency.product:.4f} s to {latency.mixture:.4f} s)"
        _label(axes, percent, place - 0.25, text, _PUBLISHED)
    for row in ours:
        _draw_ours(axes, names.index(row["experiment"]) + 0.1, row)
    unmeasured = "ours: not measured yet (python -m full_scale.bench latency)"
    notes = "circles: ours, median over rounds with its 95 % interval" if ours else unmeasured
    notes = f"squares: {DI4C}; dashed: it states at most 5 %\n{notes}"
    fig.supxlabel(notes, fontsize=6, color="0.3")
    return fig


def _draw_ours(axes: "Axes", place: float, row: dict[str, Any]) -> None:
    percent, low, high = (row[f"overhead_{end}"] for end in ("percent", "low", "high"))
    axes.plot([low, high], [place, place], color=_OURS, linestyle="-", linewidth=1)
    axes.plot(percent, place, marker="o", color=_OURS)
    start, stop = axes.get_xlim()
    middle = min(max(percent, 0.65 * start + 0.35 * stop), 0.35 * start + 0.65 * stop)
    text = f"{percent:+.1f} ({row['label'].replace('cpu', 'CPU')})"
    _label(axes, middle, place, text, _OURS, (0, -8), "center")


def _label(
    axes: "Axes",
    x: float,
    y: float,
    text: str,
    color: str,
    offset: tuple[int, int] = (-5, 0),
    alignment: str = "right",
) -> None:
    """Text beside a point, on white: the line of the bound stops behind it.

    Args:
        axes: where to write.
        x: of the point.
        y: of the point.
        text: what to write.
        color: of the text.
        offset: distance from the point, in printer's points.
        alignment: which end of the text is at that distance.
    """
    axes.annotate(
        text,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        ha=alignment,
        va="center",
        fontsize=6.5,
        color=color,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
