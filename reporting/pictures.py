"""One style for all pictures, and one way to save them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart under every colour blindness.
# In the order of the style's cycle: neighbours differ in lightness too, for grey prints.
PALETTE = {
    "black": "#000000",
    "vermilion": "#D55E00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "orange": "#E69F00",
    "blue": "#0072B2",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
}


def use_style() -> None:
    """Draw every later figure in the project's style, without a display.

    Lines differ by colour and by dashes, so a picture stays readable in grey.
    """
    import matplotlib  # slow: most commands draw nothing
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    plt.style.use(["default", Path(__file__).with_name("style.mplstyle")])


def save_figure(fig: "Figure", path: Path | str) -> list[Path]:
    """Write a figure as PNG and PDF beside each other and close it.

    The same figure gives the same bytes: no date is stored.

    Args:
        fig: Figure to save.
        path: Where to save it; without suffix, or with either of the two.

    Returns:
        The PNG and the PDF.

    Raises:
        ValueError: If the suffix is that of another image format.
    """
    import matplotlib.pyplot as plt

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".png", ".pdf"):
        path = path.with_suffix("")
    elif suffix.removeprefix(".") in fig.canvas.get_supported_filetypes():
        raise ValueError(f"figure is {path}; pictures are PNG and PDF, leave {suffix} out")
    path.parent.mkdir(parents=True, exist_ok=True)
    png, pdf = (path.with_name(path.name + end) for end in (".png", ".pdf"))
    fig.savefig(png, metadata={"Software": None})
    fig.savefig(pdf, metadata={"CreationDate": None})
    plt.close(fig)
    return [png, pdf]
