"""An experiment on real data: 8 x 8 images of digits, from training a teacher to scoring students.

It trains a teacher on half of the 1797 digit images of scikit-learn and distils Di4C students from
it, one for each seed. It draws samples with 1 to 32 network calls: from the teacher, from each
student, and from the hybrid, where the teacher makes the second half of the calls. It measures the
Frechet distance in pixel space from samples to held-out images (lower is better). The distance of
the training images, the floor, is what a perfect model would score. A run that was stopped
continues where it was. The teacher takes about 10 minutes on one idle CPU core, each student 4.
--quick takes less than a minute; it shows that everything works, and is no result.

Expected Frechet distances: with 1 call the student has 4.1 and the teacher 6.7; with 2 calls 1.09
and 1.40; with 4 calls they are about equal. From 8 calls on the teacher is better, and the hybrid
equals it. No student is as good as the teacher with twice as many calls. Students here are trained
for 500 steps, those of the paper for 320 000. A student with 2000 steps (one seed,
results/digits_2000_steps.jsonl) is better with one call (3.5) and worse with two (2.2).

    python -m full_scale.digits --json results/digits.json
    python -m full_scale.digits --quick
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from di4c.latents import LatentPolicy
from di4c.rng import SampleGenerators
from full_scale.data import TokenData, open_data
from full_scale.evaluation.frechet import FeatureMoments, frechet_distance
from full_scale.models.load import load_model
from full_scale.models.network import Network
from full_scale.models.sampling import Plan, draw
from full_scale.train import train
from full_scale.training.config import Reports, Run, as_json
from full_scale.training.experiments import EXPERIMENTS
from reporting import (
    append_row,
    format_table,
    manifest,
    read_rows,
    run_script,
    script_parser,
    write_json,
)

STEPS = (1, 2, 4, 8, 16, 32)
TEACHER_STEPS = (*STEPS, 64)
SHOWN = 10
"""Number of samples of each kind that the record keeps, for the picture."""

_LEVELS = "0123456789abcdefg"  # the record holds one character for each grey level

COMPARISON = {
    "model": ("model", "s"),
    "steps": ("n", "d"),
    "equal": ("minus teacher at n", "+.3f"),
    "equal_interval": ("+-", ".3f"),
    "double": ("minus teacher at 2n", "+.3f"),
    "double_interval": ("+-", ".3f"),
}


@dataclass(frozen=True)
class Size:
    """How much work to do.

    Attributes:
        students: number of students.
        teacher: training run of the teacher.
        student: training run of each student.
        steps: numbers of network calls of students and hybrids.
        teacher_steps: numbers of network calls of the teacher.
    """

    students: int
    teacher: Run
    student: Run
    steps: tuple[int, ...] = STEPS
    teacher_steps: tuple[int, ...] = TEACHER_STEPS


FULL = Size(3, EXPERIMENTS["digits-teacher"][1], EXPERIMENTS["digits"][1])
QUICK = Size(
    1,
    replace(FULL.teacher, steps=80, reports=Reports(log_every=40, sample_every=0)),
    replace(FULL.student, steps=8, reports=Reports(log_every=4, sample_every=0)),
    steps=(1, 4),
    teacher_steps=(1, 4, 8),
)


def main(argv: list[str] | None = None) -> None:
    """Train, distil, sample and evaluate; print the tables."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.digits"
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the runs (runs/digits[-quick])"
    )
    parser.add_argument(
        "--students",
        type=int,
        nargs="+",
        metavar="SEED",
        help="seeds of the students (three from --seed on; one with --quick). Several processes "
        "can share the work: give each its own seed, then collect with all seeds",
    )
    args = parser.parse_args(argv)
    size = QUICK if args.quick else FULL
    seeds = args.students or [args.seed + k for k in range(size.students)]
    folder = args.out or Path("runs") / ("digits-quick" if args.quick else "digits")
    teacher_run = replace(size.teacher, out=folder / "teacher", seed=args.seed)
    _train(teacher_run)
    rows = [row for seed in seeds for row in study(seed, folder, teacher_run, size)]
    floor = floor_distance()
    summary = summarise(rows)
    columns = {"model": ("model", "s"), "steps": ("calls", "d"), "frechet": ("Frechet", ".3f")}
    columns |= {"interval": ("+-", ".3f"), "training_share": ("near training", ".2f")}
    print(format_table(summary, columns))
    print(f"floor, training images against held-out images: {floor:.3f}")
    print(f"one teacher, {len(seeds)} seeds of students and samples; +- is a 95 % interval (t)")
    comparison = compare(rows)
    print("", format_table(comparison, COMPARISON), sep="\n")
    if args.json:
        about = {"manifest": manifest(args.seed), "quick": args.quick, "floor": floor}
        write_json(args.json, about | {"summary": summary, "comparison": comparison, "rows": rows})
        print(f"written to {args.json}")


