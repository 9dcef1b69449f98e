"""Draw the figures of results/, each as PNG and PDF.

Nothing is computed here: a figure whose results are missing or broken is left out, and the commands
that make them are named (status 2). --quick draws coarse PNGs.

    python -m figures
    python -m figures --only theorem1 --out pictures
"""

import os
import sys
from pathlib import Path

from figures import (
    BrokenResult,
    ablation,
    components,
    digit_patches,
    digits,
    figure1,
    figure3,
    figure4,
    latency,
    latent_batch,
    leaderboard,
    leaderboard_uniform,
    letter_windows,
    pictures,
    table1,
    theorem1,
    theorem2,
    two_dim,
)
from reporting import ROOT, run_script, save_figure, script_parser, use_style

FIGURES = {
    "figure1": figure1,
    "theorem1": theorem1,
    "theorem2": theorem2,
    **{f"two_dim_tv_{process}": two_dim.TwoDim(process) for process in two_dim.PROCESSES},
    "digit_patches": digit_patches,
    "letter_windows": letter_windows,
    "leaderboard": leaderboard,
    "leaderboard_uniform": leaderboard_uniform,
    "pictures": pictures,
    "ablation": ablation,
    "components": components,
    "latent_batch": latent_batch,
    "table1": table1,
    "figure3": figure3,
    "figure4": figure4,
    "latency": latency,
    "digits": digits,
}
QUICK_DPI = 80
# What a figure raises when a result is JSON of another form.
_MISFITS = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)


def main(argv: list[str] | None = None) -> int:
    """Draw what can be drawn; the status is 2 if a result is missing or broken."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False)
    parser.add_argument("--only", choices=FIGURES, help="draw this figure alone")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="where the results are (results/ of the clone)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to draw (figures/ of the results)"
    )
    args = parser.parse_args(argv)
    results = args.results or ROOT / "results"
    out = args.out or results / "figures"

    import matplotlib as mpl  # slow: --help needs none of it
    import matplotlib.pyplot as plt

    use_style()
    looks = {"savefig.dpi": QUICK_DPI} if args.quick else {}
    faults: dict[str, None] = {}  # each once, in order: figures share results
    for name in [args.only] if args.only else FIGURES:
        needs = FIGURES[name].NEEDS
        absent = [file for file in needs if not (results / file).is_file()]
        faults |= {f"{_shown(results / f)} is missing; run: {needs[f]}": None for f in absent}
        if absent:
            continue
        try:
            fig = FIGURES[name].draw(results)
            with mpl.rc_context(looks):  # drawing may set the style anew
                print("drawn to", *map(_shown, save_figure(fig, out / name)))
        except _MISFITS as error:
            if sys.flags.dev_mode:
                raise
            faults[_fault(name, error)] = None
            plt.close("all")
    for fault in faults:
        print("error:", " ".join(fault.split()), file=sys.stderr)
    return 2 if faults else 0


def _fault(name: str, error: Exception) -> str:
    """Why a figure is not drawn, and what to run."""
    needs = FIGURES[name].NEEDS
    if isinstance(error, BrokenResult):
        again = needs.get(error.file)
        return f"{error}; make it again" + (f": {again}" if again else "")
    said = error if isinstance(error, ValueError) else repr(error)
    again = f"; make its results again: {' && '.join(needs.values())}" if needs else ""
    return f"{name} is not drawn: {said}{again}"


def _shown(path: Path) -> str:
    """The path as one would type it: relative where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


if __name__ == "__main__":
    run_script(main)
