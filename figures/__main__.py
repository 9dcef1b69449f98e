"""Draw the figures of results/, each as PNG and PDF.

Nothing is computed here: a figure whose results are missing is left out, and the commands that make
them are named (status 2). --quick draws coarse PNGs.

    python -m figures
    python -m figures --only theorem1 --out pictures
"""

import os
import sys
from pathlib import Path

from figures import (
    ablation,
    components,
    digits,
    figure1,
    figure3,
    figure4,
    latency,
    latent_batch,
    leaderboard,
    leaderboard_uniform,
    pictures,
    table1,
    theorem1,
    theorem2,
)
from reporting import ROOT, run_script, save_figure, script_parser, use_style

FIGURES = {
    "figure1": figure1,
    "theorem1": theorem1,
    "theorem2": theorem2,
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


def main(argv: list[str] | None = None) -> int:
    """Draw what can be drawn; the status is 2 if a result is missing."""
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

    use_style()
    if args.quick:
        import matplotlib as mpl  # after the style, which sets this too

        mpl.rcParams["savefig.dpi"] = QUICK_DPI
    missing = {}
    for name in [args.only] if args.only else FIGURES:
        figure = FIGURES[name]
        absent = {f: command for f, command in figure.NEEDS.items() if not (results / f).is_file()}
        missing |= absent
        if not absent:
            print("drawn to", *map(_shown, save_figure(figure.draw(results), out / name)))
    for file, command in missing.items():
        print(f"error: {_shown(results / file)} is missing; run: {command}", file=sys.stderr)
    return 2 if missing else 0


def _shown(path: Path) -> str:
    """The path as one would type it: relative where that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


if __name__ == "__main__":
    run_script(main)
