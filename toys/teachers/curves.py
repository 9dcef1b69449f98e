"""The N-step exact teacher on a known law: its total variation against N, as numbers and pictures.

What the scripts of this folder share.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from tqdm import tqdm

from di4c.exact import product_composition, total_variation
from di4c.processes import ForwardProcess

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]


def few_step_rows(
    process: ForwardProcess,
    q_0: Tensor,
    steps: Sequence[int],
    make_grid: Callable[[int], Tensor],
    start: str = "q_T",
    title: str | None = None,
) -> list[Row]:
    """Total variation of the marginal-matching product sampler after N steps, for each N.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,).
        steps: the numbers of steps.
        make_grid: from N to the grid of N + 1 times.
        start: "q_T" or "prior".
        title: of the progress bar, None for no bar.

    Returns:
        Rows {"steps", "tv", "n_tv"} in the order of `steps`.
    """
    rows = []
    with tqdm(
        total=sum(steps), desc=title, unit="step", disable=True if title is None else None
    ) as bar:

        def counted(indices: list[int]) -> Iterator[int]:
            for index in indices:
                yield index
                bar.update()

        for n in steps:
            output = product_composition(process, q_0, make_grid(n), start, counted)
            tv = float(total_variation(q_0, output))
            rows.append({"steps": n, "tv": tv, "n_tv": n * tv})
    return rows


def plot_tv(axes: "Axes", rows: Sequence[Row], label: str, times_n: bool = False, **look) -> None:
    """TV, or N TV, against N with logarithmic N; looks go to `Axes.plot`."""
    rows = sorted(rows, key=lambda row: row["steps"])
    steps = [row["steps"] for row in rows]
    axes.plot(steps, [row["n_tv" if times_n else "tv"] for row in rows], label=label, **look)
    label_steps(axes, steps, times_n)


def plot_bounds(axes: "Axes", rows: Sequence[Row], times_n: bool = False, **look) -> None:
    """The band between the two bounds, or the lower one alone where there is no upper one."""
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
    """Name the axes and mark powers of two as plain numbers."""
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


def without(row: Mapping[str, Any], *names: str) -> Row:
    """The row without some entries."""
    return {key: value for key, value in row.items() if key not in names}
