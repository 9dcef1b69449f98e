"""Consistency and data loss with their gradients: the plain formula against `HeadMixture`.

"plain" takes the log-softmax of all logits and gathers once for each target, as published code
does. "ours" computes both losses in chunks, through a `HeadMixture`. "products" are the four matrix
products that no algorithm of bounded memory avoids: logits, logits again, gradient of the features,
gradient of the weight. Extra memory is the peak minus what was held before the call, the gradients
included. The work space is extra memory without the gradients. Every measurement runs in a new
process.

    python -m full_scale.bench loss                     two threads, float32, S = 8192: 5 minutes
    python -m full_scale.bench loss --device cuda       bfloat16, D = 1024, S = 50258
    python -m full_scale.bench loss --quick             seconds

Expected on a CPU, ours against plain: a fifth of the time and a tenth of the memory. Ours takes 1.3
times as long as the bare products, and its work space does not grow with S.
"""

import math
import statistics
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from di4c.latents import uniform_log_weights
from di4c.likelihood import HeadMixture, LinearHead
from di4c.losses import Target, consistency_loss, data_loss, prefetch
from full_scale.bench.measure import (
    MIB,
    Case,
    Workload,
    check_device,
    memory,
    seconds,
)
from reporting import at_least, format_table, manifest, script_parser, write_json
from reporting.measure import in_fresh_process

CPU = Case("loss", 1, {"num_dims": 256, "num_states": 8192, "width": 256}, num_latents=16)
GPU = replace(
    CPU,
    sizes={"num_dims": 1024, "num_states": 50258, "width": 768},
    precision="bfloat16",
    device="cuda",
)
QUICK = replace(CPU, sizes={"num_dims": 32, "num_states": 512, "width": 32}, num_latents=4)
SWEEP = (1024, 4096, 16384, 50258)
QUICK_SWEEP = (256, 1024)


