"""Write the tables of README.md again, each after its marker, and the number of claims.

They come from theory.json, leaderboard.json and miniatures.csv in results/, and from the code.
Nothing is written unless each of these is whole and every claim holds.

    python -m docs.tables

The pages of the documentation include more tables, which `write` makes when they are built.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import t as student_t

import di4c
from docs import bench_tables, miniature_tables
from figures.ablation import TITLES
from figures.published import PUBLISHED
from full_scale.training.cost import PRECISIONS, outline
from full_scale.training.experiments import EXPERIMENTS
from reporting import ROOT, markdown_table, read_json, run_script, script_parser
from reporting.files import write_whole
from reporting.inputs import parsing, read_file
from theory.certified.family import recorded_table
from theory.claim import all_claims
from theory.lab.report import record_markdown
from theory.paper import statements_markdown
from theory.recorded import read_claims
from theory.table import markdown, paper_markdown
from toys.benchmark import tables as benchmark
from toys.benchmark.record import read_summary
from toys.tasks.setting import PROCESSES

RESULTS = ROOT / "results"
README = ROOT / "README.md"
_FULL_SCALE = {"cifar10": 1, "imagenet": 2, "openwebtext": 2, "openwebtext-round2": 2}
"""Experiments and the number of GPUs of the published training."""
_METRICS = {"fid": "FID", "is": "inception score", "mauve": "MAUVE"}
_NO_ZERO = re.compile(r"(?<![\d\w])\.(?=\d)")  # the place of a missing 0, as in ".9 t"


def write(folder: Path) -> None:
    """Write every table as a Markdown file."""
    for name, text in tables().items():
        write_whole(folder / f"{name}.md", text.encode())


def tables() -> dict[str, str]:
    """The tables by name."""
    record = read_claims(RESULTS / "theory.json")
    by_noise = by_process()
    return {
        "paper": paper_markdown(record),
        "statements": statements_markdown(record),
        "lab": record_markdown(read_json(RESULTS / "lab.json")),
        "claims": markdown(record),
        "certified": recorded_table(),
        **{f"benchmark_{noise}": text for noise, text in by_noise.items()},
        "ablation": ablation("ablation.json", "ablation_long.json"),
        "two_steps": two_steps(),
        "experiments": experiments(),
        "published": published(),
        "latency": bench_tables.latency(),
        "train_step": bench_tables.train_step(),
        "own_bench": bench_tables.own_model(),
        "own_latent": bench_tables.own_latent(),
        "hard_use": bench_tables.hard_use(),
        "miniatures": miniature_tables.everything(),
        "miniature_shares": miniature_tables.shares(),
        "miniature_ablation": miniature_tables.ablation(),
        "names": names(),
    }


def readme_tables() -> dict[str, str]:
    """The tables of README.md by the name in their marker."""
    needed = [claim.name for claim in all_claims() if claim.group == "paper"]
    return {
        "paper": paper_markdown(read_claims(RESULTS / "theory.json", needed)),
        "masked": by_process(benchmark.SHORT)["masked"],
        "miniatures": miniature_tables.short(),
    }


def by_process(only: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """The tables of the recorded benchmark by noise; see `toys.benchmark.tables.markdown`.

    Raises:
        ValueError: If the record is broken, or has no methods to compare under some noise.
    """
    path = RESULTS / "leaderboard.json"
    made = benchmark.markdown(read_summary(path), only)
    if absent := [process for process in PROCESSES if process not in made]:
        raise ValueError(f"{path} has no methods to compare under {absent[0]} noise; make it again")
    return made


def with_tables(text: str) -> str:
    """The text of README.md with its tables and the number of claims written again.

    Raises:
        ValueError: If a marker is missing, or a record is broken.
    """
    for name, written in readme_tables().items():
        before, marker, after = text.partition(f"<!-- {name} -->\n")
        if not marker:
            raise ValueError(f"{README} has no line <!-- {name} -->; put it above the table")
        rest = after.splitlines(keepends=True)
        text = before + marker + written + "".join(dropwhile(lambda line: line[0] == "|", rest))
    others = sum(claim.group != "paper" for claim in all_claims())
    return re.sub(r"\d+ more claims", f"{others} more claims", text)


def ablation(*files: str) -> str:
    """One-step TV of each variant: mean and 95 % interval over seeds, seconds of training."""
    rows = [
        (f"{TITLES[group]}{variant}", f"{values.tv:.3f}", _spread(values), f"{values.seconds:.0f}")
        for (group, variant, _), values in _means(*files).iterrows()
    ]
    return markdown_table(["variant", "TV", "95 % interval", "seconds"], rows)


def two_steps() -> str:
    """TV after one and after two steps of each variant, means over seeds."""
    values = _means("ablation_two_steps.json")["tv"].unstack("nfe", sort=False)
    rows = [(name, f"{tv[1]:.3f}", f"{tv[2]:.3f}") for (_, name), tv in values.iterrows()]
    return markdown_table(["variant", "TV, one step", "TV, two steps"], rows)


def _means(*files: str) -> pd.DataFrame:
    """Mean TV, its standard error, seeds and seconds by group, variant and number of steps."""
    runs = pd.concat([pd.DataFrame(read_json(RESULTS / file)["runs"]) for file in files])
    runs["variant"] = runs["variant"].str.replace(_NO_ZERO, "0.", regex=True)
    return runs.groupby(["group", "variant", "nfe"], sort=False).agg(
        tv=("tv", "mean"),
        error=("tv", "sem"),
        seeds=("tv", "size"),
        seconds=("train_seconds", "mean"),
    )


def _spread(values: pd.Series) -> str:
    """Half of the 95 % interval by Student's t."""
    if values.seeds == 1:
        return "one seed"
    return f"± {student_t.ppf(0.975, values.seeds - 1) * values.error:.3f}"


