"""Which few-step method is closest to the truth, at which cost: exact total variation, no proxy.

Every method generates an exact law for every task; tv, kl, captured total correlation and mass off
the support are measured on it. `equivalent` is the number of equal steps after which the exact
product teacher is as close (>= where its curve ends before, < where its first step is closer, ~
where its curve is continued by the exact limit of N TV), and the speed-up is that number divided by
the network evaluations of the method. Trained methods run for several seeds: means and 95 %
intervals (Student's t).

Finished runs are kept in .cache/leaderboard.jsonl, found again only by the same code, law and
settings: a run that was killed goes on where it stopped. --quick runs the small tasks with a small
budget in under 3 minutes on two cores; everything (15 laws, two kinds of noise, 18 methods, three
seeds) took 17 hours of one core, two runs at a time.

    python toys/leaderboard.py --json results/leaderboard.json --csv results/leaderboard.csv
    python toys/leaderboard.py --task digits3x3 --method teacher jump-your-steps --process masked
    python toys/leaderboard.py --law my_law.npy --method teacher sequential
"""

import argparse
import csv
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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
from toys.benchmark.cache import RowCache
from toys.benchmark.ranking import medians, rank, recorded_limits, summarise
from toys.benchmark.runs import TEACHER, TEACHERS, curve_limits, execute, plan, with_record
from toys.methods import METHODS, find_method
from toys.pictures.benchmark import draw_leaderboard
from toys.tasks.problem import BUDGETS, PROCESSES
from toys.tasks.registry import TASKS, Task, find_task, task_from_file

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
    rows = execute(runs, cache, args.jobs, args.resume, not args.finished)
    limits = {}
    if isinstance(args.finished, str):
        record = _record(args.finished)
        rows, limits = with_record(runs, rows, record), recorded_limits(record)
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
        print("\nspeed-up of trained methods over the tasks")
        print(format_table(headline, HEADLINE_COLUMNS))
    if args.csv:
        _write_csv(args.csv, wanted)
        print(f"written to {args.csv}")
    if args.json:
        payload = {
            "manifest": manifest(args.seed),
            **{"quick": args.quick, "budget": vars(budget), "seeds": list(seeds)},
            **{"tasks": titles, "methods": {name: METHODS[name].title for name in methods}},
            "medians": headline,
            "summary": [{name: line[name] for name in SUMMARY} for line in summarise(rows)],
            "limits": [{"task": t, "process": p, "n_tv": c} for (t, p), c in limits.items()],
            "rows": [{key: row[key] for key in row if key != "law"} for row in rows],
        }
        if args.laws:
            payload["laws"] = _laws(tasks, wanted)
        write_json(args.json, payload)
        print(f"written to {args.json}")
    if args.figure:
        figure = draw_leaderboard(summarise(rows), titles, processes[0], limits)
        print(f"{processes[0]} noise drawn to", *save_figure(figure, args.figure))


def _chosen(args: argparse.Namespace) -> tuple[list[Task], list[str], list[str]]:
    """Tasks, methods and processes, each once: twice the same would count as two seeds."""
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


def _record(path: str) -> dict[str, Any]:
    """What --json wrote."""
    try:
        record = json.loads(Path(path).read_text("utf-8"))
        if isinstance(record, dict) and {"rows", "methods", "manifest"} <= record.keys():
            return record
    except ValueError:  # neither text nor JSON
        pass
    raise ValueError(f"finished must name a record that --json wrote; {path} is none")


def _without_rows(
    methods: Iterable[str], processes: Iterable[str], rows: Iterable[Row]
) -> Iterator[str]:
    """One line for each method that gave nothing under a noise, and why."""
    found = {(row["method"], row["process"]) for row in rows}
    for method, process in itertools.product(methods, processes):
        if process not in METHODS[method].processes:
            yield f"{method} is not defined for {process} noise"
        elif (method, process) not in found:
            yield (
                f"{method} has no row under {process} noise: not finished, or it does not serve "
                "these laws in so few steps or with this teacher"
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
"""What the terminal shows: format of each column."""

HEADLINE_COLUMNS = {
    **{name: COLUMNS[name] for name in ("process", "method", "teacher", "latent", "nfe")},
    **{"tasks": ("tasks", "d"), "seeds": ("seeds", "d")},
    **{"speed_up": ("median", ".2f"), "least": ("least", ".2f"), "greatest": ("greatest", ".2f")},
}

SUMMARY = (
    *("task", "process", "method", "teacher", "latent", "nfe", "seeds", "tv", "tv_interval", "kl"),
    *("equivalent_steps", "bound", "speed_up", "train_seconds", "latent_refinement"),
)
"""Means over seeds in the JSON, beside the rows; `tv_interval` is half of the 95 % interval."""

CSV_COLUMNS = (
    *("task", "process", "method", "teacher", "latent", "nfe", "seed", "tv", "kl", "captured_tc"),
    *("off_support", "equivalent_steps", "bound", "speed_up", "train_seconds", "parameters"),
    *("peak_memory", "latent_refinement", "budget", "code"),
)


def _parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add("--task", nargs="+", metavar="NAME", help=f"tasks, of {', '.join(TASKS)} (all)")
    add("--law", metavar="FILE", help="your own law: a .npy array of shape (S,)*D that sums to 1")
    add("--method", nargs="+", metavar="NAME", help=f"methods, of {', '.join(METHODS)} (all)")
    add("--process", nargs="+", metavar="NAME", help=f"noise, of {', '.join(PROCESSES)} (all)")
    add(
        "--seeds",
        type=at_least(1),
        metavar="N",
        help="seeds of trained methods, from --seed (3)",
    )
    add("--budget", choices=BUDGETS, help="what training may spend (standard)")
    add("--teacher", choices=TEACHERS, default="exact", help="what is distilled and sampled from")
    add("--csv", type=output_file, metavar="FILE", help="write one line a row here")
    cores = min(2, os.cpu_count() or 1)
    add("--jobs", type=at_least(1), default=cores, metavar="N", help="processes")
    add("--cache", type=Path, default=CACHE, metavar="FILE", help=argparse.SUPPRESS)
    add("--laws", action="store_true", help="put the laws of two-dimensional tasks into the JSON")
    add(
        "--finished",
        nargs="?",
        const=True,
        metavar="RECORD",
        help="compute nothing: show the runs that have ended, and for the others the rows of an "
        "earlier record (what --json wrote), which say what code computed them",
    )
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use finished runs of the same code (--no-resume computes all again)",
    )
    return parser


def _shown(line: Row) -> bool:
    """The terminal shows a few points of the teacher's curve; the records hold all."""
    return line["method"] != TEACHER or line["nfe"] in (1, 4, 16, 64, 256)


_DRAWN = "process", "method", "teacher", "nfe"  # what tells apart the laws of a task


def _laws(tasks: Iterable[Task], rows: Iterable[Row]) -> list[Row]:
    """The data and each method's law of its first seed, as squares, of two-dimensional tasks."""
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
    """One line a row; an infinite divergence is "inf", a missing value is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"kl": "inf" if row["kl"] is None else row["kl"]})


if __name__ == "__main__":
    run_script(main)
