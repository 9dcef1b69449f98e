"""Consistency and data loss, forward and backward: the plain formula against `HeadMixture`.

The plain formula takes the log-softmax of all logits and gathers once for each target, as published
code does. Bare products are the four that no algorithm of bounded memory avoids: logits, logits
again, grad features, grad weight. Extra memory is the peak above the state before the call, the
gradients included; work space is without them. Every measurement has a process of its own.

    python -m full_scale.bench loss                     two threads, float32, S = 8192: 5 minutes
    python -m full_scale.bench loss --device cuda       bfloat16, D = 1024, S = 50258
    python -m full_scale.bench loss --quick             seconds

Expected on a CPU: a fifth of the time, a tenth of the memory, 1.3 times the bare products, and a
work space that does not grow with S.
"""

import math
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from di4c.latents import uniform_log_weights
from di4c.likelihood import HeadMixture, LinearHead
from di4c.losses import Target, consistency_loss, data_loss, prefetch
from full_scale.bench.measure import extra_memory, in_fresh_process, median_seconds
from reporting import format_table, manifest, script_parser, write_json

MIB = 2**20


@dataclass(frozen=True)
class Case:
    """One problem: shapes, precision and where it runs."""

    batch: int = 1
    num_latents: int = 16
    num_dims: int = 256
    num_states: int = 8192
    width: int = 256
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 2
    seed: int = 0


CPU = Case()
GPU = Case(num_dims=1024, num_states=50258, width=768, dtype="bfloat16", device="cuda")
QUICK = Case(num_latents=4, num_dims=32, num_states=512, width=32)
SWEEP = (1024, 4096, 16384, 50258)
QUICK_SWEEP = (256, 1024)


class Problem:
    """Features, a head and the two targets, at random."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(case.threads)
        self.generator = torch.Generator(case.device).manual_seed(case.seed)
        self.case = case
        dtype = getattr(torch, case.dtype)
        shape = (case.batch, case.num_latents, case.num_dims, case.width)
        self.inputs = [
            tensor.to(dtype).requires_grad_()
            for tensor in (
                self._randn(*shape),
                self._randn(case.num_states, case.width) / math.sqrt(case.width),
                self._randn(case.num_states),
            )
        ]
        self.laws = [self._law(), self._law()]
        self.targets = [
            Target.from_samples(self._samples(num_samples), law)
            for num_samples, law in zip((case.num_latents, 1), self.laws, strict=True)
        ]

    def _randn(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.case.device)

    def _law(self) -> Tensor:
        case = self.case
        return self._randn(case.batch, case.num_dims, case.num_states).log_softmax(-1)

    def _samples(self, count: int) -> Tensor:
        case = self.case
        shape = (case.batch, count, case.num_dims)
        return torch.randint(case.num_states, shape, generator=self.generator, device=case.device)

    def ours(self) -> tuple[Tensor, ...]:
        """Loss and gradients through one sweep over the head."""
        hidden, *head = self.inputs
        log_weights = uniform_log_weights(self.case.num_latents, hidden.device)
        student = prefetch(HeadMixture(hidden, LinearHead(*head), log_weights), self.targets)
        consistency, data = self.targets
        loss = consistency_loss(student, consistency).total + data_loss(student, data).total
        return self._with_grads(loss.sum())

    def plain(self) -> tuple[Tensor, ...]:
        """The formulas as they stand: all log-probabilities, then one gather for each target."""
        hidden, weight, bias = self.inputs
        wide = torch.promote_types(hidden.dtype, torch.float32)
        log_probs = torch.log_softmax(hidden @ weight.T + bias, -1, dtype=wide)  # (B, L, D, S)
        log_num_latents = math.log(self.case.num_latents)
        log_mean = log_probs.logsumexp(1) - log_num_latents  # (B, D, S)
        loss = torch.zeros((), device=hidden.device)
        for target, law in zip(self.targets, self.laws, strict=True):
            num_atoms = target.atoms.shape[1]
            for n in range(num_atoms):
                x = target.atoms[:, n, None, :, None].expand(-1, self.case.num_latents, -1, -1)
                at_x = log_probs.gather(-1, x).squeeze(-1)  # (B, L, D)
                joint = at_x.sum(-1).logsumexp(1) - log_num_latents
                product = (at_x.logsumexp(1) - log_num_latents).sum(-1)
                loss = loss - (joint - product).sum() / num_atoms
            loss = loss + (law.exp() * (law - log_mean)).sum()
        return self._with_grads(loss)

    def products(self) -> tuple[Tensor, ...]:
        """The matrix products that no algorithm of bounded memory avoids, and nothing else.

        Logits, the logits again, the gradient of the features, the gradient of the weight.
        """
        with torch.no_grad():
            hidden, weight, _ = self.inputs
            rows = hidden.flatten(0, 2)
            logits = rows @ weight.T
            torch.mm(rows, weight.T, out=logits)
            return logits @ weight, logits.T @ rows

    def _with_grads(self, loss: Tensor) -> tuple[Tensor, ...]:
        return loss.detach(), *torch.autograd.grad(loss, self.inputs)


def memory(case: Case, method: str) -> int | None:
    """Extra bytes of one call, None if they are not to be had."""
    small = replace(case, num_dims=2, num_states=64)
    getattr(Problem(small), method)()  # libraries and threads start here
    problem = Problem(case)
    try:
        return extra_memory(getattr(problem, method), case.device)
    except torch.OutOfMemoryError:
        return None


def seconds(case: Case, methods: tuple[str, ...], repeats: int) -> dict[str, float]:
    """Median wall time of each method."""
    problem = Problem(case)
    return median_seconds({name: getattr(problem, name) for name in methods}, repeats, case.device)


def largest_difference(case: Case) -> float:
    """Between both methods' loss and gradients, relative to the largest entry of each."""
    problem = Problem(case)
    pairs = zip(problem.ours(), problem.plain(), strict=True)
    return max(
        float((ours.double() - plain).abs().max() / plain.double().abs().max())
        for ours, plain in pairs
    )


