"""First evidence on real data: 8 x 8 digit images, from a teacher's training to a student's score.

For each seed: trains a teacher on half of scikit-learn's 1797 digit images, distils a Di4C student
of it, draws samples from the teacher, the student and the hybrid (second half of the calls by the
teacher) at 1 to 32 network calls, and measures their Frechet distance in pixel space to the images
that were held out, beside the distance of the training images (the floor). Stopped at any point, it
goes on from there. About 45 minutes on one CPU core for each seed; --quick takes under a minute and
shows that the path works, not a result.

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

from di4c.latents import LatentPolicy
from di4c.rng import SampleGenerators
from full_scale.data import TokenData, open_data
from full_scale.experiments import EXPERIMENTS, Reports, Run, as_json
from full_scale.metrics.frechet import FeatureMoments, frechet_distance
from full_scale.model_file import read_model
from full_scale.networks import Network
from full_scale.sampling import Plan, draw
from full_scale.train import train
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
TEACHER_STEPS = (*STEPS, 64, 128)
SHOWN = 10
"""Samples of each kind that the record keeps, for the picture."""

_LEVELS = "0123456789abcdefg"  # a grey level as one character of the record


@dataclass(frozen=True)
class Size:
    """How much work to do."""

    seeds: tuple[int, ...]
    teacher: Run
    student: Run
    sets: int
    """samples are drawn in so many sets of the size of the held-out half"""
    steps: tuple[int, ...] = STEPS
    teacher_steps: tuple[int, ...] = TEACHER_STEPS


FULL = Size((0, 1, 2), EXPERIMENTS["digits-teacher"][1], EXPERIMENTS["digits"][1], sets=4)
QUICK = Size(
    (0,),
    replace(FULL.teacher, steps=120, reports=Reports(log_every=40, sample_every=0)),
    replace(FULL.student, steps=12, reports=Reports(log_every=4, sample_every=0)),
    sets=1,
    steps=(1, 4),
    teacher_steps=(1, 4, 8),
)


def main(argv: list[str] | None = None) -> None:
    """Train, distil, sample, evaluate; print the table."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.digits"
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the runs (runs/digits[-quick])"
    )
    args = parser.parse_args(argv)
    size = QUICK if args.quick else FULL
    size = replace(size, seeds=tuple(args.seed + seed for seed in size.seeds))
    folder = args.out or Path("runs") / ("digits-quick" if args.quick else "digits")
    rows = [row for seed in size.seeds for row in study(seed, folder / f"seed{seed}", size)]
    floor = floor_distance()
    summary = summarise(rows)
    columns = {"model": ("model", "s"), "steps": ("calls", "d"), "frechet": ("Frechet", ".3f")}
    columns |= {"interval": ("+-", ".3f"), "training_share": ("near training", ".2f")}
    print(format_table(summary, columns))
    print(f"floor, training images against held-out images: {floor:.3f}")
    print(f"mean over {len(size.seeds)} seeds; +- is a 95 % interval of it (Student's t)")
    if args.json:
        about = {"manifest": manifest(args.seed), "quick": args.quick, "floor": floor}
        write_json(args.json, about | {"summary": summary, "rows": rows})
        print(f"written to {args.json}")


