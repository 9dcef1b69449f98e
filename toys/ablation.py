"""What makes a one-step student good? From the published Di4C to ours, one change at a time.

Trains one-step students of one law, all with the same network and the same number of network
evaluations in training. The law of each student is computed exactly. TV is its total variation to
the data law; lower is better.

The first rows are the published recipes. Then come the benchmark's own settings, with and without
their parts, and then these settings with one choice changed in each row.

Expected for 3 x 3 digit patches with masked noise: TV 0.50 for the published Di4C-d and 0.027 for
our settings. The exact teacher has 0.614 after one step and 0.021 after 32. Takes about five
minutes per seed on one core; --quick trains three iterations, which only shows that it works.

--long I trains our settings for I iterations instead; 12000 take five minutes per row, and reach TV
0.011. --two-steps asks why two steps are worse than one. Training rarely sees the intermediate
states of the second step; if it samples more of them, two-step TV falls from 0.145 to 0.057.

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

import pandas as pd
import torch
from tqdm import tqdm

from di4c.exact import total_variation
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json
from toys.benchmark.ranking import records
from toys.methods import published
from toys.students.jump_training import JumpOptions, jump_outputs
from toys.tasks.registry import find_task
from toys.tasks.setting import BUDGETS, PROCESSES, Budget, Output, Setting

OURS = JumpOptions(data=True)
DATA_ONLY = replace(OURS, consistency=False)


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        group: the settings that it starts from.
        name: what is changed.
        outputs: from a setting and the numbers of steps to an output for each of them.
        budget: training budget, in multiples of that of the other rows.
    """

    group: str
    name: str
    outputs: Callable[[Setting, tuple[int, ...]], Iterator[Output]]
    budget: int = 1


def ours(group: str, name: str, options: JumpOptions, budget: int = 1) -> Variant:
    """A row with the benchmark's own settings, or a change of them."""
    return Variant(group, name, partial(jump_outputs, options=options), budget)


def change(name: str, group: str = "Di4C-d, changed", budget: int = 1, **fields: Any) -> Variant:
    """Di4C-d of the benchmark with some fields of its options changed."""
    return ours(group, name, replace(OURS, **fields), budget)


ONE_STEP = [
    Variant("published", "Di4C", published.outputs),
    Variant(
        "published", "Di4C, no control variate", partial(published.outputs, control_variate=False)
    ),
    Variant("published", "Di4C-d", partial(published.outputs, data=True)),
    ours("improved", "Di4C-d", OURS),
    ours("improved", "Di4C, no data term", JumpOptions()),
    ours("improved", "data only", DATA_ONLY),
    ours("Di4C, changed", "u = t/2", JumpOptions(ratio=0.5)),
    ours("Di4C, changed", "u = 0.9 t", JumpOptions(ratio=0.9)),
    change("no loss at the start", start_weight=0.0),
    change("32 examples at the start", data_atoms=32, start_atoms=32),
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
    ours("long", "Di4C-d", OURS),
    ours("long", "data only", DATA_ONLY),
    ours("long", "Di4C, no data term", JumpOptions()),
]

# A batch of 1024 pairs of a state and a latent holds the start and 1024 / K - 1 other states.
TWO_STEPS = [
    ours("two steps", "Di4C-d (K = 256)", OURS),
    ours("two steps", "Di4C, no data term", JumpOptions()),
    ours("two steps", "data only", DATA_ONLY),
    change("u = 0.3 t", "two steps", ratio=0.3),
    change("data at random times x 10", "two steps", data_weight=1.0),
    change("K = 64", "two steps", num_latents=64),
    change("K = 16", "two steps", num_latents=16),
    change("K = 64, start x 0.3", "two steps", num_latents=64, start_weight=0.3),
    change("K = 256, budget x 5", "two steps", 5),
    change("K = 64, start x 0.3, budget x 5", "two steps", 5, num_latents=64, start_weight=0.3),
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
        setting = Setting(task, args.process, seed, budget)
        started = time.process_time()
        for output in variant.outputs(setting, steps):
            runs.append(
                {"group": variant.group, "variant": variant.name, "seed": seed, "nfe": output.nfe}
                | {"tv": float(total_variation(setting.q_0, output.law)), "latent": output.latent}
                | {"latent_refinement": output.latent_refinement, "iterations": iterations}
                | {"evaluations": budget.evaluations, "parameters": output.parameters}
                | {"train_seconds": output.train_seconds}
                # Training, this law and the laws of fewer steps.
                | {"cpu_seconds": time.process_time() - started}
            )
        if args.json:  # after each run, so that nothing is lost if the command is stopped
            settings = {"task": task.name, "process": args.process, "quick": args.quick}
            try:
                write_json(args.json, {"manifest": record, **settings, "runs": runs})
            except OSError:  # as on a full disk
                print(format_table(summary(runs), COLUMNS))
                raise
    print(format_table(summary(runs), COLUMNS))
    if args.json:
        print(f"written to {args.json}")


def _parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__, figure=False)
    add = parser.add_argument
    add("--task", metavar="NAME", help="law to learn (default: digits3x3, with --quick pair)")
    add("--process", choices=PROCESSES, default="masked", help="noise process")
    add(
        "--seeds",
        type=at_least(1, 10_000),
        default=1,
        metavar="N",
        help="number of seeds of each row, counted from --seed",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--long", type=at_least(1), metavar="I", help="train our settings for I iterations instead"
    )
    other.add_argument(
        "--two-steps",
        action="store_true",
        help="compare one and two steps, and ways to divide a batch between them",
    )
    return parser


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per variant and number of steps: mean and spread of TV over seeds, mean cost."""
    groups = pd.DataFrame(runs).groupby(["group", "variant", "nfe"], sort=False)
    rows = groups.agg(
        seeds=("tv", "size"),
        tv=("tv", "mean"),
        spread=("tv", "std"),
        refinement=("latent_refinement", "max"),
        seconds=("cpu_seconds", "mean"),
    )
    return records(rows)


COLUMNS = {
    "group": ("settings", "s"),
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