def compare(case: Case, repeats: int) -> dict[str, Any]:
    """The plain formula, ours and the bare products on one case."""
    extra = {name: in_fresh_process(memory, case, name, lean=True) for name in ("plain", "ours")}
    fits = tuple(name for name in ("plain", "ours") if extra[name] is not None)
    time = in_fresh_process(seconds, case, (*fits, "products"), repeats)
    both = len(fits) == 2
    return {
        "rows": [
            {
                "method": name,
                "seconds": time.get(name),
                "extra_mib": None if extra.get(name) is None else extra[name] / MIB,
            }
            for name in ("plain", "ours", "products")
        ],
        "time_ratio": time["ours"] / time["plain"] if both else None,
        "memory_ratio": extra["ours"] / extra["plain"] if both else None,
        "products_ratio": time["ours"] / time["products"] if "ours" in fits else None,
        "largest_difference": in_fresh_process(largest_difference, case) if both else None,
    }


def sweep(case: Case, sizes: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    """Ours as S grows; the gradients themselves are part of the result, not of the work space."""
    rows = []
    for num_states in sizes:
        grown = replace(case, num_states=num_states)
        extra = in_fresh_process(memory, grown, "ours", lean=True)
        time = in_fresh_process(seconds, grown, ("ours", "products"), repeats)
        gradients = (
            case.batch * case.num_latents * case.num_dims * case.width
            + num_states * (case.width + 1)
        ) * getattr(torch, case.dtype).itemsize
        rows.append(
            {
                "num_states": num_states,
                "seconds": time["ours"],
                "products_ratio": time["ours"] / time["products"],
                "extra_mib": extra / MIB,
                "gradients_mib": gradients / MIB,
                "workspace_mib": (extra - gradients) / MIB,
                "logits_mib": 4 * math.prod(astuple(case)[:3]) * num_states / MIB,
            }
        )
    return rows


def main(argv: list[str] | None = None) -> None:
    """Measure and print; the two ratios of the issue are keys of the JSON file."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.bench loss"
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to run")
    parser.add_argument("--threads", type=int, default=2, metavar="INT", help="CPU threads")
    parser.add_argument("--repeats", type=int, default=7, metavar="INT", help="timed rounds")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float64"))
    for name, field in _SIZES.items():
        parser.add_argument(f"--{name}", type=int, metavar="INT", dest=field)
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda and torch sees no GPU: leave it out to run on the CPU")
    case = QUICK if args.quick else GPU if args.device == "cuda" else CPU
    given = {field: getattr(args, field) for field in ("dtype", *_SIZES.values())}
    given = {field: value for field, value in given.items() if value is not None}
    numbers = {"threads": args.threads, "repeats": args.repeats} | given
    for name, value in numbers.items():
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    case = replace(case, device=args.device, threads=args.threads, seed=args.seed, **given)

    comparison = compare(case, args.repeats)
    print(", ".join(f"{name} {value}" for name, value in asdict(case).items()), end="\n\n")
    print(format_table(comparison["rows"], _COLUMNS), end="\n\n")
    for name, (what, target) in _RATIOS.items():
        value = comparison[name]
        print(f"{what}: {'-' if value is None else format(value, '.3f')} ({target})")
    sizes = QUICK_SWEEP if args.quick else SWEEP
    rows = sweep(case, sizes, max(1, args.repeats // 2))
    print("", format_table(rows, _SWEEP_COLUMNS), sep="\n")
    if args.json:
        provenance = {"manifest": manifest(args.seed), "case": asdict(case)}
        write_json(args.json, provenance | comparison | {"sweep": rows})


_SIZES = {
    "latents": "num_latents",
    "dims": "num_dims",
    "states": "num_states",
    "width": "width",
}

_RATIOS = {
    "time_ratio": ("time, ours over plain", "at most 0.5"),
    "memory_ratio": ("extra memory, ours over plain", "at most 0.1"),
    "products_ratio": ("time, ours over the bare products", "at most 1.5"),
}

_COLUMNS = {
    "method": ("method", "s"),
    "seconds": ("seconds", ".3f"),
    "extra_mib": ("extra MiB", ".1f"),
}

_SWEEP_COLUMNS = {
    "num_states": ("S", "d"),
    "seconds": ("seconds", ".3f"),
    "products_ratio": ("over products", ".2f"),
    "extra_mib": ("extra MiB", ".1f"),
    "gradients_mib": ("gradients MiB", ".1f"),
    "workspace_mib": ("work space MiB", ".1f"),
    "logits_mib": ("(all logits MiB)", ".0f"),
}
