"""Which few-step method is closest to the data law? Exact total variation on 15 known laws.

For every task each method generates a law that is computed exactly, without sampling. The table
shows for each law:

    TV           total variation to the data law; 0 is best, 1 is worst
    +-           half of the 95 % interval of the mean TV over the seeds (Student's t)
    KL           divergence of the law from the data law, in nats; less is better
    TC           total correlation of the law, divided by that of the data; 1 is best
    off          probability of states that do not occur in the data; 0 is best
    equivalent   number of equal steps after which the exact product teacher has the same TV
    speed-up     equivalent steps divided by the network evaluations (NFE); more is better, the
                 exact teacher has 1

The equivalent steps are a bound if marked: >= if the teacher's computed curve ends before it gets
so close, < if one step of the teacher is already closer. The mark ~ means that the curve is
continued by the exact limit of N TV.

Expected with masked noise: in one step the best method, Di4C-d with 256 categories, is worth 16.6
teacher steps in the median over the laws; the published Di4C-d is worth 1.1.

Everything (15 laws, two kinds of noise, 18 methods, three seeds) took 17 hours of one core.
--quick takes three small laws, masked noise, one seed and a small training budget: under 3 minutes
on two cores. Finished runs are kept in .cache/leaderboard.jsonl, so a command that was stopped goes
on where it ended. A change of any file of di4c/ or toys/ makes all runs start anew.

    python toys/leaderboard.py --json results/leaderboard.json --csv results/leaderboard.csv
    python toys/leaderboard.py --task digits3x3 --method teacher jump-your-steps --process masked
    python toys/leaderboard.py --law my_law.npy --method teacher sequential
"""

import argparse
import contextlib
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from reporting import (
    ROOT,
    at_least,
    format_table,
    manifest,
    output_file,
    run_script,
    save_figure,
    script_parser,
    write_json,
)
from reporting.files import write_whole
from toys.benchmark.cache import RowCache
from toys.benchmark.ranking import SUMMARY, medians, rank, summarise
from toys.benchmark.record import read_record
from toys.benchmark.runs import TEACHER, TEACHERS, curve_limits, execute, plan, with_record
from toys.methods import METHODS, find_method
from toys.pictures.benchmark import draw_leaderboard
from toys.tasks.registry import TASKS, Task, find_task, task_from_file
from toys.tasks.setting import BUDGETS, PROCESSES

CACHE = ROOT / ".cache" / "leaderboard.jsonl"
QUICK_TASKS = ("pair", "digits3x3", "moons")
QUICK_PROCESSES = ("masked",)

Row = dict[str, Any]


def main(argv: list[str] | None = None) -> None:
    """Run, print the table, write the records, draw the picture."""
    args = _parser().parse_args(argv)
    tasks, methods, processes = _chosen(args)
    budget = BUDGETS[args.budget or ("quick" if args.quick else "standard")]
    count = args.seeds or (1 if args.quick else 3)
    seeds = range(args.seed, args.seed + count)

    cache = RowCache(args.cache)
    runs = plan(tasks, processes, methods, seeds, budget, args.quick, args.teacher)
    with contextlib.nullcontext() if args.finished else cache.writing():
        rows = execute(runs, cache, args.jobs, args.resume, not args.finished)
        limits = {}
        if isinstance(args.finished, str):
            record = read_record(args.finished)
            rows = with_record(runs, rows, record)
            limits = {(line["task"], line["process"]): line["n_tv"] for line in record["limits"]}
        limits |= curve_limits(tasks, rows, cache, not args.finished)
    rows = rank(rows, limits)
    wanted = [row for row in rows if row["method"] in methods]
    for line in _without_rows(methods, processes, wanted):
        print(line)
    titles = {task.name: task.title for task in tasks}
    lines = summarise(wanted)
    headline = [line for line in medians(lines) if METHODS[line["method"]].trained]
    print(format_table([line for line in lines if _shown(line)], COLUMNS))
    if headline:
        print("\nspeed-up of trained methods: median over the tasks, with the range")
        print(format_table(headline, HEADLINE_COLUMNS))
    if args.csv:
        _write_csv(args.csv, wanted)
        print(f"written to {args.csv}")
    record = {
        "manifest": manifest(args.seed),
        **{"quick": args.quick, "budget": vars(budget), "seeds": list(seeds)},
        **{"tasks": titles, "methods": {name: METHODS[name].title for name in methods}},
        "medians": headline,
        "summary": [{name: line[name] for name in SUMMARY} for line in summarise(rows)],
        "limits": [{"task": t, "process": p, "n_tv": c} for (t, p), c in limits.items()],
        "rows": [{key: row[key] for key in row if key != "law"} for row in rows],
    }
    if args.json:
        laws = {"laws": _laws(tasks, wanted)} if args.laws else {}
        write_json(args.json, record | laws)
        print(f"written to {args.json}")
    if args.figure:
        print("drawn to", *save_figure(draw_leaderboard(record), args.figure))


def _chosen(args: argparse.Namespace) -> tuple[list[Task], list[str], list[str]]:
    """Tasks, methods and processes, without repetitions: a run must not count as two seeds."""
    tasks = [find_task(name) for name in dict.fromkeys(args.task or ())]
    if args.law:
        law = task_from_file(args.law)
        if law.name in [task.name for task in tasks]:
            raise ValueError(f"law {args.law} has the name of the task {law.name}: rename the file")
        tasks.append(law)
    if not tasks:
        tasks = [TASKS[name] for name in (QUICK_TASKS if args.quick else TASKS)]
    methods = list(dict.fromkeys(args.method or METHODS))
    for name in methods:
        find_method(name)
    processes = list(dict.fromkeys(args.process or (QUICK_PROCESSES if args.quick else PROCESSES)))
    for name in processes:
        if name not in PROCESSES:
            raise ValueError(f"process must be one of {', '.join(PROCESSES)}; got {name!r}")
    return tasks, methods, processes


