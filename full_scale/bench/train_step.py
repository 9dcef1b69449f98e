"""One training step of each experiment: ours against the plain formula, time and peak memory.

A step is the published objective with its batch and number of latents, gradients, clipping and the
optimiser. The networks have random weights. Ours takes likelihoods in chunks from features and
head; the plain formula takes all log-probabilities, (B, L, D, S) of them, through autograd. Both
make the same draws, so that their losses agree. Extra memory is the peak above the networks,
gradients and optimiser included. Every measurement has a process of its own.

    python -m full_scale.bench train                      reduced sizes, CPU: minutes
    python -m full_scale.bench train --device cuda        published sizes, bfloat16 autocast
    python -m full_scale.bench train --quick              seconds

Expected: less memory wherever S is large, and a step no slower than the plain one. Where S is small
the network takes nearly all of the time and the memory, and there is nothing to gain.
"""

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from di4c.denoisers import MixtureNetwork, as_mixture
from di4c.objective import Di4CObjective
from di4c.recipes import CIFAR10, IMAGENET, OPENWEBTEXT
from full_scale.bench.measure import extra_memory, in_fresh_process, median_seconds
from full_scale.bench.networks import MODELS, QUICK, check_device, networks, sizes_for
from full_scale.models import DenoiserBackbone
from full_scale.models.network import Network
from reporting import format_table, manifest, script_parser, write_json

MIB = 2**20
METHODS = ("plain", "ours")
RECIPES = {"cifar10": CIFAR10, "imagenet": IMAGENET, "openwebtext": OPENWEBTEXT}
BATCHES = {"cifar10": 8, "imagenet": 2, "openwebtext": 1}
REDUCED_BATCHES = {"cifar10": 1, "imagenet": 1, "openwebtext": 1}
_REDUCED_LATENTS = 8


@dataclass(frozen=True)
class Case:
    """One experiment's step.

    Attributes:
        experiment: "cifar10", "imagenet" or "openwebtext".
        batch: examples.
        num_latents: L.
        sizes: fields of the network that differ from the published ones; none at full size.
        device: where it runs.
        autocast: "bfloat16", or "none" for float32.
        threads: of the CPU.
        seed: of weights, data and draws.
    """

    experiment: str
    batch: int
    num_latents: int
    sizes: dict[str, Any]
    device: str
    autocast: str
    threads: int
    seed: int

    @property
    def label(self) -> str:
        """What a table calls it."""
        size = "reduced" if self.sizes else "full size"
        return f"{size}, {self.device}, B {self.batch}, L {self.num_latents}"


class Problem:
    """Networks, an optimiser and a batch, at random."""

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(case.threads)
        self.case = case
        self.teacher, self.student, self.process = networks(
            case.experiment, case.sizes, case.device, case.seed
        )
        self.teacher.requires_grad_(False)
        self.student.train()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-5)
        generator = torch.Generator(case.device).manual_seed(case.seed)
        shape = (case.batch, self.teacher.config.num_dims)
        self.x_0 = torch.randint(
            self.process.num_values, shape, generator=generator, device=case.device
        )

    def ours(self) -> float:
        """A step with likelihoods in chunks."""
        return self._step(*(self._network(backbone).mixture for backbone in self._both()))

    def plain(self) -> float:
        """A step with all log-probabilities."""
        return self._step(*(as_mixture(self._network(b).denoise) for b in self._both()))

    def _both(self) -> tuple[DenoiserBackbone, DenoiserBackbone]:
        return self.student, self.teacher

    def _network(self, backbone: DenoiserBackbone) -> Network:
        labels = None
        if self.case.experiment == "imagenet":
            labels = torch.arange(self.case.batch, device=self.case.device)
        return Network(backbone, self.process, labels)

    def _step(self, student: MixtureNetwork, teacher: MixtureNetwork) -> float:
        case = self.case
        recipe = replace(RECIPES[case.experiment], num_latents=case.num_latents)
        objective = Di4CObjective(self.process, student, teacher, recipe)
        generator = torch.Generator(case.device).manual_seed(case.seed)
        torch.manual_seed(case.seed)  # dropout
        half = torch.autocast(case.device, torch.bfloat16, cache_enabled=False)  # as in training
        with half if case.autocast == "bfloat16" else nullcontext():
            loss = objective(self.x_0, generator=generator, times=self._times()).loss.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _times(self) -> tuple[Tensor, Tensor]:
        """Half way: where the consistency loss, the longer way, is what is trained."""
        t = torch.full((self.case.batch,), 0.5, dtype=torch.float64, device=self.case.device)
        return t, t - 0.01


