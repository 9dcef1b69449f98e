"""Real data: how many steps patches of handwritten digits need, exactly.

The law of binarised 3 x 3 patches (D = 9) and 4 x 4 patches (D = 16) of the 8 x 8 digit images that
scikit-learn ships, over all positions; masked and uniform noise with linear schedules on the
uniform grid. Prints TV and N TV of the N-step exact product teacher, the limit that the general
formula predicts where its hypotheses hold, and the total correlation. 4 x 4 patches take uniform
noise only: masked noise has 3^16 states. Expected, masked, 3 x 3, N = 1, 2, 4, 8, 16: TV about
.614, .325, .165, .083, .042. Takes about half a minute.

    python toys/digit_patches.py --json results/digit_patches.json --figure digit_patches
"""

from typing import Any

from di4c.exact import states, total_correlation
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess
from reporting import manifest, run_script, save_figure, script_parser, write_json
from toys.pictures.curves import draw_patches
from toys.real_data import curve, show
from toys.tasks.real_laws import patch_law

SHOWN = 18


def main(argv: list[str] | None = None) -> None:
    """Print the tables, write the record, draw the picture."""
    parser = script_parser(__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", metavar="SIZE", help="sides of the patches; 3 4"
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", metavar="N", help="numbers of steps; 1 2 4 8 16 32"
    )
    args = parser.parse_args(argv)
    sizes = args.sizes or ([3] if args.quick else [3, 4])
    steps = args.steps or ([1, 2, 4] if args.quick else [1, 2, 4, 8, 16, 32])
    if min(steps) < 1:
        raise ValueError(f"steps must be at least 1; got {min(steps)}")
    laws = [_study(size, steps) for size in sizes]
    result = {"sizes": sizes, "steps": steps, "quick": args.quick, "laws": laws}
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed)} | result)
        print(f"written to {args.json}")
    if args.figure:
        print("drawn to", *save_figure(draw_patches(result), args.figure))


def _study(size: int, steps: list[int]) -> dict[str, Any]:
    q_0, num_dims = patch_law(size)
    name = f"{size}x{size} patches"
    processes: dict[str, ForwardProcess] = {"uniform": UniformProcess(2)}
    if num_dims <= 12:  # 3^D states: beyond that a step takes minutes
        processes = {"masked": MaskedProcess(2)} | processes
    top = q_0.topk(min(SHOWN, len(q_0)))
    law = {
        "law": name,
        "size": size,
        "dims": num_dims,
        "states": len(q_0),
        "support": int((q_0 > 0).sum()),
        "total_correlation": float(total_correlation(q_0, num_dims, 2)),
        "patches": states(num_dims, 2)[top.indices].tolist(),
        "probabilities": top.values.tolist(),
        "curves": [curve(key, process, q_0, steps, name) for key, process in processes.items()],
    }
    show(law)
    return law


if __name__ == "__main__":
    run_script(main)
