"""Quality over training: a metric of the samples of each checkpoint that was evaluated.

`python -m full_scale.evaluate runs/NAME --every --steps n` adds the rows.
"""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from figures.evaluations import Row, error_bar, our_runs, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
PANELS = {
    "cifar10": ("CIFAR-10", "fid", "FID"),
    "imagenet": ("ImageNet", "fid", "FID"),
    "openwebtext": ("OpenWebText", "perplexity", "generative perplexity"),
}
"""Title, metric and label of each experiment. Lower is better in all of them."""


def draw(results: Path) -> "Figure":
    """One panel for each experiment, one line for each way of sampling.

    Args:
        results: Folder that may hold evaluations.jsonl.
    """
    import matplotlib.pyplot as plt

    fig, panels = plt.subplots(1, len(PANELS), figsize=(7.0, 2.6))
    for axes, (experiment, (title, metric, label)) in zip(panels, PANELS.items(), strict=True):
        rows = our_runs(results, experiment, metric, checkpoints=True)
        axes.set(title=title, xlabel="training steps", ylabel=f"{label} (lower is better)")
        if not rows:
            axes.text(0.5, 0.5, "no checkpoint\nevaluated yet", ha="center", va="center")
            axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
            continue
        rows.sort(key=lambda row: (*_line(row), row["training_step"]))
        for key, group in groupby(rows, key=_line):
            _draw_line(axes, key, list(group), metric)
        axes.legend()
    return fig


def _line(row: Row) -> tuple[int, str, float, int]:
    """What all checkpoints of a line share: steps, weights, guidance, number of samples."""
    return row["steps"], row["weights"], row["guidance"], row["num_samples"]


def _draw_line(
    axes: "Axes", key: tuple[int, str, float, int], rows: list[Row], metric: str
) -> None:
    steps, weights, guidance, count = key
    label = f"{steps} steps, {weights}" + (f", w = {guidance:g}" if guidance else "")
    bars = list(zip(*(error_bar(row, metric) for row in rows), strict=True))
    axes.errorbar(
        [row["training_step"] for row in rows],
        [value(row, metric) for row in rows],
        yerr=bars,
        marker="o",
        markersize=3,
        linewidth=1,
        label=f"{label}, {count:,} samples",
    )
