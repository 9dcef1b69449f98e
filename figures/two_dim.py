"""Two coordinates: TV and N TV against N with bounds and limit, one figure for each process."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROCESSES = ("masked", "uniform", "absorbing", "ctmc")


class TwoDim:
    """The figure of one process, with what a module of this package has: `NEEDS` and `draw`."""

    def __init__(self, process: str) -> None:
        self.result = f"two_dim_tv_{process}.json"
        command = f"python toys/two_dim_tv.py --process {process} --json results/{self.result}"
        self.NEEDS = {self.result: command}

    def draw(self, results: Path) -> "Figure":
        """The two panels, with the problem in the title.

        Args:
            results: Folder with the files of `NEEDS`.
        """
        from toys.pictures.curves import draw_two_dim  # slow: loads torch
        from toys.two_dim_tv import OPTIONS, describe

        result = load(results, self.result, *OPTIONS, "rows", "limit")
        return draw_two_dim(result, describe(result))
