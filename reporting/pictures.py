"""One style for all pictures, and one way to save them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reporting.files import is_stream, write_whole

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): these differ under every colour blindness.
# In this order, which is that of the style's cycle, neighbours also differ in grey prints.
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
    """Draw all later figures in the project's style, without a display.

    Lines differ in colour and in dashes, so that a picture is readable in grey too.
    """
    import matplotlib  # slow: most commands draw nothing
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    plt.style.use(["default", Path(__file__).with_name("style.mplstyle")])


def decimal_ticks(axis: "Axis", marks: Sequence[float] = (1, 2, 5)) -> None:
    """Label a logarithmic axis with plain numbers: these multiples of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=marks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def picture_paths(path: Path | str) -> list[Path]:
    """The PNG and the PDF that `save_figure` writes.

    Raises:
        ValueError: If the suffix is that of another image format, or the path is a device or pipe.
    """
    path = Path(path)
    if is_stream(path):
        raise ValueError(f"figure is {path}, which cannot hold two files; name a picture")
    suffix = path.suffix.lower()
    if suffix in (".png", ".pdf"):
        path = path.with_suffix("")
    elif suffix:
        from matplotlib.backend_bases import FigureCanvasBase

        if suffix.removeprefix(".") in FigureCanvasBase.get_supported_filetypes():
            raise ValueError(f"figure is {path}; pictures are PNG and PDF, leave {suffix} out")
    return [path.with_name(path.name + end) for end in (".png", ".pdf")]


def save_figure(fig: "Figure", path: Path | str) -> list[Path]:
    """Write a figure as PNG and PDF, and close it.

    Readers see each file either whole or not at all. The same figure gives the same bytes: no date
    is stored.

    Args:
        fig: what to save.
        path: where to save it, with the suffix .png or .pdf or without one.

    Returns:
        The PNG and the PDF.

    Raises:
        ValueError: If the suffix is that of another image format, or the path is a device or pipe.
    """
    import matplotlib.pyplot as plt

    paths = picture_paths(path)
    undated = {".png": {"Software": None}, ".pdf": {"CreationDate": None}}
    for file in paths:
        content = io.BytesIO()
        fig.savefig(content, format=file.suffix[1:], metadata=undated[file.suffix])
        write_whole(file, content.getvalue())
    plt.close(fig)
    return paths