def memory(case: Case, method: str) -> int | None:
    """Extra bytes of one step, None if they are not to be had."""
    small = Problem(replace(case, sizes=QUICK[case.experiment], batch=1, num_latents=2))
    getattr(small, method)()  # libraries and threads start here
    problem = Problem(case)
    try:
        return extra_memory(getattr(problem, method), case.device)
    except torch.OutOfMemoryError:
        return None


def seconds(case: Case, methods: tuple[str, ...], repeats: int) -> dict[str, float]:
    """Median wall time of each method's step."""
    problem = Problem(case)
    return median_seconds({name: getattr(problem, name) for name in methods}, repeats, case.device)


def first_loss(case: Case, method: str) -> float:
    """The loss of the first step."""
    return getattr(Problem(case), method)()


def compare(case: Case, repeats: int) -> list[dict[str, Any]]:
    """One row for each method; figures that are not to be had are None."""
    extra = {name: in_fresh_process(memory, case, name, lean=True) for name in METHODS}
    fits = tuple(name for name in METHODS if extra[name] is not None)
    time = in_fresh_process(seconds, case, fits, repeats)
    losses = {name: in_fresh_process(first_loss, case, name) for name in fits}
    return [
        {
            "experiment": case.experiment,
            "label": case.label,
            "method": name,
            "seconds": time.get(name),
            "extra_mib": None if extra[name] is None else extra[name] / MIB,
            "loss": losses.get(name),
            "case": asdict(case),
        }
        for name in METHODS
    ]


def main(argv: list[str] | None = None) -> None:
    """Measure and print, two rows an experiment."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.bench train"
    add = parser.add_argument
    add("--experiment", choices=MODELS, nargs="+", default=list(MODELS), help="which (all)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to run")
    add("--full-size", action="store_true", help="published sizes on a CPU too")
    add("--batch", type=int, metavar="INT", help=f"examples ({BATCHES}; 1 at reduced sizes)")
    add("--latents", type=int, metavar="INT", help="latents (published; 8 at reduced sizes)")
    add("--repeats", type=int, metavar="INT", help="timed rounds (5)")
    add("--threads", type=int, default=2, metavar="INT", help="CPU threads")
    add("--autocast", choices=("bfloat16", "none"), help="precision (bfloat16 on a GPU)")
    args = parser.parse_args(argv)
    check_device(args.device)
    sizes = sizes_for(args.device, args.quick, args.full_size)
    repeats = (1 if args.quick else 5) if args.repeats is None else args.repeats
    rows = []
    for experiment in args.experiment:
        reduced = bool(sizes)
        published = RECIPES[experiment].num_latents
        half = args.device == "cuda" and experiment != "cifar10"
        batch = (REDUCED_BATCHES if reduced else BATCHES)[experiment]
        latents = _REDUCED_LATENTS if reduced else published
        case = Case(
            experiment,
            batch if args.batch is None else args.batch,
            latents if args.latents is None else args.latents,
            sizes.get(experiment, {}),
            args.device,
            args.autocast or ("bfloat16" if half else "none"),
            args.threads,
            args.seed,
        )
        numbers = {"batch": case.batch, "latents": case.num_latents, "repeats": repeats}
        for name, value in (numbers | {"threads": case.threads}).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
        rows += compare(case, repeats)
    print(format_table(rows, _COLUMNS))
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed), "rows": rows})


_COLUMNS = {
    "experiment": ("experiment", "s"),
    "label": ("what", "s"),
    "method": ("method", "s"),
    "seconds": ("seconds", ".3f"),
    "extra_mib": ("extra MiB", ".1f"),
    "loss": ("loss", ".4g"),
}
