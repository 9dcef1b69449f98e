"""How large must the batch of latents be: bias and noise of Di4C's loss estimate, exact values.

The left panel shows the Jensen bias of the loss; the control variate does not change it. The other
panels show the standard deviations of the loss and of its gradient; for a trained student, the
control variate hardly lowers them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import load
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = {"latent_batch.json": "python toys/latent_batch.py --json results/latent_batch.json"}

LOOKS = {
    (False, False): ("independent", "black", "-", "o"),
    (False, True): ("independent, control variate", "blue", "--", "s"),
    (True, False): ("stratified", "vermilion", "-", "^"),
    (True, True): ("stratified, control variate", "green", "--", "D"),
}


def draw(results: Path) -> "Figure":
    """The three panels.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt

    result = load(results, "latent_batch.json", "rows")
    rows = result["rows"]
    fig, panels = plt.subplots(1, 3, figsize=(7.2, 2.7))
    titles = ("Bias of the loss", "Noise of the loss (std)", "Noise of the gradient (std)")
    names, labels = ("bias", "std", "gradient_std"), ("nats", "nats", "std / exact norm")
    for axes, name, title, label in zip(panels, names, titles, labels, strict=True):
        for key in LOOKS:
            _line(axes, rows, key, name)
        axes.set(title=title, ylabel=label, yscale="log", xlabel="latents $L$ (and atoms)")
        axes.set_xscale("log", base=2)
    sizes = [row["latents"] for row in rows]
    panels[0].plot(
        [min(sizes), max(sizes)],
        [rows[0]["bias"], rows[0]["bias"] * min(sizes) / max(sizes)],
        color="0.5",
        linestyle=":",
        linewidth=0.8,
        label="$1/L$",
    )
    panels[0].legend(loc="lower left", fontsize=5.5)
    panels[2].axhline(1.0, color="0.5", linestyle=":", linewidth=0.8)
    return fig


def _line(axes: "Axes", rows: list[dict[str, Any]], key: tuple[bool, bool], name: str) -> None:
    """One kind of estimate; a bias that is not significantly above 0 is left out."""
    label, color, line, marker = LOOKS[key]
    same = [row for row in rows if (row["stratified"], row["control_variate"]) == key]
    if name == "bias":
        same = [row for row in same if row["bias"] > 2 * row["bias_error"]]
    look = {"color": PALETTE[color], "linestyle": line, "marker": marker, "markersize": 3}
    axes.plot([row["latents"] for row in same], [row[name] for row in same], label=label, **look)
    if name == "bias":
        axes.errorbar(
            [row["latents"] for row in same],
            [row["bias"] for row in same],
            [row["bias_error"] for row in same],
            color=PALETTE[color],
            linestyle="",
            linewidth=0.7,
        )
