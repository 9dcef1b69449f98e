"""What matters in a recipe: students of words with one change each, after equally many steps.

All students begin with the recipe "own" (`full_scale.training.recipes`) and the run of the
experiment words. Scores are those of the validation part. The rows are in the order of their
effect: the mean over the numbers of calls of the change in the negative log-likelihood of the words
under a letter model. The share of real words is noisier after a short training.

A table of short trainings says what helps early, and not what a long training ends with. A stopped
command goes on with the first student that is missing.

    python -m full_scale.miniatures.ablation --json results/miniature_ablation.json
    python -m full_scale.miniatures.ablation --changes "no start term" "real data" --steps 50
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

from tqdm import tqdm

from di4c.recipe_times import FixedGap, FixedRatio, SmallTimesOften
from di4c.recipes import SeparateDistillation, Weight
from full_scale.miniatures import open_miniature
from full_scale.miniatures.study import Size, Study
from full_scale.miniatures.teachers import open_teacher, shipped_teacher
from full_scale.models.load import load_model
from full_scale.models.presets import PRESETS
from full_scale.train import train
from full_scale.training.config import Run
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Data, Reports
from full_scale.training.recipes import OWN, RECIPES, WORDS
from reporting import (
    append_row,
    at_least,
    format_table,
    manifest,
    only_writer,
    read_rows,
    run_script,
    script_parser,
    write_json,
)

CALLS = (1, 2, 4)
BASE = "no change"

_NAME = "words"
_RECORD = "rows.jsonl"
_ORDER = "letter_nll"
_COLUMNS = {
    "change": ("change", ""),
    "effect": ("effect", "+.3f"),
    **{f"{_ORDER}_{n}": (f"nll, {n}", ".3f") for n in CALLS},
    **{f"real_share_{n}": (f"real, {n}", ".4f") for n in CALLS},
}


@dataclass(frozen=True)
class Change:
    """Fields that differ from the base.

    Attributes:
        recipe: fields of the recipe.
        run: fields of the run.
        network: fields of the student's network.
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)


RUN = replace(EXPERIMENTS[_NAME][1], dropout=0.0)
"""The run of the base."""

_START = OWN.start
assert _START is not None
_LATENTS = OWN.num_latents * _START.latent_factor  # at the start

