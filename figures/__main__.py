"""Draw the pictures of the records in results/, each as PNG and PDF.

Nothing is computed here. A picture whose records are missing or broken is left out, and the
commands that make them are named (exit status 2). --quick draws coarse PNGs.

    python -m figures
    python -m figures --only theorem1 figure1 --out pictures
"""

import os
import sys
from pathlib import Path

from figures import BrokenResult
from figures.catalogue import FIGURES
from reporting import (
    ROOT,
    input_folder,
    run_script,
    save_figure,
    script_parser,
    show_errors,
    use_style,
)

QUICK_DPI = 80
# What drawing raises when a record is JSON of another form.
_MISFITS = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)


def main(argv: list[str] | None = None) -> int:
    """Draw what can be drawn; the status is 2 if a record is missing or broken."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False)
    parser.prog = "python -m figures"
    parser.add_argument(
        "--only",
        nargs="+",
        choices=FIGURES,
        metavar="NAME",
        help=f"draw these alone, of {', '.join(FIGURES)}",
    )
    parser.add_argument(
        "--results",
        type=input_folder,
        metavar="DIR",
        help="folder of the records (results/ of the clone)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the pictures (figures/ in that folder)"
    )
    args = parser.parse_args(argv)
    results = args.results or ROOT / "results"
    out = args.out or results / "figures"

    import matplotlib as mpl  # slow: --help needs none of it
    import matplotlib.pyplot as plt

    use_style()
    looks = {"savefig.dpi": QUICK_DPI} if args.quick else {}
    faults: dict[str, None] = {}  # pictures share records: each fault is kept once, in order
    for name in args.only or FIGURES:
        needs = FIGURES[name].needs
        absent = [file for file in needs if not (results / file).is_file()]
        faults |= {f"{_shown(results / f)} is missing; run: {needs[f]}": None for f in absent}
        if absent:
            continue
        try:
            fig = FIGURES[name].draw(results)
            with mpl.rc_context(looks):  # here, as drawing may set the style again
                print("drawn to", *map(_shown, save_figure(fig, out / name)))
        except _MISFITS as error:
            if sys.flags.dev_mode:
                raise
            faults[_fault(name, error)] = None
            plt.close("all")
    return show_errors(faults)


def _fault(name: str, error: Exception) -> str:
    """Why a picture is not drawn, and what to run."""
    needs = FIGURES[name].needs
    if isinstance(error, BrokenResult):
        again = needs.get(error.file)
        return f"{error}; make it again" + (f": {again}" if again else "")
    said = error if isinstance(error, ValueError) else repr(error)
    again = f"; make its records again: {' && '.join(needs.values())}" if needs else ""
    return f"{name} is not drawn: {said}{again}"


def _shown(path: Path) -> str:
    """The path as one types it: relative where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


if __name__ == "__main__":
    run_script(main)
