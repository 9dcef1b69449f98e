"""Figure 1: a two-dimensional law, what product samplers make of it, and a one-step mixture.

The heat maps show exact laws; nothing is sampled. Below each is its exact total variation (TV) to
the data.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "figure1.json"
NEEDS = {RESULT: f"python toys/figure1_laws.py --json results/{RESULT}"}


def draw(results: Path) -> "Figure":
    """Every panel of the result side by side, on one colour scale.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import PowerNorm

    panels = load(results, RESULT, "panels")["panels"]
    # The square root makes the small probabilities between the half circles visible.
    highest = max(max(row) for panel in panels for row in panel["probs"])
    norm = PowerNorm(0.5, vmin=0.0, vmax=highest)
    fig, row = plt.subplots(
        1, len(panels), figsize=(1.36 * len(panels) + 0.5, 1.75), squeeze=False, sharey=True
    )
    for axes, panel in zip(row[0], panels, strict=True):
        columns = list(zip(*panel["probs"], strict=True))  # the first coordinate runs to the right
        image = axes.imshow(columns, norm=norm, origin="lower", interpolation="nearest")
        axes.set(title=_title(panel), xlabel=_distance(panel), xticks=[], yticks=[])
        axes.grid(False)
    row[0][0].set_ylabel("second coordinate")
    bar = fig.colorbar(image, ax=list(row[0]), shrink=0.72, aspect=14, pad=0.01)
    ticks = [0.0, highest / 4, highest]
    bar.set_ticks(ticks, labels=["0", *(f"{tick:.4f}" for tick in ticks[1:])])
    bar.set_label("probability")
    return fig


def _title(panel: dict[str, Any]) -> str:
    """Which law a panel shows."""
    if panel["sampler"] == "data":
        return "data"
    steps = "1 step" if panel["steps"] == 1 else f"{panel['steps']} steps"
    if panel["components"] is None:
        return f"{panel['sampler']}\n{steps}"
    return f"{panel['sampler']} of {panel['components']}\n{steps}"


def _distance(panel: dict[str, Any]) -> str:
    return "first coordinate" if panel["sampler"] == "data" else f"TV = {panel['tv']:.3f}"