CHANGES: dict[str, Change] = {
    BASE: Change(),
    "latent kept for all calls (the recipe words)": Change(vars(WORDS)),
    "no start term": Change({"start": None}),
    "32 latents at the start, not 256": Change({"start": replace(_START, latent_factor=1)}),
    "8 latents elsewhere, not 32": Change(
        {"num_latents": 8, "start": replace(_START, latent_factor=_LATENTS // 8)}
    ),
    "independent latents, not stratified": Change({"stratified": False}),
    "latent as a token alone": Change(network={"latent_map": False}),
    "no data term": Change({"data_weight": Weight(0.0)}),
    "published data term": Change(
        {
            "data_weight": Weight(0.1, "sigmoid"),
            "data_control_variate": True,
            "data_marginal_weight": 1.0,
        }
    ),
    "marginal part alone as data term": Change(
        {"data_weight": Weight(0.0), "data_marginal_weight": 1.0}
    ),
    "no control variate": Change({"control_variate": False}),
    "no consistency": Change({"consistency_weight": 0.0}),
    "jump 0.02, not 0.1": Change({"times": FixedGap(0.02)}),
    "jump 0.3 in one step": Change({"times": FixedGap(0.3)}),
    "jump 0.3 in three steps": Change({"times": FixedGap(0.3), "teacher_steps": 3}),
    "jump to 0.05 t in four steps": Change({"times": FixedRatio(0.05), "teacher_steps": 4}),
    "half of the times below 0.15": Change({"times": SmallTimesOften(0.15, 0.5, 0.1)}),
    "no distillation": Change({"distillation": SeparateDistillation(0.15, weight=0.0)}),
    "distillation at 0.15 alone": Change({"distillation": SeparateDistillation(0.15)}),
    "average as target": Change(run={"target": "average"}),
    "dropout 0.1": Change(run={"dropout": 0.1}),
    "dropout 0.1, but not in the target": Change({"target_dropout": False}, {"dropout": 0.1}),
    "real data": Change(run={"data": Data(_NAME)}),
}
"""The changes by name."""


def main(argv: list[str] | None = None) -> None:
    """Train, measure, and print or write the table."""
    parser = script_parser(__doc__, figure=False, quick=False)
    parser.prog = "python -m full_scale.miniatures.ablation"
    parser.add_argument("--changes", nargs="+", metavar="NAME", help="only these changes")
    parser.add_argument("--steps", type=at_least(1), default=150, help="steps of each student")
    parser.add_argument("--samples", type=at_least(1), default=5000, help="samples of each score")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ablation"), help="folder of the runs"
    )
    args = parser.parse_args(argv)
    names = [BASE, *(args.changes or CHANGES)]
    if unknown := [name for name in names if name not in CHANGES]:
        known = "; ".join(CHANGES)
        raise ValueError(f"changes must be among: {known}; got {unknown[0]}")
    with only_writer(args.out):
        rows = [
            measured(name, args.steps, args.samples, args.seed, args.out)
            for name in tqdm(list(dict.fromkeys(names)), desc="students")
        ]
    for row in rows:
        row["effect"] = fmean(row[f"{_ORDER}_{n}"] - rows[0][f"{_ORDER}_{n}"] for n in CALLS)
    rows.sort(key=lambda row: row["effect"])
    print(format_table(rows, _COLUMNS))
    print(
        f"seed {args.seed}, {args.steps} steps; a lower nll is better, a higher share of real words"
    )
    if args.json:
        record = {"rows": rows, "steps": args.steps, "samples": args.samples}
        write_json(args.json, record | {"manifest": manifest(args.seed)})
        print(f"written to {args.json}")


def measured(name: str, steps: int, samples: int, seed: int, folder: Path) -> dict[str, Any]:
    """The scores of one student, from the record if they are there.

    Raises:
        SystemExit: If the training was stopped by SIGTERM. The next call continues it.
    """
    key = {"change": name, "steps": steps, "samples": samples, "seed": seed}
    path, change = folder / _RECORD, CHANGES[name]
    if path.exists():
        for row in read_rows(path):
            if row.items() >= key.items():
                return dict(row)
    recipe = f"ablation of {_NAME}: {name}"
    preset = PRESETS[_NAME]
    network = replace(preset.network, **change.network)
    with (
        patch.dict(RECIPES, {recipe: replace(OWN, **change.recipe)}),
        patch.dict(PRESETS, {_NAME: replace(preset, network=network)}),
    ):
        place = folder / f"{list(CHANGES).index(name):02d}-{steps}-{seed}"
        run: Run = replace(RUN, out=place, seed=seed, recipe=recipe, steps=steps)
        reports = Reports(log_every=50, save_every=steps, sample_every=0, keep=1)
        run = replace(run, reports=reports, **change.run)
        outcome = train(run)
        if outcome is None or not outcome.finished:
            raise SystemExit(0)
        scores = _scores(place, samples, seed)
    row = key | scores
    append_row(path, row)
    return row


def _scores(place: Path, samples: int, seed: int) -> dict[str, float]:
    """Negative log-likelihood and share of real words by number of calls."""
    miniature, teacher = open_miniature(_NAME), open_teacher(_NAME)
    source = str(shipped_teacher(_NAME))
    study = Study(miniature, teacher, source, Size(samples, CALLS, ()), place, "validation")
    model, scores = load_model(place), {}
    for calls in CALLS:
        found = miniature.score(study.sample(model, calls, seed, None), None, "validation", 1.0)
        scores |= {f"{metric}_{calls}": found[metric] for metric in (_ORDER, "real_share")}
    return scores


if __name__ == "__main__":
    run_script(main)
