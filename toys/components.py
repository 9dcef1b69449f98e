"""How many components does a one-step mixture need? Best total variation against their number K.

Expectation maximisation (EM) fits mixtures of K products to each law, from several starts. The
table shows the total variation to the law (TV, lower is better) of the best start and of the worst,
and two exact bounds of the best TV that any mixture of K products can reach: a lower bound from
singular values, and an upper bound from the heaviest K components of Proposition 1's factorisation.

After the table come bounds on the number of components with which a mixture equals the law, and the
TV of the exact teacher after N steps, to compare with.

EM finds the likeliest mixture, which is not always the closest: for a cold Ising ring and K = 2 its
TV is three times the upper bound. Expected for 3 x 3 digit patches: TV 0.18, 0.029 and 0.0004 with
K = 8, 32 and 128; the exact teacher has 0.614 after 1 step and 0.0104 after 64. Takes about five
minutes; --quick takes seconds.

    python toys/components.py --json results/components.json --figure components
"""

from typing import Any

import torch
from tqdm import tqdm

from di4c.exact import total_variation
from reporting import (
    at_least,
    format_table,
    manifest,
    run_script,
    save_figure,
    script_parser,
    write_json,
)
from toys.pictures.laws import draw_components
from toys.students.mixture_fit import (
    components_needed,
    fit_mixture,
    lower_bound,
    mixture_law,
    upper_bound,
)
from toys.tasks.registry import TASKS, Task, find_task
from toys.teachers.masked_curve import BatchLaws

TASK_NAMES = ("parity8", "ising12-cold", "digits3x3", "permutations5", "moons", "digit32")
COMPONENTS = (1, 2, 4, 8, 16, 32, 64, 128)
TEACHER_STEPS = (1, 4, 16, 64)


def main(argv: list[str] | None = None) -> None:
    """Fit, print the table, write the record, draw the picture."""
    parser = script_parser(__doc__)
    parser.add_argument(
        "--task",
        nargs="+",
        metavar="NAME",
        help=f"laws to fit: {', '.join(TASKS)} (default: {' '.join(TASK_NAMES)})",
    )
    parser.add_argument(
        "--starts", type=at_least(1), metavar="N", help="starts per fit (default: 4)"
    )
    parser.add_argument(
        "--iterations", type=at_least(1), metavar="N", help="rounds of EM (default: 1000)"
    )
    args = parser.parse_args(argv)
    names = args.task or (("digits3x3", "moons") if args.quick else TASK_NAMES)
    tasks = [find_task(name) for name in names]
    numbers = COMPONENTS[:4] if args.quick else COMPONENTS
    starts = args.starts or (2 if args.quick else 4)
    iterations = args.iterations or (50 if args.quick else 1000)
    with tqdm(total=len(tasks) * len(numbers), unit="fit", disable=None) as bar:
        laws = [study(task, numbers, starts, iterations, args.seed, bar) for task in tasks]
    rows = [{"task": law["task"]} | row for law in laws for row in law["rows"]]
    print(format_table(rows, COLUMNS))
    for law in laws:
        below, above = law["needed"]
        print(f"{law['task']}: to be exact it needs {below} to {above} components;", end=" ")
        print("TV of the exact teacher:", end=" ")
        print(", ".join(f"N = {r['steps']}: {r['tv']:.4f}" for r in law["teacher"]))
    result = {"quick": args.quick, "starts": starts, "iterations": iterations, "laws": laws}
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed)} | result)
        print(f"written to {args.json}")
    if args.figure:
        print("drawn to", *save_figure(draw_components(laws), args.figure))


COLUMNS = {
    "task": ("task", "s"),
    "components": ("K", "d"),
    "tv": ("TV", ".5f"),
    "worst_start": ("worst start", ".5f"),
    "lower": ("lower bound", ".5f"),
    "upper": ("upper bound", ".5f"),
}


def study(
    task: Task, numbers: tuple[int, ...], starts: int, iterations: int, seed: int, bar: tqdm
) -> dict[str, Any]:
    """Fits, bounds and the teacher's curve for one law.

    Args:
        task: the law.
        numbers: the numbers of components.
        starts: of each fit.
        iterations: rounds of EM.
        seed: of the starts.
        bar: progress, by one for each number of components.
    """
    law, size = task.law(), task.num_values
    lower, upper = lower_bound(law, size), upper_bound(law, size)
    rows = []
    for number in numbers:
        found = []
        for start in range(starts):
            generator = torch.Generator().manual_seed(seed * 1000 + start)
            # Every second start is seeded by states, as random responsibilities are nearly a
            # product.
            fitted = fit_mixture(law, size, number, iterations, generator, seeded=start % 2 == 1)
            found.append(float(total_variation(law, mixture_law(*fitted))))
        rows.append(
            {
                "components": number,
                "tv": min(found),
                "worst_start": max(found),
                "lower": float(lower[number]) if number < len(lower) else 0.0,
                "upper": float(upper[number]) if number < len(upper) else 0.0,
            }
        )
        bar.update()
    batches = BatchLaws(law, size)
    teacher = [
        {"steps": n, "tv": float(total_variation(law, batches.output(n)))} for n in TEACHER_STEPS
    ]
    return {
        "task": task.name,
        "title": task.title,
        "rows": rows,
        "needed": list(components_needed(law, size)),
        "proposition1": size ** (task.num_dims - 1),
        "teacher": teacher,
    }


if __name__ == "__main__":
    run_script(main)
