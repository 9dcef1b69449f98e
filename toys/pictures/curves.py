"""Pictures of the exact teacher: TV against N with bounds and limits, patches, windows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reporting import PALETTE, decimal_ticks, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_LOOKS = {
    "masked": {"color": PALETTE["blue"], "marker": "o", "linestyle": "-"},
    "uniform": {"color": PALETTE["vermilion"], "marker": "s", "linestyle": "--"},
}


def draw_two_dim(result: Mapping[str, Any], title: str) -> "Figure":
    """Two panels: TV with its bounds as a band, and N TV with its limit.

    Args:
        result: what `toys/two_dim_tv.py` computes.
        title: of the picture.
    """
    use_style()
    import matplotlib.pyplot as plt

    fig, panels = plt.subplots(1, 2, figsize=(6.6, 2.8))
    rows = result["rows"]
    for axes, times_n in zip(panels, (False, True), strict=True):
        plot_bounds(axes, rows, times_n, color=PALETTE["sky"], label="bounds")
        known = [
            {"steps": r["steps"], "tv": r["closed_form"], "n_tv": r["steps"] * r["closed_form"]}
            for r in rows
            if r["closed_form"] is not None
        ]
        plot_tv(axes, rows, "exact engine", times_n, color=PALETTE["black"], marker="o", ls="")
        if known:
            plot_tv(axes, known, "closed form", times_n, color=PALETTE["vermilion"], ls="-")
    if result["limit"] is not None:
        panels[1].axhline(
            result["limit"], color=PALETTE["black"], lw=0.8, ls="--", label="limit of $N$ TV"
        )
    _frame(panels[1], [row["n_tv"] for row in rows], result["limit"])
    panels[1].legend()
    fig.suptitle(title, fontsize=8)
    return fig


def _frame(axes: "Axes", values: Sequence[float], limit: float | None) -> None:
    """Fit the axis to N TV and its limit; a loose bound at small N may leave the picture."""
    top = max([*values, limit or 0.0])
    axes.set_ylim(0, 1.35 * top if top else 1)


def draw_curves(axes: "Axes", panel: "Axes", curves: Sequence[Mapping[str, Any]]) -> None:
    """Draw TV on `axes`, and N TV with its predicted limit on `panel`, for several processes."""
    for curve in curves:
        look = _LOOKS[curve["process"]]
        plot_tv(axes, curve["rows"], curve["process"], **look)
        plot_tv(panel, curve["rows"], curve["process"], times_n=True, **look)
        if curve["limit"] is not None:
            panel.axhline(curve["limit"], color=look["color"], lw=0.8, ls=":")
            panel.set_title("dotted: predicted limit of $N$ TV")
    panel.set_ylim(bottom=0)
    decimal_ticks(axes.yaxis)  # few steps span less than two decades
    axes.legend()


def draw_patches(result: Mapping[str, Any]) -> "Figure":
    """One row per patch size: the most probable patches, TV, and N TV with its limit."""
    use_style()
    import matplotlib.pyplot as plt

    laws = result["laws"]
    fig, grid = plt.subplots(len(laws), 3, figsize=(7.0, 2.4 * len(laws)), squeeze=False)
    for row, law in zip(grid, laws, strict=True):
        _tile(row[0], law["patches"], law["probabilities"], law["size"])
        row[0].set_title(f"most probable {law['law']}, in %")
        draw_curves(row[1], row[2], law["curves"])
    return fig


def _tile(
    axes: "Axes", patches: Sequence[Sequence[int]], probabilities: Sequence[float], size: int
) -> None:
    """Draw binary patches in rows of six, each with its probability below."""
    for i, (patch, probability) in enumerate(zip(patches, probabilities, strict=True)):
        left, top = (i % 6) * 1.4, -(i // 6) * 1.8
        picture = [[1 - v for v in patch[k : k + size]] for k in range(0, size * size, size)]
        extent = (left, left + 1, top, top + 1)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axes.plot(
            [left, left + 1, left + 1, left, left],
            [top, top, top + 1, top + 1, top],
            color=PALETTE["black"],
            lw=0.5,
            ls="-",
            marker="",
        )
        axes.text(left + 0.5, top - 0.08, f"{100 * probability:.1f}", ha="center", va="top", size=6)
    rows = -(-len(patches) // 6)
    axes.set_xlim(-0.1, 8.1)
    axes.set_ylim(-(rows - 1) * 1.8 - 0.5, 1.1)
    axes.set_axis_off()


def draw_windows(result: Mapping[str, Any]) -> "Figure":
    """Three panels: the likeliest windows, TV, and N TV with its limit.

    The windows have their probabilities in the data and after one step of the exact teacher.
    """
    use_style()
    import matplotlib.pyplot as plt

    (law,) = result["laws"]
    fig, panels = plt.subplots(1, 3, figsize=(7.2, 2.6))
    names, places = law["windows"], range(len(law["windows"]))
    panels[0].barh(places, law["probabilities"], color=PALETTE["blue"], label="data")
    panels[0].plot(
        law["one_step"],
        places,
        color=PALETTE["vermilion"],
        marker="D",
        ls="",
        label="teacher, one step",
    )
    panels[0].set_yticks(places, names)
    panels[0].invert_yaxis()
    panels[0].set_xlabel("probability")
    panels[0].legend()
    draw_curves(panels[1], panels[2], law["curves"])
    return fig


def plot_tv(axes: "Axes", rows: Sequence[Row], label: str, times_n: bool = False, **look) -> None:
    """Plot TV, or N TV, against logarithmic N; `look` goes to `Axes.plot`."""
    rows = sorted(rows, key=lambda row: row["steps"])
    steps = [row["steps"] for row in rows]
    axes.plot(steps, [row["n_tv" if times_n else "tv"] for row in rows], label=label, **look)
    label_steps(axes, steps, times_n)


def plot_bounds(axes: "Axes", rows: Sequence[Row], times_n: bool = False, **look) -> None:
    """Draw the band between the bounds, or the lower bound alone if there is no upper one."""
    rows = sorted(rows, key=lambda row: row["steps"])
    rows = [row for row in rows if row["lower_bound"] is not None]
    steps = [row["steps"] for row in rows]
    factors = steps if times_n else [1] * len(steps)
    lower = [row["lower_bound"] * f for row, f in zip(rows, factors, strict=True)]
    upper = [
        None if row["upper_bound"] is None else row["upper_bound"] * f
        for row, f in zip(rows, factors, strict=True)
    ]
    if not rows:
        return
    if None in upper:
        axes.plot(steps, lower, linewidth=0.8, linestyle=":", **look)
    else:
        axes.fill_between(steps, lower, upper, linewidth=0, alpha=0.25, **look)


def label_steps(axes: "Axes", steps: Sequence[int], times_n: bool) -> None:
    """Label the axes, with some numbers of steps as plain numbers."""
    axes.set_xscale("log", base=2)
    if not times_n:
        axes.set_yscale("log")
    ticks = sorted(set(steps))
    while len(ticks) > 6:
        ticks = ticks[::2]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_xlabel("steps $N$")
    axes.set_ylabel(r"$N \cdot$ TV" if times_n else "TV")
