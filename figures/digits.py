"""Small digits: Frechet distance against calls for teacher, student and hybrid, and samples.

A point is a mean over seeds with its 95 % interval. The dotted line is the distance of real images.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures import load
from reporting import PALETTE, decimal_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULT = "digits.json"
NEEDS = {RESULT: f"python -m full_scale.digits --json results/{RESULT}"}

_LOOKS = {"teacher": ("black", "o"), "student": ("vermilion", "s"), "hybrid": ("blue", "^")}
_SIDE, _LEVELS = 8, 17
_GAP, _SHOWN = 4, 7
_SHEETS = ("teacher", "student")


def draw(results: Path) -> "Figure":
    """Curves on the left; samples of the first seed at each number of calls on the right.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt

    result = load(results, RESULT, "rows", "summary", "floor")
    fig, (left, *sheets) = plt.subplots(
        1, 1 + len(_SHEETS), figsize=(7.2, 2.4), width_ratios=[1.05, 1, 1]
    )
    _curves(left, result["summary"], result["floor"])
    for axes, model in zip(sheets, _SHEETS, strict=True):
        _samples(axes, model, result["rows"])
    return fig


def _curves(axes: "Axes", summary: list[dict[str, Any]], floor: float) -> None:
    for model, (colour, marker) in _LOOKS.items():
        rows = sorted((r for r in summary if r["model"] == model), key=lambda row: row["steps"])
        axes.errorbar(
            [row["steps"] for row in rows],
            [row["frechet"] for row in rows],
            yerr=[row["interval"] or 0.0 for row in rows],
            color=PALETTE[colour],
            marker=marker,
            linestyle="-",
            capsize=2,
            label=model,
        )
    axes.axhline(floor, color="0.5", linestyle=":", label="real images")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="network calls",
        ylabel="Frechet distance (lower is better)",
    )
    ticks = sorted({row["steps"] for row in summary})
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    decimal_ticks(axes.yaxis)
    axes.minorticks_off()
    axes.legend()


def _samples(axes: "Axes", model: str, rows: list[dict[str, Any]]) -> None:
    """One line of samples for each number of calls that both models have."""
    seed = min(row["seed"] for row in rows)
    own = {r["steps"]: r["samples"] for r in rows if (r["seed"], r["model"]) == (seed, model)}
    shared = [{r["steps"] for r in rows if r["model"] == name} for name in _SHEETS]
    steps = sorted(set.intersection(*shared))
    lines = [np.concatenate([_image(text) for text in own[n][:_SHOWN]], axis=1) for n in steps]
    axes.imshow(np.concatenate(lines), cmap="gray_r", vmin=0, vmax=_LEVELS - 1)
    places = [(_SIDE + _GAP) * (k + 0.5) - 0.5 for k in range(len(steps))]
    axes.set(title=model, xticks=[], ylabel="calls" if model == _SHEETS[0] else "")
    axes.set_yticks(places, labels=[str(n) for n in steps])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _image(text: str) -> np.ndarray:
    """Decode a sample of the record: one character in base 17 per pixel, row by row."""
    image = np.array([int(level, _LEVELS) for level in text]).reshape(_SIDE, _SIDE)
    return np.pad(image, _GAP // 2)  # a gap: digits reach the upper and lower edge
