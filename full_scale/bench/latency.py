"""Latency of generation: the mixture (a student and its latents) against the product (a teacher).

Both have random weights and the same sizes, and generate with the same sampler from the same start.
They take turns, in an order that changes from round to round, with a second run of the product
between them: what that differs by is noise. The overhead is the median over rounds of the ratio
within a round, with an interval that needs no law (order statistics, at least 95 %). Beside it
stands what the latent adds in floating-point operations, counted and not timed.

    python -m full_scale.bench latency                      reduced sizes, CPU: minutes
    python -m full_scale.bench latency --device cuda        published sizes, bfloat16 autocast
    python -m full_scale.bench latency --quick              seconds

Expected: at most 1 % for the published sizes, by count .05 % (cifar10), .41 % (imagenet) and .08 %
(openwebtext); the paper reports up to 5 %. One more token weighs more in the short sequences of the
reduced sizes.
"""

import math
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from tqdm import tqdm

from di4c.latents import LatentPolicy
from full_scale.bench.networks import (
    MODELS,
    check_device,
    networks,
    sizes_for,
    teacher_config,
)
from full_scale.counts import operations
from full_scale.models import DenoiserBackbone
from full_scale.models.network import Network
from full_scale.models.sampling import Plan, draw
from reporting import format_table, manifest, script_parser, write_json

STEPS = {"cifar10": 10, "imagenet": 4, "openwebtext": 8}


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        experiment: "cifar10", "imagenet" or "openwebtext".
        batch: samples generated together.
        steps: n, as the experiment counts them (`full_scale.models.sampling`).
        sizes: fields of the network that differ from the published ones; none at full size.
        device: where it runs.
        autocast: "bfloat16", or "none" for float32.
        threads: of the CPU.
        seed: of weights and draws.
    """

    experiment: str
    batch: int
    steps: int
    sizes: dict[str, Any]
    device: str
    autocast: str
    threads: int
    seed: int

    @property
    def label(self) -> str:
        """What a table calls it."""
        size = "reduced" if self.sizes else "full size"
        return f"{size}, {self.device}, batch {self.batch}, {self.steps} steps"


def generators(case: Case) -> dict[str, Callable[[], object]]:
    """The calls that are timed: one generation each."""
    torch.set_num_threads(case.threads)
    teacher, student, process = networks(case.experiment, case.sizes, case.device, case.seed)
    labels = None
    if case.experiment == "imagenet":
        labels = torch.arange(case.batch, device=case.device) % 10

    def generate(backbone: DenoiserBackbone, latent: LatentPolicy | None) -> object:
        generator = torch.Generator(case.device).manual_seed(case.seed)
        half = torch.autocast(case.device, torch.bfloat16)
        with torch.inference_mode(), half if case.autocast == "bfloat16" else nullcontext():
            return draw(
                Network(backbone, process),
                case.batch,
                Plan(case.steps),
                latent=latent,
                labels=labels,
                generator=generator,
            )

    return {
        "product": lambda: generate(teacher, None),
        "mixture": lambda: generate(student, LatentPolicy()),
        "product again": lambda: generate(teacher, None),
    }


def interleaved(
    calls: dict[str, Callable[[], object]], rounds: int, device: str, title: str
) -> dict[str, list[float]]:
    """Seconds of each call in each round, after one that warms up; the order rotates."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in tqdm(range(rounds + 1), desc=title, leave=False):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            _wait(device)
            started = time.perf_counter()
            calls[name]()
            _wait(device)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_interval(values: list[float]) -> tuple[float, float]:
    """Order statistics that enclose the median with probability of at least 95 %.

    The number of values below the median is binomial, whatever their law. The whole range where
    there are fewer than six values, which cannot reach 95 %.
    """
    ordered, n = sorted(values), len(values)
    tail = [sum(math.comb(n, j) for j in range(k + 1)) / 2**n for k in range(n)]
    rank = sum(1 for probability in tail if probability <= 0.025)
    return ordered[max(rank - 1, 0)], ordered[n - max(rank, 1)]


def compare(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of both and the overhead of the mixture, in percent."""
    seconds = interleaved(generators(case), rounds, case.device, case.experiment)
    overhead, noise = (
        [100 * (b / a - 1) for a, b in zip(seconds["product"], seconds[name], strict=True)]
        for name in ("mixture", "product again")
    )
    low, high = median_interval(overhead)
    config = teacher_config(case.experiment, case.sizes)
    counts = [operations(replace(config, latent=latent)) for latent in (False, True)]
    return {
        "experiment": case.experiment,
        "label": case.label,
        "product_seconds": statistics.median(seconds["product"]),
        "mixture_seconds": statistics.median(seconds["mixture"]),
        "overhead_percent": statistics.median(overhead),
        "overhead_low": low,
        "overhead_high": high,
        "noise_percent": statistics.median(noise),
        "operations_percent": 100 * (counts[1] / counts[0] - 1),
        "rounds": rounds,
        "case": asdict(case),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure and print, one row an experiment."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.bench latency"
    add = parser.add_argument
    add("--experiment", choices=MODELS, nargs="+", default=list(MODELS), help="which (all)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to run")
    add("--full-size", action="store_true", help="published sizes on a CPU too")
    add("--batch", type=int, metavar="INT", help="samples together (2 on a CPU, 16 on a GPU)")
    add("--steps", type=int, metavar="INT", help=f"steps ({STEPS})")
    add("--rounds", type=int, metavar="INT", help="timed rounds (21)")
    add("--threads", type=int, default=2, metavar="INT", help="CPU threads")
    add("--autocast", choices=("bfloat16", "none"), help="precision (bfloat16 on a GPU)")
    args = parser.parse_args(argv)
    check_device(args.device)
    on_gpu = args.device == "cuda"
    sizes = sizes_for(args.device, args.quick, args.full_size)
    rounds = (3 if args.quick else 21) if args.rounds is None else args.rounds
    batch = (16 if on_gpu else 2) if args.batch is None else args.batch
    for name, value in {"rounds": rounds, "batch": batch, "threads": args.threads}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    rows = [
        compare(
            Case(
                experiment,
                batch,
                STEPS[experiment] if args.steps is None else args.steps,
                sizes.get(experiment, {}),
                args.device,
                args.autocast or ("bfloat16" if on_gpu and experiment != "cifar10" else "none"),
                args.threads,
                args.seed,
            ),
            rounds,
        )
        for experiment in args.experiment
    ]
    print(format_table(rows, _COLUMNS))
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed), "rows": rows})


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


_COLUMNS = {
    "experiment": ("experiment", "s"),
    "label": ("what", "s"),
    "product_seconds": ("product s", ".4f"),
    "mixture_seconds": ("mixture s", ".4f"),
    "overhead_percent": ("overhead %", "+.2f"),
    "overhead_low": ("from", "+.2f"),
    "overhead_high": ("to", "+.2f"),
    "noise_percent": ("noise %", "+.2f"),
    "operations_percent": ("operations %", "+.2f"),
}