def study(seed: int, folder: Path, teacher_run: Run, size: Size) -> list[dict[str, Any]]:
    """Train and score one student, or finish it; one row for each model and step count."""
    own = folder / f"student{seed}"
    student_run = replace(size.student, out=own, seed=seed, teacher=str(teacher_run.out))
    _train(student_run)
    teacher, student = (load_model(run.out).network for run in (teacher_run, student_run))
    # Not inside the run folder, which holds only files of the trainer.
    record = folder / f"rows{seed}.jsonl"
    done = read_rows(record) if record.exists() else []
    rows = []
    for model, steps in tqdm(list(cells(size)), unit="model", leave=False):
        key = {"experiment": "digits", "seed": seed, "model": model, "steps": steps}
        row = next((row for row in done if row.items() >= key.items()), None)
        if row is None:
            plan = Plan(steps, teacher_steps=steps // 2 if model == "hybrid" else 0)
            samples = sample(teacher if model == "teacher" else student, plan, seed, teacher)
            row = key | score(samples) | {"sampler": "ancestral", "guidance": 0.0}
            runs = {"teacher_run": as_json(teacher_run)}
            if model != "teacher":
                runs["student_run"] = as_json(student_run)
            row["manifest"] = manifest(seed, **runs)
            append_row(record, row)
        rows.append(row)
    return rows


def _train(run: Run) -> None:
    """Train to the end. After SIGTERM the program ends; the next call continues the training."""
    outcome = train(run)
    if outcome is None or not outcome.finished:
        raise SystemExit(0)


def cells(size: Size) -> Iterator[tuple[str, int]]:
    """Each model with its numbers of network calls."""
    yield from (("teacher", steps) for steps in size.teacher_steps)
    yield from (("student", steps) for steps in size.steps)
    yield from (("hybrid", steps) for steps in size.steps if steps > 1)


def sample(network: Network, plan: Plan, seed: int, teacher: Network) -> Int[Tensor, "sample dim"]:
    """As many samples as there are held-out images; each one has random numbers of its own."""
    count = len(open_data("digits", split="test"))
    return draw(
        network,
        count,
        plan,
        latent=None if network is teacher else LatentPolicy(),
        teacher=teacher,
        generator=SampleGenerators(seed, range(count), "evaluate"),
    ).samples


def score(samples: Int[Tensor, "sample dim"]) -> dict[str, Any]:
    """Frechet distance to the held-out half, and a check whether the model copies its data.

    "training_share" is the share of samples whose nearest real image is a training image. It is
    near 1/2 for a model of the law, and near 1 for a model that copies training images.
    """
    held_out, training, grey = images("test"), images("train"), _grey(samples)
    nearer = torch.cdist(grey, training).amin(1) < torch.cdist(grey, held_out).amin(1)
    distance = frechet_distance(FeatureMoments.of(held_out), FeatureMoments.of(grey))
    return {
        "frechet": distance,
        "training_share": float(nearer.double().mean()),
        "num_samples": len(samples),
        "samples": [_text(image) for image in samples[:SHOWN]],
    }


def floor_distance() -> float:
    """Frechet distance of as many training images as there are held-out images."""
    held_out = images("test")
    training = images("train")[: len(held_out)]
    return frechet_distance(FeatureMoments.of(held_out), FeatureMoments.of(training))


def images(split: str) -> Tensor:
    """All images of one half, (N, 64): grey levels in [0, 1], float64."""
    data: TokenData = open_data("digits", split=split)
    return _grey(torch.stack([data[i]["x_0"] for i in range(len(data))]))


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over seeds for each model and step count, with a 95 % interval for two seeds or more."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["steps"]), []).append(row)
    summary = []
    for (model, steps), group in groups.items():
        mean, interval = _mean([row["frechet"] for row in group])
        share = statistics.fmean(row["training_share"] for row in group)
        summary.append(
            {
                "model": model,
                "steps": steps,
                "seeds": len(group),
                "frechet": mean,
                "interval": interval,
                "training_share": share,
            }
        )
    return summary


def compare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Distance of student and hybrid with n calls minus that of the teacher, seed by seed.

    "equal" compares with the teacher at n calls, "double" with the teacher at 2n calls. Where
    "double" is at most 0, the model needs at most half the calls of its teacher.
    """
    distance = {(row["model"], row["steps"], row["seed"]): row["frechet"] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    comparisons = []
    for model, steps in dict.fromkeys((row["model"], row["steps"]) for row in rows):
        if model == "teacher" or ("teacher", 2 * steps, seeds[0]) not in distance:
            continue
        comparison: dict[str, Any] = {"model": model, "steps": steps}
        for name, factor in (("equal", 1), ("double", 2)):
            differences = [
                distance[model, steps, seed] - distance["teacher", factor * steps, seed]
                for seed in seeds
            ]
            comparison[name], comparison[f"{name}_interval"] = _mean(differences)
        comparisons.append(comparison)
    return comparisons


def _mean(values: list[float]) -> tuple[float, float | None]:
    """Mean, and half the width of its 95 % interval (Student's t); None for a single value."""
    from scipy.stats import t  # slow

    count, mean = len(values), statistics.fmean(values)
    if count < 2:
        return mean, None
    return mean, float(t.ppf(0.975, count - 1)) * statistics.stdev(values) / count**0.5


def _grey(levels: Tensor) -> Tensor:
    return levels.double() / 16


def _text(image: Tensor) -> str:
    return "".join(_LEVELS[level] for level in image.tolist())


if __name__ == "__main__":
    run_script(main)