def _without_rows(
    methods: Iterable[str], processes: Iterable[str], rows: Iterable[Row]
) -> Iterator[str]:
    """One line for each method and noise without rows, which says why."""
    found = {(row["method"], row["process"]) for row in rows}
    for method, process in itertools.product(methods, processes):
        if process not in METHODS[method].processes:
            yield f"{method} is not defined for {process} noise"
        elif (method, process) not in found:
            yield (
                f"{method} has no row under {process} noise: it is not finished, or it cannot "
                "handle these laws in so few steps or with this teacher"
            )


COLUMNS = {
    "task": ("task", "s"),
    "process": ("process", "s"),
    "method": ("method", "s"),
    "teacher": ("teacher", "s"),
    "latent": ("latent", "s"),
    "nfe": ("NFE", "d"),
    "tv": ("TV", ".5f"),
    "tv_interval": ("+-", ".5f"),
    "kl": ("KL", ".4f"),
    "captured_tc": ("TC", ".3f"),
    "off_support": ("off", ".4f"),
    "equivalent": ("equivalent", "s"),
    "speed_up": ("speed-up", ".2f"),
    "train_seconds": ("train s", ".1f"),
    "latent_refinement": ("refine", ".0e"),
}
"""Headers and formats of the table on the terminal."""

HEADLINE_COLUMNS = {
    **{name: COLUMNS[name] for name in ("process", "method", "teacher", "latent", "nfe")},
    **{"tasks": ("tasks", "d"), "seeds": ("seeds", "d")},
    **{"speed_up": ("median", ".2f"), "least": ("least", ".2f"), "greatest": ("greatest", ".2f")},
}

CSV_COLUMNS = (
    *("task", "process", "method", "teacher", "latent", "nfe", "seed", "tv", "kl", "captured_tc"),
    *("off_support", "equivalent_steps", "bound", "speed_up", "train_seconds", "parameters"),
    *("peak_memory", "latent_refinement", "budget", "code"),
)


def _parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add("--task", nargs="+", metavar="NAME", help=f"laws to learn: {', '.join(TASKS)} (all)")
    add("--law", metavar="FILE", help="your own law: a .npy array of shape (S,)*D that sums to 1")
    add("--method", nargs="+", metavar="NAME", help=f"methods: {', '.join(METHODS)} (all)")
    add("--process", nargs="+", metavar="NAME", help=f"noise: {', '.join(PROCESSES)} (all)")
    add(
        "--seeds",
        type=at_least(1, 10_000),
        metavar="N",
        help="number of seeds of trained methods, counted from --seed (default: 3)",
    )
    add("--budget", choices=BUDGETS, help="budget of training (default: standard)")
    add(
        "--teacher",
        choices=TEACHERS,
        default="exact",
        help="teacher to distil and to sample from: exact marginals, or a trained network",
    )
    add("--csv", type=output_file, metavar="FILE", help="write the rows here, one per line")
    cores = min(2, os.cpu_count() or 1)
    add("--jobs", type=at_least(1, 1024), default=cores, metavar="N", help="runs at a time")
    add("--cache", type=Path, default=CACHE, metavar="FILE", help="finished runs are kept here")
    add("--laws", action="store_true", help="put the laws of two-dimensional tasks into the JSON")
    add(
        "--finished",
        nargs="?",
        const=True,
        metavar="RECORD",
        help="compute nothing: show the finished runs; with a RECORD (a file that --json wrote), "
        "take the other runs from it",
    )
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use finished runs of the same code; --no-resume computes all of them again",
    )
    return parser


def _shown(line: Row) -> bool:
    """Whether the terminal shows a line; of the teacher's curve it shows a few points."""
    return line["method"] != TEACHER or line["nfe"] in (1, 4, 16, 64, 256)


_DRAWN = "process", "method", "teacher", "nfe"  # these identify a law of a task


def _laws(tasks: Iterable[Task], rows: Iterable[Row]) -> list[Row]:
    """For two-dimensional tasks: the data law, and each method's law of its first seed."""
    laws = []
    for task in tasks:
        if task.picture:
            size = task.num_values
            data = [round(value, 7) for value in task.law().tolist()]
            here = {}
            for row in rows:
                if row["task"] == task.name and "law" in row:
                    here.setdefault(tuple(row[key] for key in _DRAWN), row)
            for row in [{"method": "data", "nfe": 0, "tv": 0.0, "law": data}, *here.values()]:
                probs = [row["law"][k : k + size] for k in range(0, size * size, size)]
                known = {key: row[key] for key in (*_DRAWN, "tv") if key in row}
                laws.append({"task": task.name, **known, "probs": probs})
    return laws


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    """One line per row; an infinite divergence is "inf", any other missing value is empty."""
    table = pd.DataFrame(rows, columns=CSV_COLUMNS)
    table["kl"] = table["kl"].fillna(math.inf)
    table["peak_memory"] = table["peak_memory"].astype("Int64")  # whole numbers, some missing
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


if __name__ == "__main__":
    run_script(main)