def experiments() -> str:
    """Sizes, counted operations and estimated hours of the full-scale experiments."""
    rows = []
    for name, gpus in _FULL_SCALE.items():
        run = EXPERIMENTS[name][1]
        plan = outline(run)
        hours = plan.hours(run.precision)
        memory = plan.estimate(gpus).total / 2**30
        rows.append(
            (
                f"`{name}`",
                f"{plan.parameters()['trained'] / 1e6:.0f} million",
                f"{run.steps:,} x {run.batch_size} x {run.di4c_recipe.num_latents}",
                f"{run.steps * plan.operations():.1e}",
                f"{memory:.0f} GiB",
                PRECISIONS[run.precision],
                f"{hours:.0f}",
                f"{hours / gpus:.0f} with {gpus}",
                f"{hours / 8:.1f}",
            )
        )
    header = ["experiment", "parameters", "steps x batch x latents", "operations", "memory"]
    header += ["precision", "hours, 1 GPU", "hours, published GPUs", "hours, 8 GPUs"]
    return markdown_table(header, rows)


def published() -> str:
    """Published numbers, each with its source."""
    rows = []
    for row in PUBLISHED:
        about = "about " if row.approximate else ""
        shown = (f"{_METRICS.get(key, key)} {about}{row.metrics[key]:g}" for key in row.metrics)
        metrics = ", ".join(shown)
        rows.append((row.experiment, row.method, row.role, row.steps, metrics, row.source))
    return markdown_table(["experiment", "method", "role", "steps", "metrics", "source"], rows)


def names() -> str:
    """The names that `di4c` exports, each with the first sentence of its documentation."""
    lines = []
    for name in di4c.__all__:
        thing = getattr(di4c, name)
        text = " ".join((thing.__doc__ or "").split("\n\n")[0].split())
        if isinstance(thing, di4c.Recipe):
            text = f"The published recipe of the {name} experiment."
        lines.append(f"- {{py:obj}}`{name} <{documented_as(thing, name)}>`: {text}\n")
    return "".join(lines)


def documented_as(thing: Any, name: str) -> str:
    """The full name under which the reference documents something that `di4c` exports."""
    module = getattr(thing, "__module__", "")
    if isinstance(thing, di4c.Recipe):
        module = "di4c.recipes"
    for package in ("di4c.processes", "di4c.likelihood", "di4c.exact"):
        if module.startswith(package):
            module = package
    return f"{module}.{name}"


def main(argv: list[str] | None = None) -> None:
    """Write README.md again."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.prog = "python -m docs.tables"
    parser.parse_args(argv)
    with parsing(README, "a text", "restore it"):
        text = read_file(README).decode()
    write_whole(README, with_tables(text).encode())
    print(f"written to {README}")


if __name__ == "__main__":
    run_script(main)
