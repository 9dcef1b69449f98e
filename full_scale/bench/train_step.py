"""One training step of each experiment: chunked likelihoods against all log-probabilities at once.

A step is the published objective with its batch and number of latents, the gradients, clipping and
the optimiser. The networks have random weights. "ours" computes likelihoods in chunks, from
features and head. "plain" computes all log-probabilities, (B, L, D, S) of them, through autograd.
Both make the same random draws, so their losses agree. Extra memory is the peak minus what the
networks take before the step. It includes gradients and optimiser. Every measurement runs in a new
process.

    python -m full_scale.bench train                      reduced sizes, CPU: minutes
    python -m full_scale.bench train --device cuda        published sizes, bfloat16 autocast
    python -m full_scale.bench train --quick              seconds

Expected: less memory where S is large, and a step that is no slower than the plain one. Where S is
small, the network takes nearly all of the time and memory, and there is nothing to gain.
"""

import statistics
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from di4c.denoisers import MixtureNetwork, as_mixture
from di4c.objective import Di4CObjective
from full_scale.bench.measure import (
    MIB,
    Case,
    Workload,
    check_device,
    memory,
    seconds,
)
from full_scale.bench.networks import (
    QUICK,
    autocast,
    network_parser,
    networks,
    precision_of,
    sizes_for,
)
from full_scale.models.base import DenoiserBackbone
from full_scale.models.network import Network
from full_scale.training.recipes import RECIPES
from reporting import at_least, format_table, manifest, write_json
from reporting.measure import in_fresh_process

METHODS = ("plain", "ours")
BATCHES = {"cifar10": 8, "imagenet": 2, "openwebtext": 1}
_RECIPES = {"cifar10": "cifar10", "imagenet": "imagenet-d", "openwebtext": "openwebtext"}
_REDUCED_BATCH, _REDUCED_LATENTS = 1, 8


class Step(Workload):
    """Random networks, their optimiser and a random batch."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.teacher, self.student, self.process = networks(case)
        self.teacher.requires_grad_(False)
        self.student.train()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-5)
        generator = torch.Generator(case.device).manual_seed(case.seed)
        shape = (case.batch, self.teacher.config.num_dims)
        self.x_0 = torch.randint(
            self.process.num_values, shape, generator=generator, device=case.device
        )

    @staticmethod
    def small(case: Case) -> Case:
        """See `Workload.small`."""
        return replace(case, sizes=QUICK[case.experiment], batch=1, num_latents=2)

    def ours(self) -> float:
        """Take a step with likelihoods in chunks. Return its loss."""
        return self._step(*(self._network(backbone).mixture for backbone in self._both()))

    def plain(self) -> float:
        """Take a step with all log-probabilities at once. Return its loss."""
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
        assert case.num_latents is not None
        recipe = replace(RECIPES[_RECIPES[case.experiment]], num_latents=case.num_latents)
        objective = Di4CObjective(self.process, student, teacher, recipe)
        generator = torch.Generator(case.device).manual_seed(case.seed)
        torch.manual_seed(case.seed)  # dropout
        with autocast(case, cache_enabled=False):  # without a cache, as in training
            loss = objective(self.x_0, generator=generator, times=self._times()).loss.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _times(self) -> tuple[Tensor, Tensor]:
        """Times at which the consistency loss is trained, which makes the step more expensive."""
        t = torch.full((self.case.batch,), 0.5, dtype=torch.float64, device=self.case.device)
        return t, t - 0.01


def label(case: Case) -> str:
    """Name of the case in a table."""
    size = "reduced" if case.sizes else "full size"
    return f"{size}, {case.device}, B {case.batch}, L {case.num_latents}"


def first_loss(case: Case, method: str) -> float:
    """The loss of the first step."""
    return getattr(Step(case), method)()


def times_and_losses(
    case: Case, methods: tuple[str, ...], rounds: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Wall times of the steps of each method, and the loss of its first step."""
    losses = {name: first_loss(case, name) for name in methods}
    return seconds(Step, case, methods, rounds), losses


def compare(case: Case, rounds: int) -> list[dict[str, Any]]:
    """One row for each method. Numbers are None where the device has too little memory."""
    extra = {name: in_fresh_process(memory, Step, case, name, lean=True) for name in METHODS}
    fits = tuple(name for name in METHODS if extra[name] is not None)
    times, losses = in_fresh_process(times_and_losses, case, fits, rounds) if fits else ({}, {})
    return [
        {
            "experiment": case.experiment,
            "label": label(case),
            "method": name,
            "seconds": statistics.median(times[name]) if name in fits else None,
            "extra_mib": None if extra[name] is None else extra[name] / MIB,
            "loss": losses.get(name),
            "case": asdict(case),
        }
        for name in METHODS
    ]


def main(argv: list[str] | None = None) -> None:
    """Measure and print, two rows for each experiment."""
    parser = network_parser(__doc__, "train", f"examples ({BATCHES}; 1 at reduced sizes)")
    add = parser.add_argument
    add(
        "--latents", type=at_least(1), metavar="INT", help="latents (published; 8 at reduced sizes)"
    )
    add("--repeats", type=at_least(1), metavar="INT", help="timed rounds (5)")
    args = parser.parse_args(argv)
    check_device(args.device)
    sizes = sizes_for(args.device, args.quick, args.full_size)
    repeats = (1 if args.quick else 5) if args.repeats is None else args.repeats
    rows = []
    for experiment in args.experiment:
        batch = _REDUCED_BATCH if sizes else BATCHES[experiment]
        published = RECIPES[_RECIPES[experiment]].num_latents
        latents = _REDUCED_LATENTS if sizes else published
        case = Case(
            experiment=experiment,
            batch=batch if args.batch is None else args.batch,
            sizes=sizes.get(experiment, {}),
            num_latents=latents if args.latents is None else args.latents,
            device=args.device,
            precision=precision_of(experiment, args.device, args.autocast),
            threads=args.threads,
            seed=args.seed,
        )
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
