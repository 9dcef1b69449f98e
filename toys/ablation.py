"""What makes one step good: from the published Di4C to ours, one change at a time.

One-step students of one task and noise, all with the same network and the same number of network
evaluations in training; exact TV. The first rows are the published recipes; then the improved
recipe with and without its parts, and then Di4C-d with one choice changed in each row. Takes about
five minutes a seed on one core. --long trains the improved recipe for longer instead: 12000
iterations take five minutes a row on one core.

    python toys/ablation.py --seeds 3 --json results/ablation.json
    python toys/ablation.py --long 12000 --json results/ablation_long.json
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from di4c.exact import total_variation
from reporting import format_table, manifest, run_script, script_parser, write_json
from toys.methods import published
from toys.problem import BUDGETS, PROCESSES, Budget, Output, Problem
from toys.recipes import JumpRecipe, jump_student
from toys.tasks import find_task

BEST = JumpRecipe(data=True)


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        group: what it belongs to.
        name: what is changed.
        train: from a problem to the one-step output.
        long: whether it is one of the long trainings.
    """

    group: str
    name: str
    train: Callable[[Problem], Output]
    long: bool = False


def improved(recipe: JumpRecipe, problem: Problem) -> Output:
    """The one-step output of a recipe of ours."""
    return next(jump_student(problem, recipe).outputs((1,)))


def as_published(problem: Problem, **options: bool) -> Output:
    """The one-step output of a published recipe."""
    return next(published.outputs(problem, (1,), **options))


def change(name: str, **fields: Any) -> Variant:
    """Di4C-d of the benchmark with some fields of its recipe changed."""
    return Variant("Di4C-d, changed", name, partial(improved, replace(BEST, **fields)))


VARIANTS = [
    Variant("published", "Di4C", as_published),
    Variant("published", "Di4C, no control variate", partial(as_published, control_variate=False)),
    Variant("published", "Di4C-d", partial(as_published, data=True)),
    Variant("improved", "Di4C-d", partial(improved, BEST)),
    Variant("improved", "Di4C, no data", partial(improved, JumpRecipe())),
    Variant("improved", "data only", partial(improved, JumpRecipe(data=True, consistency=False))),
    Variant("Di4C, changed", "u = t/2", partial(improved, JumpRecipe(ratio=0.5))),
    Variant("Di4C, changed", "u = .9 t", partial(improved, JumpRecipe(ratio=0.9))),
    change("no loss at the start", start_weight=0.0),
    change("32 examples a state", data_atoms=32, start_atoms=32),
    change("scalar latent", latent="scalar"),
    change("scalar latent, independent", latent="scalar", stratified=False),
    change("scalar latent, 16 of them", latent="scalar", num_latents=16),
    change("8 Gaussians", latent="gaussian"),
    change("8 Gaussians, independent", latent="gaussian", stratified=False),
    change("noise for each position", latent="position"),
    change("K = 16", num_latents=16),
    change("K = 64", num_latents=64),
    change("K = 128", num_latents=128),
    change("control variate", control_variate=True),
    change("data at random times x 10", data_weight=1.0),
    change("learning rate / 5", learning_rate=2e-3),
    Variant("long", "Di4C-d", partial(improved, BEST), long=True),
    Variant("long", "data only", partial(improved, replace(BEST, consistency=False)), long=True),
    Variant("long", "Di4C, no data", partial(improved, JumpRecipe()), long=True),
]


def main(argv: list[str] | None = None) -> None:
    """Train every variant, print the table, write the record."""
    parser = script_parser(__doc__, figure=False)
    parser.add_argument("--task", default="digits3x3", metavar="NAME", help="what to learn")
    parser.add_argument("--process", choices=PROCESSES, default="masked", help="the noise")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="seeds from --seed on, for every row"
    )
    parser.add_argument(
        "--long", type=int, metavar="I", help="the improved recipe alone, for I iterations"
    )
    args = parser.parse_args(argv)
    if args.seeds < 1:
        raise ValueError(f"seeds must be at least 1; got {args.seeds}")
    torch.set_num_threads(1)
    task = find_task("pair" if args.quick else args.task)
    standard = BUDGETS["standard"]
    variants = [variant for variant in VARIANTS if variant.long == bool(args.long)]
    work = [(v, seed) for v in variants for seed in range(args.seed, args.seed + args.seeds)]
    runs, record = [], manifest(args.seed)
    for variant, seed in tqdm(work, desc="training", unit="run", disable=None):
        iterations = 3 if args.quick else args.long or standard.iterations
        budget = Budget(variant.group, iterations * standard.batch, standard.batch)
        problem = Problem(task, args.process, seed, budget)
        started = time.process_time()
        output = variant.train(problem)
        runs.append(
            {"group": variant.group, "variant": variant.name, "seed": seed}
            | {"tv": float(total_variation(problem.q_0, output.law)), "latent": output.latent}
            | {"latent_refinement": output.latent_refinement, "iterations": iterations}
            | {"evaluations": budget.evaluations, "parameters": output.parameters}
            | {"train_seconds": output.train_seconds, "nfe": output.nfe}
            | {"cpu_seconds": time.process_time() - started}
        )
        if args.json:  # whole after every run: a long one that is stopped keeps what it has
            settings = {"task": task.name, "process": args.process, "quick": args.quick}
            write_json(args.json, {"manifest": record, **settings, "runs": runs})
    print(format_table(summary(runs), COLUMNS))
    if args.json:
        print(f"written to {args.json}")


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each variant: mean and spread of TV over seeds, mean cost."""
    rows = []
    for name in dict.fromkeys((run["group"], run["variant"]) for run in runs):
        same = [run for run in runs if (run["group"], run["variant"]) == name]
        values = torch.tensor([run["tv"] for run in same], dtype=torch.float64)
        rows.append(
            {"group": name[0], "variant": name[1], "seeds": len(same), "tv": float(values.mean())}
            | {"spread": float(values.std()) if len(same) > 1 else None}
            | {"refinement": max(run["latent_refinement"] for run in same)}
            | {"seconds": sum(run["cpu_seconds"] for run in same) / len(same)}
        )
    return rows


COLUMNS = {
    "group": ("recipe", "s"),
    "variant": ("variant", "s"),
    "seeds": ("seeds", "d"),
    "tv": ("TV", ".4f"),
    "spread": ("std", ".4f"),
    "refinement": ("refinement", ".0e"),
    "seconds": ("CPU s", ".0f"),
}


if __name__ == "__main__":
    run_script(main)
