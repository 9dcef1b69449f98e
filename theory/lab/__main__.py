"""Look for a counterexample to a conjecture of your own.

python -m theory.lab CONJECTURE.py                  search for up to one minute
python -m theory.lab CONJECTURE.py --minutes 10     search longer
python -m theory.lab theory/lab/open/*.py --json results/lab.json

A conjecture is a file of a few lines. Its function maps random inputs to two sides, and the
conjecture is that left <= right. (A function may also return one margin, which must be >= 0.)

    from theory.lab import Grid, Law, Noise, error

    STATES = 2           # S, or a range such as (2, 3)
    DIMS = (2, 3)        # D
    STEPS = (1, 4)       # N
    NOISE = "masked"     # or "uniform", "absorbing", "any" (redraws from any law); or several
    SCHEDULES = "linear" # or "cosine", "exponential"; or several
    GRIDS = "uniform"    # or "any"
    LAWS = "any"         # or "positive", "exchangeable"

    def conjecture(law: Law, noise: Noise, grid: Grid):
        return error(law, noise, grid), 1 / (len(grid) - 1)

The annotation of a parameter says what it is: a Law on S^D, a Product law, Noise, a Grid, a Kernel
(for each noisy state a law), a Share in (0, 1), a Positive number. `theory/lab/__init__.py` lists
the functions: error, generate, total_variation, kl, total_correlation, log, sqrt, minimum, ...

The search takes random laws of many kinds, follows gradients towards a violation, rounds to small
rationals, and checks the result in exact arithmetic. A counterexample is therefore a proof that the
conjecture is false. If none is found, this is evidence and not a proof.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from reporting import manifest, run_script, script_parser, write_json
from theory.lab.conjecture import Conjecture, load
from theory.lab.report import as_row, described
from theory.lab.search import Outcome, search


def main(argv: list[str] | None = None) -> None:
    """Search for a counterexample to each conjecture."""
    parser = script_parser(__doc__, figure=False, quick=False)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="CONJECTURE.py", help="files, each a conjecture"
    )
    parser.add_argument(
        "--minutes", type=float, default=1.0, metavar="M", help="time limit for each conjecture"
    )
    args = parser.parse_args(argv)
    if not 0 < args.minutes < float("inf"):
        parser.error(f"--minutes must be a positive number; got {args.minutes}")
    torch.set_num_threads(1)  # the tensors are small: more threads are slower
    conjectures = [load(file) for file in args.files]
    rows: list[dict[str, Any]] = []
    for conjecture in conjectures:
        outcome = _searched(conjecture, 60 * args.minutes, args.seed)
        print(
            described(conjecture, outcome),
            end="\n\n" if conjecture is not conjectures[-1] else "\n",
        )
        rows.append(as_row(conjecture, outcome))
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed), "conjectures": rows})
        print(f"written to {args.json}", file=sys.stderr)


def _searched(conjecture: Conjecture, seconds: float, seed: int) -> Outcome:
    """Search with a bar that shows the remaining time and the closest case so far."""
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(
        total=round(seconds, 1),
        desc=Path(conjecture.path).stem,
        bar_format=layout,
        disable=None,
        leave=False,
        dynamic_ncols=True,
    ) as bar:

        def progress(elapsed: float, outcome: Outcome) -> None:
            bar.set_postfix_str(f"closest {outcome.least:.2g}", refresh=False)
            bar.update(min(elapsed, seconds) - bar.n)

        return search(conjecture, seconds, seed, progress)


if __name__ == "__main__":
    run_script(main)
