"""A miniature: the main metric against calls, samples by number of calls, and a latent sweep.

The record is results/miniatures.json, which `python -m full_scale.miniature` writes. A point is a
mean over seeds with its 95 % interval. A grey bar goes from the student that sees no data to the
number of calls at which the teacher has the same score. Its number is their ratio, the equivalent
steps.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures import BrokenResult, load
from reporting import PALETTE, decimal_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULT = "miniatures.json"
RECORDED = ("digits", "mnist-tokens", "words")
"""The miniatures that the record in results/ has."""

Record = dict[str, Any]

LOOKS = {
    "-teacher": ("teacher", "black", "o"),
    "": ("student, no data", "vermilion", "s"),
    "hybrid": ("student, then teacher", "orange", "D"),
    "-data": ("student, with data", "blue", "^"),
    "-data-alone": ("data alone, no teacher", "sky", "v"),
    "-product": ("product student", "green", "P"),
    "-published": ("published recipe", "purple", "X"),
}
"""Label, colour and marker by the end of the recipe's name. The hybrid is that of pure students."""

_FACTORS = (1, 2, 4)  # numbers of calls whose equivalent steps are written
_LINES, _SWEPT = 4, 4  # numbers of calls, and noises of the sweep
_WORDS, _WIDTH = 6, 11  # words of a line, and characters of each
_GAP = 0.15  # between images, as a share of their side


def needs(name: str) -> dict[str, str]:
    """The command that makes the record of a miniature."""
    command = f"python -m full_scale.miniature {name} --csv results/miniatures.csv"
    return {RESULT: f"{command} --json results/{RESULT}"}


def draw(results: Path, name: str) -> "Figure":
    """Curves on the left; samples of the teacher, of a student and of a sweep on the right.

    Args:
        results: folder with the record.
        name: name of the miniature.
    """
    import matplotlib.pyplot as plt

    everything = load(results, RESULT, "miniatures")["miniatures"]
    if name not in everything:
        raise BrokenResult(f"{results / RESULT} has no miniature {name}", RESULT)
    record = everything[name]
    images = record["image_shape"] is not None
    fig = plt.figure(figsize=(7.2, 4.2 if images else 3.6))
    heights = [1, 1, 1] if images else [1, 1, 1.9]
    grid = fig.add_gridspec(3, 2, width_ratios=[1, 1], height_ratios=heights)
    _curves(fig.add_subplot(grid[:, 0]), name, record)
    sheet = partial(_pictures, shape=record["image_shape"]) if images else _texts
    shown = {
        "teacher": _by_calls(record, f"{name}-teacher"),
        "student, no data": _by_calls(record, record["pure"]),
    }
    calls = sorted(set.intersection(*(set(own) for own in shown.values())))[:_LINES]
    for place, (title, own) in enumerate(shown.items()):
        axes = fig.add_subplot(grid[place, 1])
        sheet(axes, {str(n): own[n] for n in calls})
        axes.set(ylabel="calls")
        axes.set_title(title, loc="left")
    if record["sweep"] is not None:
        axes = fig.add_subplot(grid[2, 1])
        _sweep(axes, record["sweep"], sheet, transposed=not images)
    return fig


