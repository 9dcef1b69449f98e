"""Figure 4 of the paper: generative perplexity on OpenWebText against steps and against Self-BLEU.

Published points stand beside our runs. Each has its entropy, because a repetitive text has a low
perplexity and a low entropy: perplexity alone does not tell whether a text is good.
"""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.evaluations import error_bar, fine_print, our_runs, value
from figures.published import DI4C, Published, published, sources
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
_RIGHTMOST = 256  # labels of points from here on stand on the left
_TICKS = (10, 20, 30, 40, 60, 80, 100, 200, 400, 1000)
LOOKS = {
    "teacher": (PALETTE["black"], "o"),
    "student": (PALETTE["vermilion"], "s"),
    "rival": (PALETTE["blue"], "D"),
}


def draw(results: Path) -> "Figure":
    """The left panel against steps, the right panel against Self-BLEU.

    Args:
        results: Folder that may hold evaluations.jsonl.
    """
    import matplotlib.pyplot as plt

    rows, runs = (
        published("openwebtext", "perplexity"),
        our_runs(results, "openwebtext", "perplexity"),
    )
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.9), sharey=True)
    for row in rows:
        _point(left, row)
    for key, group in groupby(runs, key=lambda run: (run["role"], run["model"])):
        _lines(left, right, key, list(group))
    steps = [8, 128, *(row.steps for row in rows), *(run["steps"] for run in runs)]
    left.set_xscale("log", base=2)
    left.set_xlim(min(steps) / 1.4, max(steps) * 1.4)
    powers = [2**k for k in range(11)]
    left.set_xticks(powers, [str(n) for n in powers])
    left.set_xlim(min(steps) / 1.4, max(steps) * 1.4)  # setting ticks widens the axis
    values = [row.metrics["perplexity"] for row in rows]
    values += [value(run, "perplexity") for run in runs]
    left.set_yscale("log")
    left.set_yticks([], minor=True)
    left.set_yticks(_TICKS, [str(tick) for tick in _TICKS])
    left.set_ylim(min(values) / 1.25, max(values) * 1.25)
    left.set(title="Against steps", xlabel="steps", ylabel="generative perplexity (GPT-2 large)")
    right.set(title="Against diversity", xlabel="Self-BLEU (lower is more diverse)")
    right.set_xmargin(0.15)
    if not any("self-bleu" in run["metrics"] for run in runs):
        right.set_xlim(0, 1)
        right.text(
            0.5, 0.5, "nothing on record", transform=right.transAxes, ha="center", color="0.5"
        )
    if runs:
        left.legend(loc="upper right")
    notes = f"open markers: {sources(rows)}\nH: entropy in nats (~: about)\n"
    notes += f"{DI4C}: 32 steps of the student match 64 to 128 of the teacher\n{fine_print(runs)}"
    fig.supxlabel(notes, fontsize=6, color="0.3")
    return fig


def _point(axes: "Axes", row: Published) -> None:
    color, marker = LOOKS[row.role]
    x, y = row.steps, row.metrics["perplexity"]
    axes.plot(x, y, color=color, marker=marker, linestyle="", markersize=5, markerfacecolor="white")
    entropy = row.metrics.get("entropy")
    about = "~" if row.approximate else ""
    text = row.method if entropy is None else f"{row.method}, H = {about}{entropy:.2f}"
    right, alignment = (6, "left") if x < _RIGHTMOST else (-6, "right")
    axes.annotate(
        text,
        (x, y),
        xytext=(right, -2),
        textcoords="offset points",
        ha=alignment,
        fontsize=6.5,
        color=color,
    )


def _lines(left: "Axes", right: "Axes", key: tuple[str, str], runs: list[dict[str, Any]]) -> None:
    color, marker = LOOKS.get(key[0], (PALETTE["green"], "^"))
    diverse = [run for run in runs if "self-bleu" in run["metrics"]]
    for axes, x, shown in (
        (left, [run["steps"] for run in runs], runs),
        (right, [value(run, "self-bleu") for run in diverse], diverse),
    ):
        y = [value(run, "perplexity") for run in shown]
        bars = list(zip(*(error_bar(run, "perplexity") for run in shown), strict=True)) or None
        axes.errorbar(
            x, y, yerr=bars, color=color, marker=marker, linewidth=1, label=f"ours: {key[0]}"
        )
        for run, place, height in zip(shown, x, y, strict=True):
            entropy = f"H = {value(run, 'entropy'):.2f}"
            text = entropy if axes is left else f"{run['steps']} steps"
            axes.annotate(
                text,
                (place, height),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=6,
                color=color,
            )
