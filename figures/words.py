"""Words: share of real words against calls for teacher and students, and words that they draw.

A point is a mean over seeds, and a bar goes from the lowest seed to the highest.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import load
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULT = "miniatures.json"
NEEDS = {
    RESULT: "python -m full_scale.miniature words --csv results/miniatures.csv --json "
    f"results/{RESULT}"
}

_LOOKS = {
    "words-teacher": ("teacher", "black", "o"),
    "words": ("student, distilled without data", "vermilion", "s"),
    "words-data": ("student, distilled with data", "blue", "^"),
}
_CALLS, _SHOWN = (1, 2, 4), 8


def draw(results: Path) -> "Figure":
    """Curves on the left; on the right words of the first seed, drawn with few calls.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt

    rows = load(results, RESULT, "rows")["rows"]
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8), width_ratios=[1, 1.15])
    _curves(left, rows)
    _words(right, rows)
    return fig


def _curves(axes: "Axes", rows: list[dict[str, Any]]) -> None:
    ticks = set()
    for recipe, (label, colour, marker) in _LOOKS.items():
        shares: dict[int, list[float]] = {}
        for row in rows:
            if row["recipe"] == recipe:
                shares.setdefault(row["nfe"], []).append(row["real_share"])
        if not shares:
            continue
        calls = sorted(shares)
        means = [sum(shares[n]) / len(shares[n]) for n in calls]
        below = [mean - min(shares[n]) for n, mean in zip(calls, means, strict=True)]
        above = [max(shares[n]) - mean for n, mean in zip(calls, means, strict=True)]
        looks = {"color": PALETTE[colour], "marker": marker, "linestyle": "-", "capsize": 2}
        axes.errorbar(calls, means, yerr=[below, above], label=label, **looks)
        ticks |= shares.keys()
    axes.set(xscale="log", xlabel="network calls", ylabel="share of real words (higher is better)")
    axes.set_xticks(sorted(ticks), labels=[str(tick) for tick in sorted(ticks)])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend()


def _words(axes: "Axes", rows: list[dict[str, Any]]) -> None:
    """One block of words for each model and number of calls; real words are not marked."""
    axes.axis("off")
    lines = []
    for recipe, (label, _, _) in _LOOKS.items():
        own = {row["nfe"]: row["shown"] for row in reversed(rows) if row["recipe"] == recipe}
        for calls in _CALLS:
            if calls in own:
                words = own[calls][:_SHOWN]
                half = len(words) // 2
                start = f"{label}, {calls} call{'s' if calls > 1 else ''}:"
                lines += [start, "  " + " ".join(words[:half]), "  " + " ".join(words[half:])]
    axes.text(0, 1, "\n".join(lines), va="top", family="monospace", fontsize=5.5)