def study(seed: int, folder: Path, size: Size) -> list[dict[str, Any]]:
    """Everything for one seed, or what is left of it: one row for each model and step count."""
    teacher_run = replace(size.teacher, out=folder / "teacher", seed=seed)
    train(teacher_run)
    teacher_file = folder / "teacher" / "model.safetensors"
    student_run = replace(size.student, out=folder / "student", seed=seed, teacher=teacher_file)
    train(student_run)
    teacher = open_network(teacher_file)
    student = open_network(folder / "student" / "model.safetensors")
    record, about = folder / "rows.jsonl", {"sets": size.sets}
    done = read_rows(record) if record.exists() else []
    rows = []
    for model, steps in cells(size):
        key = {"experiment": "digits", "seed": seed, "model": model, "steps": steps} | about
        row = next((row for row in done if row.items() >= key.items()), None)
        if row is None:
            plan = Plan(steps, teacher_steps=steps // 2 if model == "hybrid" else 0)
            network = teacher if model == "teacher" else student
            samples = sample(network, plan, seed, size.sets, teacher)
            row = key | score(samples) | {"sampler": "ancestral", "guidance": 0.0}
            runs = {"teacher_run": as_json(teacher_run), "student_run": as_json(student_run)}
            row["manifest"] = manifest(seed, **runs)
            append_row(record, row)
        rows.append(row)
    return rows


def cells(size: Size) -> Iterator[tuple[str, int]]:
    """Models and numbers of network calls."""
    yield from (("teacher", steps) for steps in size.teacher_steps)
    yield from (("student", steps) for steps in size.steps)
    yield from (("hybrid", steps) for steps in size.steps if steps > 1)


def open_network(path: Path) -> Network:
    """The model of a file, ready to sample."""
    model = read_model(path)
    assert model.process is not None
    backbone = model.network.build()
    backbone.load_state_dict(model.state)
    return Network(backbone.eval(), model.process.build())


def sample(
    network: Network, plan: Plan, seed: int, sets: int, teacher: Network
) -> Int[Tensor, "set sample dim"]:
    """Sets of samples, each as large as the held-out half; sample i has a stream of its own."""
    size, is_student = len(open_data("digits", split="test")), network is not teacher
    drawn = [
        draw(
            network,
            size,
            plan,
            latent=LatentPolicy() if is_student else None,
            teacher=teacher,
            generator=SampleGenerators(seed, range(k * size, (k + 1) * size), "evaluate"),
        ).samples
        for k in range(sets)
    ]
    return torch.stack(drawn)


def score(samples: Int[Tensor, "set sample dim"]) -> dict[str, Any]:
    """Frechet distance to the held-out half, averaged over sets, and a check for memory.

    "training_share" is the share of samples whose nearest real image is one of the training half:
    near 1/2 for a model that has learned the law, near 1 for one that has learned the images.
    """
    held_out, training = images("test"), images("train")
    moments = FeatureMoments.of(held_out)
    distances = [frechet_distance(moments, FeatureMoments.of(_grey(part))) for part in samples]
    flat = _grey(samples.flatten(0, 1))
    nearer = torch.cdist(flat, training).amin(1) < torch.cdist(flat, held_out).amin(1)
    return {
        "frechet": statistics.fmean(distances),
        "frechet_sets": distances,
        "training_share": float(nearer.double().mean()),
        "num_samples": samples.shape[0] * samples.shape[1],
        "samples": [_text(image) for image in samples[0, :SHOWN]],
    }


def floor_distance() -> float:
    """Of as many training images as there are held-out ones: what perfection would score."""
    held_out = images("test")
    training = images("train")[: len(held_out)]
    return frechet_distance(FeatureMoments.of(held_out), FeatureMoments.of(training))


def images(split: str) -> Tensor:
    """All images of a half, (N, 64), grey levels in [0, 1], float64."""
    data: TokenData = open_data("digits", split=split)
    return _grey(torch.stack([data[i]["x_0"] for i in range(len(data))]))


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over seeds of each model and step count, with a 95 % interval where there are two."""
    from scipy.stats import t  # slow

    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["steps"]), []).append(row)
    summary = []
    for (model, steps), group in groups.items():
        values = [row["frechet"] for row in group]
        count, interval = len(values), None
        if count > 1:
            error = statistics.stdev(values) / count**0.5
            interval = float(t.ppf(0.975, count - 1)) * error
        share = statistics.fmean(row["training_share"] for row in group)
        summary.append(
            {
                "model": model,
                "steps": steps,
                "seeds": count,
                "frechet": statistics.fmean(values),
                "interval": interval,
                "training_share": share,
            }
        )
    return summary


def _grey(levels: Tensor) -> Tensor:
    return levels.double() / 16


def _text(image: Tensor) -> str:
    return "".join(_LEVELS[level] for level in image.tolist())


if __name__ == "__main__":
    run_script(main)
