"""Time to generate samples: a mixture (student with latents) against a product model (teacher).

Both have random weights and the same sizes, and generate with the same sampler and the same random
numbers. In each round both models generate once, and the product model a second time; the order
rotates. The overhead is the median over rounds of the ratio within a round. Its interval consists
of order statistics and covers the median with at least 95 %, whatever the law of the times. The
ratio of the two runs of the product model shows the noise of the machine. The last column is the
overhead in floating-point operations, which are counted and not timed.

    python -m full_scale.bench latency                      reduced sizes, CPU: minutes
    python -m full_scale.bench latency --device cuda        published sizes, bfloat16 autocast
    python -m full_scale.bench latency --quick              seconds

Expected at the published sizes: an overhead of at most 1 %. Counted in operations it is 0.05 %
(cifar10), 0.41 % (imagenet) and 0.08 % (openwebtext); the paper reports up to 5 %. At reduced sizes
it is larger: the latent is one more token, which weighs more in a short sequence.
"""

import math
import statistics
from dataclasses import asdict, replace
from typing import Any

import torch

from di4c.latents import LatentPolicy
from full_scale.bench.measure import Case, Workload, check_device, seconds
from full_scale.bench.networks import (
    QUICK,
    autocast,
    network_parser,
    networks,
    precision_of,
    sizes_for,
    teacher_config,
)
from full_scale.models.base import DenoiserBackbone
from full_scale.models.network import Network
from full_scale.models.sampling import Plan, draw
from full_scale.training.cost import operations
from reporting import at_least, format_table, manifest, write_json

STEPS = {"cifar10": 10, "imagenet": 4, "openwebtext": 8}
_CALLS = ("product", "mixture", "product_again")


class Generation(Workload):
    """Generation of a batch by a product model and by a mixture."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.teacher, self.student, self.process = networks(case)

    @staticmethod
    def small(case: Case) -> Case:
        """See `Workload.small`."""
        return replace(case, sizes=QUICK[case.experiment], batch=1)

    def product(self) -> object:
        """Generate with the product model."""
        return self._generate(self.teacher, None)

    def mixture(self) -> object:
        """Generate with the mixture."""
        return self._generate(self.student, LatentPolicy())

    def product_again(self) -> object:
        """Generate with the product model, to see how much two equal runs differ."""
        return self.product()

    def _generate(self, backbone: DenoiserBackbone, latent: LatentPolicy | None) -> object:
        case, labels = self.case, None
        assert case.steps is not None
        if case.experiment == "imagenet":
            labels = torch.arange(case.batch, device=case.device) % 10
        generator = torch.Generator(case.device).manual_seed(case.seed)
        with torch.inference_mode(), autocast(case):
            return draw(
                Network(backbone, self.process),
                case.batch,
                Plan(case.steps),
                latent=latent,
                labels=labels,
                generator=generator,
            )


def label(case: Case) -> str:
    """Name of the case in a table."""
    size = "reduced" if case.sizes else "full size"
    return f"{size}, {case.device}, batch {case.batch}, {case.steps} steps"


def median_interval(values: list[float]) -> tuple[float, float]:
    """Order statistics that enclose the median with a probability of at least 95 %.

    The number of values below the median is binomial, whatever their law. Fewer than six values
    cannot reach 95 %; the result is then their whole range.
    """
    ordered, n = sorted(values), len(values)
    tail = [sum(math.comb(n, j) for j in range(k + 1)) / 2**n for k in range(n)]
    rank = sum(1 for probability in tail if probability <= 0.025)
    return ordered[max(rank - 1, 0)], ordered[n - max(rank, 1)]


def compare(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of both models, and the overhead of the mixture in percent."""
    times = seconds(Generation, case, _CALLS, rounds, case.experiment)
    overhead, noise = (
        [100 * (b / a - 1) for a, b in zip(times["product"], times[name], strict=True)]
        for name in ("mixture", "product_again")
    )
    low, high = median_interval(overhead)
    config = teacher_config(case.experiment, case.sizes)
    counts = [operations(replace(config, latent=latent)) for latent in (False, True)]
    return {
        "experiment": case.experiment,
        "label": label(case),
        "product_seconds": statistics.median(times["product"]),
        "mixture_seconds": statistics.median(times["mixture"]),
        "overhead_percent": statistics.median(overhead),
        "overhead_low": low,
        "overhead_high": high,
        "noise_percent": statistics.median(noise),
        "operations_percent": 100 * (counts[1] / counts[0] - 1),
        "rounds": rounds,
        "case": asdict(case),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure and print, one row for each experiment."""
    parser = network_parser(__doc__, "latency", "samples at once (2 on a CPU, 16 on a GPU)")
    parser.add_argument(
        "--steps", type=at_least(1), metavar="INT", help=f"sampling steps ({STEPS})"
    )
    parser.add_argument("--rounds", type=at_least(1), metavar="INT", help="timed rounds (21)")
    args = parser.parse_args(argv)
    check_device(args.device)
    sizes = sizes_for(args.device, args.quick, args.full_size)
    rounds = (3 if args.quick else 21) if args.rounds is None else args.rounds
    batch = (16 if args.device == "cuda" else 2) if args.batch is None else args.batch
    cases = [
        Case(
            experiment=experiment,
            batch=batch,
            sizes=sizes.get(experiment, {}),
            steps=STEPS[experiment] if args.steps is None else args.steps,
            device=args.device,
            precision=precision_of(experiment, args.device, args.autocast),
            threads=args.threads,
            seed=args.seed,
        )
        for experiment in args.experiment
    ]
    rows = [compare(case, rounds) for case in cases]
    print(format_table(rows, _COLUMNS))
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed), "rows": rows})


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