def _curves(axes: "Axes", name: str, record: Record) -> None:
    summary = record["summary"]
    for end, (label, colour, marker) in LOOKS.items():
        recipe = record["pure"] if end == "hybrid" else name + end
        model = {"-teacher": "teacher", "hybrid": "hybrid"}.get(end, "student")
        rows = [r for r in summary if (r["recipe"], r["model"]) == (recipe, model)]
        if not rows:
            continue
        rows.sort(key=lambda row: row["nfe"])
        looks = {"color": PALETTE[colour], "marker": marker, "capsize": 2, "label": label}
        x, y = [row["nfe"] for row in rows], [row["mean"] for row in rows]
        axes.errorbar(x, y, yerr=[row["interval"] or 0.0 for row in rows], linestyle="-", **looks)
        if end == "":
            _factors(axes, rows, above=record["better"] == "lower")
    # The scale on which equivalent steps are interpolated, so that bars end on the teacher's curve.
    logarithmic = record["better"] == "lower" and all(row["mean"] > 0 for row in summary)
    if not logarithmic:
        best = max(row["mean"] for row in summary if row["model"] != "data")
        axes.set_ylim(0, 1.15 * best)
    for row in summary:
        if row["model"] == "data":
            label = f"real data: {row['mean']:.2g}"  # far above a weak teacher the line is not seen
            axes.axhline(row["mean"], color="0.5", linestyle=":", label=label)
    axes.set(
        xscale="log",
        yscale="log" if logarithmic else "linear",
        xlabel="network calls",
        ylabel=f"{record['main'].replace('_', ' ')} ({record['better']} is better)",
    )
    ticks = sorted({row["nfe"] for row in summary if row["nfe"]})
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.xaxis.minorticks_off()
    if logarithmic:
        decimal_ticks(axes.yaxis)
    axes.legend(loc="best")


def _factors(axes: "Axes", rows: list[Record], *, above: bool) -> None:
    """A bar from a student to the teacher's calls with the same score; their ratio stands there."""
    place = (4, 6) if above else (0, -9)  # away from the curve of the hybrid
    for row in rows:
        if row["nfe"] not in _FACTORS or row["equivalent"] is None:
            continue
        end = row["nfe"] * row["equivalent"]
        axes.plot([row["nfe"], end], [row["mean"]] * 2, "-", color="0.6", lw=0.8, zorder=1)
        text = f"{row['bound']}{row['equivalent']:.1f}x"
        where = {"xytext": place, "textcoords": "offset points", "va": "center", "fontsize": 7}
        axes.annotate(text, (row["nfe"], row["mean"]), **where)


def _by_calls(record: Record, recipe: str) -> dict[int, list[str]]:
    """The shown samples of a recipe by number of calls."""
    return {r["nfe"]: r["shown"] for r in record["rows"] if r["recipe"] == recipe and "shown" in r}


def _sweep(axes: "Axes", sweep: Record, sheet: Any, *, transposed: bool) -> None:
    """Each noise with latents from 0 to 1: along a line, or down a column where transposed."""
    latents, samples = sweep["latents"], sweep["samples"]
    title = "student, one call: same noise, latent from 0 to 1"
    if transposed:
        columns = zip(*samples, strict=True)
        sheet(axes, {f"{z:.1f}": list(own) for z, own in zip(latents, columns, strict=True)})
        axes.set(ylabel="latent")
    else:
        sheet(axes, {str(k + 1): own for k, own in enumerate(samples[:_SWEPT])})
        axes.set(ylabel="noise")
    axes.set_title(title, loc="left")


def _texts(axes: "Axes", lines: dict[str, list[str]]) -> None:
    """A line of words for each label."""
    for place, words in enumerate(lines.values()):
        text = "".join(word.ljust(_WIDTH) for word in words[:_WORDS])
        axes.text(0, place, text, va="center", family="monospace", fontsize=5.5)
    axes.set(xlim=(0, 1), ylim=(len(lines) - 0.5, -0.5))
    _bare(axes, list(range(len(lines))), list(lines))


def _pictures(axes: "Axes", lines: dict[str, list[str]], shape: tuple[int, int]) -> None:
    """A line of images for each label; a pixel of the record is one hexadecimal digit."""
    gap = round(_GAP * shape[0]) + 1
    rows = [np.hstack([_image(text, shape, gap) for text in own]) for own in lines.values()]
    axes.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    height = shape[0] + gap
    _bare(axes, [height * (k + 0.5) - 0.5 for k in range(len(rows))], list(lines))


def _image(text: str, shape: tuple[int, int], gap: int) -> np.ndarray:
    image = np.array([int(level, 16) for level in text]).reshape(shape) / 15
    return np.pad(image, ((gap // 2, gap - gap // 2),) * 2)


def _bare(axes: "Axes", places: list[float], labels: list[str]) -> None:
    axes.set_xticks([])
    axes.set_yticks(places, labels=labels)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
