"""What makes one step good: from the published Di4C to ours, one change at a time.

One-step students of one task and noise, all with the same network and the same number of network
evaluations in training; exact TV. The first rows are the published recipes; then the improved
recipe with and without its parts, and then Di4C-d with one choice changed in each row. Takes about
five minutes a seed on one core. --long trains the improved recipe for longer instead: 12000
iterations take five minutes a row on one core. --two-steps asks why a second step does not help as
much: how much of the training goes to the start, how much to the states of the second step.

    python toys/ablation.py --seeds 3 --json results/ablation.json
    python toys/ablation.py --long 12000 --json results/ablation_long.json
    python toys/ablation.py --two-steps --seeds 3 --json results/ablation_two_steps.json
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from di4c.exact import total_variation
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json
from toys.methods import published
from toys.students.recipes import JumpRecipe, jump_student
from toys.tasks.problem import BUDGETS, PROCESSES, Budget, Output, Problem
from toys.tasks.registry import find_task

BEST = JumpRecipe(data=True)
DATA_ONLY = replace(BEST, consistency=False)


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        group: what it belongs to.
        name: what is changed.
        outputs: from a problem and the numbers of steps to an output for each of them.
        budget: how many times the budget of the other rows.
    """

    group: str
    name: str
    outputs: Callable[[Problem, tuple[int, ...]], Iterator[Output]]
    budget: int = 1


def improved(recipe: JumpRecipe, problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """What a recipe of ours generates."""
    return jump_student(problem, recipe).outputs(steps)


def change(name: str, group: str = "Di4C-d, changed", budget: int = 1, **fields: Any) -> Variant:
    """Di4C-d of the benchmark with some fields of its recipe changed."""
    return Variant(group, name, partial(improved, replace(BEST, **fields)), budget)


ONE_STEP = [
    Variant("published", "Di4C", published.outputs),
    Variant(
        "published", "Di4C, no control variate", partial(published.outputs, control_variate=False)
    ),
    Variant("published", "Di4C-d", partial(published.outputs, data=True)),
    Variant("improved", "Di4C-d", partial(improved, BEST)),
    Variant("improved", "Di4C, no data term", partial(improved, JumpRecipe())),
    Variant("improved", "data only", partial(improved, DATA_ONLY)),
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
]

LONG = [
    Variant("long", "Di4C-d", partial(improved, BEST)),
    Variant("long", "data only", partial(improved, DATA_ONLY)),
    Variant("long", "Di4C, no data term", partial(improved, JumpRecipe())),
]

# A batch of 1024 pairs of a state and a latent holds the start and 1024 / K - 1 other states.
TWO_STEPS = [
    Variant("two steps", "Di4C-d (K = 256)", partial(improved, BEST)),
    Variant("two steps", "Di4C, no data term", partial(improved, JumpRecipe())),
    Variant("two steps", "data only", partial(improved, DATA_ONLY)),
    change("u = .3 t", "two steps", ratio=0.3),
    change("data at random times x 10", "two steps", data_weight=1.0),
    change("K = 64", "two steps", num_latents=64),
    change("K = 16", "two steps", num_latents=16),
    change("K = 64, start x .3", "two steps", num_latents=64, start_weight=0.3),
    change("K = 256, budget x 5", "two steps", 5),
    change("K = 64, start x .3, budget x 5", "two steps", 5, num_latents=64, start_weight=0.3),
]


def main(argv: list[str] | None = None) -> None:
    """Train every variant, print the table, write the record."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(1)
    task = find_task(args.task or ("pair" if args.quick else "digits3x3"))
    standard = BUDGETS["standard"]
    variants = LONG if args.long else TWO_STEPS if args.two_steps else ONE_STEP
    steps = (1, 2) if args.two_steps else (1,)
    work = [(v, seed) for v in variants for seed in range(args.seed, args.seed + args.seeds)]
    runs, record = [], manifest(args.seed)
    for variant, seed in tqdm(work, desc="training", unit="run", disable=None):
        iterations = 3 if args.quick else variant.budget * (args.long or standard.iterations)
        budget = Budget(variant.group, iterations * standard.batch, standard.batch)
        problem = Problem(task, args.process, seed, budget)
        started = time.process_time()
        for output in variant.outputs(problem, steps):
            runs.append(
                {"group": variant.group, "variant": variant.name, "seed": seed, "nfe": output.nfe}
                | {"tv": float(total_variation(problem.q_0, output.law)), "latent": output.latent}
                | {"latent_refinement": output.latent_refinement, "iterations": iterations}
                | {"evaluations": budget.evaluations, "parameters": output.parameters}
                | {"train_seconds": output.train_seconds}
                # Of training and of this law and those before it.
                | {"cpu_seconds": time.process_time() - started}
            )
        if args.json:  # whole after every run: a long one that is stopped keeps what it has
            settings = {"task": task.name, "process": args.process, "quick": args.quick}
            write_json(args.json, {"manifest": record, **settings, "runs": runs})
    print(format_table(summary(runs), COLUMNS))
    if args.json:
        print(f"written to {args.json}")


def _parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__, figure=False)
    add = parser.add_argument
    add("--task", metavar="NAME", help="what to learn (digits3x3; quick: pair)")
    add("--process", choices=PROCESSES, default="masked", help="the noise")
    add("--seeds", type=at_least(1), default=1, metavar="N", help="seeds of each row, from --seed")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--long", type=at_least(1), metavar="I", help="the improved recipe alone, for I iterations"
    )
    other.add_argument(
        "--two-steps", action="store_true", help="one and two steps, on ways to share a batch"
    )
    return parser


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each variant and number of steps: mean and spread of TV over seeds, mean cost."""
    rows = []
    for name in dict.fromkeys((run["group"], run["variant"], run["nfe"]) for run in runs):
        same = [run for run in runs if (run["group"], run["variant"], run["nfe"]) == name]
        values = torch.tensor([run["tv"] for run in same], dtype=torch.float64)
        rows.append(
            {"group": name[0], "variant": name[1], "nfe": name[2], "seeds": len(same)}
            | {"tv": float(values.mean())}
            | {"spread": float(values.std()) if len(same) > 1 else None}
            | {"refinement": max(run["latent_refinement"] for run in same)}
            | {"seconds": sum(run["cpu_seconds"] for run in same) / len(same)}
        )
    return rows


COLUMNS = {
    "group": ("recipe", "s"),
    "variant": ("variant", "s"),
    "nfe": ("NFE", "d"),
    "seeds": ("seeds", "d"),
    "tv": ("TV", ".4f"),
    "spread": ("std", ".4f"),
    "refinement": ("refinement", ".0e"),
    "seconds": ("CPU s", ".0f"),
}


if __name__ == "__main__":
    run_script(main)
