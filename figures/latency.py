"""What the latent costs: time to generate with a mixture over that of the product model.

Published seconds beside our benchmark (python -m full_scale.bench latency), where there is one.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load
from figures.published import DI4C, LATENCIES
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
RESULT = "latency.json"
TITLES = {"cifar10": "CIFAR-10", "imagenet": "ImageNet", "openwebtext": "OpenWebText"}
_PAPER_BOUND = 5.0


def draw(results: Path) -> "Figure":
    """Overhead of the mixture in percent, one line an experiment.

    Args:
        results: Folder that may hold latency.json.
    """
    import matplotlib.pyplot as plt

    ours = load(results, RESULT)["rows"] if (results / RESULT).is_file() else []
    fig, axes = plt.subplots(figsize=(4.8, 2.2))
    for place, latency in enumerate(LATENCIES):
        if latency.overhead is None:
            axes.text(
                0.06, place - 0.12, "published: unchanged, no numbers", fontsize=6.5, va="center"
            )
            continue
        percent = 100 * latency.overhead
        axes.plot(
            percent, place - 0.12, marker="s", color=PALETTE["vermilion"], markerfacecolor="white"
        )
        seconds = f"{latency.product:.4f} s to {latency.mixture:.4f} s"
        axes.annotate(
            f"{percent:.1f} % ({seconds})",
            (percent, place - 0.12),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=6.5,
            color=PALETTE["vermilion"],
        )
    names = [latency.experiment for latency in LATENCIES]
    for row in ours:
        place = names.index(row["experiment"]) + 0.18
        percent = 100 * (row["mixture_seconds"] / row["product_seconds"] - 1)
        axes.plot(percent, place, marker="o", color=PALETTE["blue"])
        axes.annotate(
            f"{percent:+.1f} % ({row['label']})",
            (percent, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=PALETTE["blue"],
        )
    axes.axvline(_PAPER_BOUND, color="0.5", linestyle="--", linewidth=0.8)
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="overhead of the mixture in %")
    axes.set(title="Latency: mixture against product model")
    axes.grid(axis="y", visible=False)
    if not ours:
        axes.set_xlim(0, 6)
    notes = f"squares: {DI4C}; dashed: its bound of 5 %\n"
    notes += (
        "circles: ours" if ours else "ours: not measured yet (python -m full_scale.bench latency)"
    )
    fig.supxlabel(notes, fontsize=6, color="0.3")
    return fig
