"""How many steps the exact teacher needs on real data: patches of handwritten digits.

The data are the digit images of 8 x 8 pixels that scikit-learn ships, binarised. The laws are those
of all 3 x 3 patches (D = 9) and of all 4 x 4 patches (D = 16). Noise is masked or uniform, with
linear schedules and equal steps; 4 x 4 patches take uniform noise only, as masked noise has 3^16
states.

Prints for each N the total variation of the exact product teacher after N steps (TV, lower is
better), N TV, and the limit of N TV that the general formula predicts where its hypotheses hold.
Also prints the total correlation of each law.

Expected for 3 x 3 patches with masked noise: TV 0.614, 0.325, 0.165, 0.083 and 0.042 after 1, 2, 4,
8 and 16 steps. Takes about half a minute; --quick takes seconds, with 3 x 3 patches and N up to 4.

    python toys/digit_patches.py --json results/digit_patches.json --figure digit_patches
"""

from typing import Any

from di4c.exact import states, total_correlation
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess
from reporting import at_least, manifest, run_script, save_figure, script_parser, write_json
from toys.pictures.curves import draw_patches
from toys.tasks.real_laws import patch_law
from toys.teachers.curves import print_curves, teacher_curve

SHOWN = 18


def main(argv: list[str] | None = None) -> None:
    """Print the tables, write the record, draw the picture."""
    parser = script_parser(__doc__)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        metavar="SIZE",
        help="sides of the patches in pixels (default: 3 4)",
    )
    parser.add_argument(
        "--steps",
        type=at_least(1),
        nargs="+",
        metavar="N",
        help="numbers of steps (default: 1 2 4 8 16 32)",
    )
    args = parser.parse_args(argv)
    sizes = args.sizes or ([3] if args.quick else [3, 4])
    steps = args.steps or ([1, 2, 4] if args.quick else [1, 2, 4, 8, 16, 32])
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
    if num_dims <= 12:  # masked noise has 3^D states: with more, a step takes minutes
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
        "curves": [
            teacher_curve(key, process, q_0, steps, name) for key, process in processes.items()
        ],
    }
    print_curves(law)
    return law


if __name__ == "__main__":
    run_script(main)