class Losses(Workload):
    """Random features, head and targets of a consistency loss and a data loss."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        assert case.num_latents is not None
        self.num_latents = case.num_latents
        self.num_dims, self.num_states = case.sizes["num_dims"], case.sizes["num_states"]
        self.generator = torch.Generator(case.device).manual_seed(case.seed)
        dtype, width = getattr(torch, case.precision), case.sizes["width"]
        self.inputs = [
            tensor.to(dtype).requires_grad_()
            for tensor in (
                self._randn(case.batch, self.num_latents, self.num_dims, width),
                self._randn(self.num_states, width) / math.sqrt(width),
                self._randn(self.num_states),
            )
        ]
        self.laws = [self._law(), self._law()]
        self.targets = [
            Target.from_samples(self._samples(num_samples), law)
            for num_samples, law in zip((self.num_latents, 1), self.laws, strict=True)
        ]

    @staticmethod
    def small(case: Case) -> Case:
        """See `Workload.small`."""
        return replace(case, sizes=case.sizes | {"num_dims": 2, "num_states": 64})

    def _randn(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.case.device)

    def _law(self) -> Tensor:
        return self._randn(self.case.batch, self.num_dims, self.num_states).log_softmax(-1)

    def _samples(self, count: int) -> Tensor:
        shape, device = (self.case.batch, count, self.num_dims), self.case.device
        return torch.randint(self.num_states, shape, generator=self.generator, device=device)

    def ours(self) -> tuple[Tensor, ...]:
        """Loss and gradients in chunks, by one pass over the head."""
        hidden, *head = self.inputs
        log_weights = uniform_log_weights(self.num_latents, hidden.device)
        student = prefetch(HeadMixture(hidden, LinearHead(*head), log_weights), self.targets)
        consistency, data = self.targets
        loss = consistency_loss(student, consistency).total + data_loss(student, data).total
        return self._with_grads(loss.sum())

    def plain(self) -> tuple[Tensor, ...]:
        """Loss and gradients by the plain formula: all log-probabilities, then one gather each."""
        hidden, weight, bias = self.inputs
        wide = torch.promote_types(hidden.dtype, torch.float32)
        log_probs = torch.log_softmax(hidden @ weight.T + bias, -1, dtype=wide)  # (B, L, D, S)
        log_num_latents = math.log(self.num_latents)
        log_mean = log_probs.logsumexp(1) - log_num_latents  # (B, D, S)
        loss = torch.zeros((), device=hidden.device)
        for target, law in zip(self.targets, self.laws, strict=True):
            num_atoms = target.atoms.shape[1]
            for n in range(num_atoms):
                x = target.atoms[:, n, None, :, None].expand(-1, self.num_latents, -1, -1)
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


def largest_difference(case: Case) -> float:
    """Largest difference in loss and gradients between the methods, relative to largest entries."""
    losses = Losses(case)
    pairs = zip(losses.ours(), losses.plain(), strict=True)
    return max(
        float((ours.double() - plain).abs().max() / plain.double().abs().max())
        for ours, plain in pairs
    )


def compare(case: Case, rounds: int) -> dict[str, Any]:
    """The plain formula, ours and the bare products on one case."""
    names = ("plain", "ours")
    extra = {name: in_fresh_process(memory, Losses, case, name, lean=True) for name in names}
    fits = tuple(name for name in names if extra[name] is not None)
    time = _medians(case, (*fits, "products"), rounds)
    both = len(fits) == 2
    return {
        "rows": [
            {
                "method": name,
                "seconds": time.get(name),
                "extra_mib": None if extra.get(name) is None else extra[name] / MIB,
            }
            for name in (*names, "products")
        ],
        "time_ratio": time["ours"] / time["plain"] if both else None,
        "memory_ratio": extra["ours"] / extra["plain"] if both else None,
        "products_ratio": time["ours"] / time["products"] if "ours" in fits else None,
        "largest_difference": in_fresh_process(largest_difference, case) if both else None,
    }


def sweep(case: Case, sizes: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """Time and memory of our method as S grows."""
    rows = []
    assert case.num_latents is not None
    tokens, width = case.batch * case.num_latents * case.sizes["num_dims"], case.sizes["width"]
    for num_states in sizes:
        grown = replace(case, sizes=case.sizes | {"num_states": num_states})
        extra = in_fresh_process(memory, Losses, grown, "ours", lean=True)
        time = _medians(grown, ("ours", "products"), rounds)
        numbers = tokens * width + num_states * (width + 1)
        gradients = numbers * getattr(torch, case.precision).itemsize
        rows.append(
            {
                "num_states": num_states,
                "seconds": time["ours"],
                "products_ratio": time["ours"] / time["products"],
                "extra_mib": extra / MIB,
                "gradients_mib": gradients / MIB,
                "workspace_mib": (extra - gradients) / MIB,
                "logits_mib": 4 * tokens * num_states / MIB,
            }
        )
    return rows


def _medians(case: Case, methods: tuple[str, ...], rounds: int) -> dict[str, float]:
    times = in_fresh_process(seconds, Losses, case, methods, rounds)
    return {name: statistics.median(values) for name, values in times.items()}


def main(argv: list[str] | None = None) -> None:
    """Measure and print; the JSON file holds the ratios as well."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.bench loss"
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to run")
    add("--threads", type=at_least(1), default=2, metavar="INT", help="number of CPU threads")
    add("--repeats", type=at_least(1), default=7, metavar="INT", help="timed rounds")
    add("--dtype", choices=("float32", "bfloat16", "float64"), help="type of features and head")
    add("--latents", type=at_least(1), metavar="INT", help="L, latents of each example")
    add("--dims", type=at_least(1), metavar="INT", help="D, tokens of an example")
    add("--states", type=at_least(1), metavar="INT", help="S, states of a token")
    add("--width", type=at_least(1), metavar="INT", help="features of a token")
    args = parser.parse_args(argv)
    check_device(args.device)
    case = QUICK if args.quick else GPU if args.device == "cuda" else CPU
    given = {"num_dims": args.dims, "num_states": args.states, "width": args.width}
    case = replace(
        case,
        sizes=case.sizes | {name: value for name, value in given.items() if value is not None},
        num_latents=args.latents or case.num_latents,
        precision=args.dtype or case.precision,
        device=args.device,
        threads=args.threads,
        seed=args.seed,
    )
    comparison = compare(case, args.repeats)
    print(", ".join(f"{name} {value}" for name, value in asdict(case).items()), end="\n\n")
    print(format_table(comparison["rows"], _COLUMNS), end="\n\n")
    for name, (what, target) in _RATIOS.items():
        value = comparison[name]
        print(f"{what}: {'-' if value is None else format(value, '.3f')} ({target})")
    rows = sweep(case, QUICK_SWEEP if args.quick else SWEEP, max(1, args.repeats // 2))
    print("", format_table(rows, _SWEEP_COLUMNS), sep="\n")
    if args.json:
        provenance = {"manifest": manifest(args.seed), "case": asdict(case)}
        write_json(args.json, provenance | comparison | {"sweep": rows})


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
