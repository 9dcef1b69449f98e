"""Pictures of known laws: heat maps by method, and fits of mixtures by number of components."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reporting import PALETTE, use_style
from toys.benchmark.tables import title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

FLOOR = 1e-4
"""A smaller TV is drawn here, as a logarithmic axis has no 0."""

_TITLE_WIDTH = 14  # letters in a line of a column title
_APART = 1.9  # levels of the teacher that differ by less than this factor share a label


def draw_laws(laws: Sequence[Row], titles: Mapping[str, str]) -> "Figure":
    """Heat maps of exact laws: one row per task, one column per method and number of steps.

    Args:
        laws: {"task", "method", "nfe", "tv", "probs" (S, S)}; the data law has the method "data".
        titles: of the tasks to draw, by name.
    """
    use_style()
    import matplotlib.pyplot as plt
    from matplotlib.colors import PowerNorm

    kinds = list(dict.fromkeys((law["method"], law["nfe"]) for law in laws))
    fig, panels = plt.subplots(
        len(titles),
        len(kinds),
        figsize=(1.05 * len(kinds) + 0.3, 1.28 * len(titles) + 0.4),
        squeeze=False,
    )
    found = {(law["task"], law["method"], law["nfe"]): law for law in laws}
    for line, (task, title) in zip(panels, titles.items(), strict=True):
        data = found[task, "data", 0]["probs"]
        # One scale per row, from the data. The square root makes small probabilities visible.
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
    scale = "colours: square root of the probability, up to the maximum of the data in each row"
    fig.supxlabel(scale, fontsize=6, color="0.3")
    for axes, (method, nfe) in zip(panels[0], kinds, strict=True):
        steps = "" if method == "data" else "\n1 step" if nfe == 1 else f"\n{nfe} steps"
        name = textwrap.fill(title_of(method), _TITLE_WIDTH)
        axes.set_title(name + steps, size=7)
    return fig


def draw_components(laws: Sequence[Row]) -> "Figure":
    """One panel per law: TV of the best fit against K, its bounds, and the teacher's TV as levels.

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
        band = [[max(value, FLOOR) for value in side] for side in (lower, upper)]
        axes.fill_between(
            number,
            *band,
            color=PALETTE["sky"],
            alpha=0.25,
            lw=0,
            label="bounds of the best TV",
        )
        axes.plot(
            number,
            [max(value, FLOOR) for value in tv],
            color=PALETTE["black"],
            marker="o",
            ls="-",
            label="mixture of K products, fitted by EM",
        )
        _mark_teacher(axes, law["teacher"])
        below, above = law["needed"]
        needed = f"{below}" if below == above else f"{below} to {above}"
        axes.set_title(f"{law['title']}\nneeds {needed} components", size=7.5)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(number, [str(n) for n in number])
        axes.set_ylim(FLOOR / 2, 1.5)
        axes.minorticks_off()
    for axes in panels.flat[len(laws) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("TV")
    for axes in panels[-1]:
        axes.set_xlabel("components K")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    line = plt.Line2D([], [], color=PALETTE["vermilion"], lw=0.7, ls=":")
    fig.legend(
        [*handles, line], [*labels, "exact teacher, N steps"], loc="outside lower center", ncols=3
    )
    fig.suptitle(f"a TV below {FLOOR:g}, or zero, is drawn at {FLOOR:g}", size=7.5)
    return fig


def _mark_teacher(axes: "Axes", rows: Sequence[Row]) -> None:
    """Draw the teacher's levels, with labels beside the panel; levels close together share one."""
    groups: list[list[tuple[float, int]]] = []
    levels = sorted((max(row["tv"], FLOOR), -row["steps"]) for row in rows)
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
