"""The networks of the benchmarks: published sizes for a GPU, smaller ones for a CPU."""

from argparse import ArgumentParser
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch

from di4c.processes import ForwardProcess
from full_scale.bench.measure import Case
from full_scale.models import DenoiserBackbone, DenoiserConfig
from full_scale.models.network import start_student
from full_scale.models.presets import PRESETS
from reporting import at_least, script_parser

MODELS = {"cifar10": "tauldr-cifar10", "imagenet": "maskgit-imagenet", "openwebtext": "sdtt-owt"}

Sizes = dict[str, dict[str, Any]]
"""Fields of each experiment's network that differ from the published ones."""

REDUCED: Sizes = {
    "cifar10": {"height": 16, "width": 16, "base_width": 64, "num_res_blocks": 1},
    "imagenet": {"num_blocks": 6, "hidden_size": 384, "num_heads": 8, "mlp_size": 1536},
    "openwebtext": {
        "num_states": 4097,
        "num_dims": 256,
        "num_blocks": 4,
        "hidden_size": 384,
        "num_heads": 6,
    },
}
"""Sizes that a CPU measures in minutes."""

QUICK: Sizes = {
    "cifar10": {
        "num_states": 16,
        "height": 8,
        "width": 8,
        "base_width": 8,
        "multipliers": (1, 2),
        "num_res_blocks": 1,
        "time_features": 16,
    },
    "imagenet": {
        "codebook_size": 64,
        "num_classes": 10,
        "num_dims": 16,
        "num_blocks": 1,
        "hidden_size": 32,
        "num_heads": 2,
        "mlp_size": 32,
    },
    "openwebtext": {
        "num_states": 65,
        "num_dims": 16,
        "num_blocks": 1,
        "hidden_size": 32,
        "num_heads": 2,
    },
}
"""Sizes that run in seconds, to check that a benchmark works."""


def sizes_for(device: str, quick: bool, full_size: bool) -> Sizes:
    """Published sizes on a GPU or on request; reduced sizes on a CPU."""
    if quick:
        return QUICK
    return {} if full_size or device == "cuda" else REDUCED


def teacher_config(experiment: str, sizes: dict[str, Any]) -> DenoiserConfig:
    """The teacher of an experiment, with some of its sizes changed."""
    return replace(PRESETS[MODELS[experiment]].student(), latent=False, **sizes)


def networks(case: Case) -> tuple[DenoiserBackbone, DenoiserBackbone, ForwardProcess]:
    """A teacher with random weights, its student, and their forward process.

    Noise is added to every weight, because many weights of a new network are zero.
    """
    config = teacher_config(case.experiment, case.sizes)
    torch.manual_seed(case.seed)
    teacher = config.build()
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    student = replace(config, latent=True).build()
    start_student(student, teacher.state_dict())
    process = config.default_process()
    return teacher.to(case.device).eval(), student.to(case.device).eval(), process.build()


def autocast(case: Case, **options: bool) -> AbstractContextManager[Any]:
    """Autocast for the precision of a case; none for float32."""
    if case.precision != "bfloat16":
        return nullcontext()
    return torch.autocast(case.device, torch.bfloat16, **options)


def network_parser(doc: str | None, name: str, batch: str) -> ArgumentParser:
    """A parser with the options that benchmarks of networks share.

    Args:
        doc: docstring of the benchmark.
        name: name of the benchmark.
        batch: help text of --batch.
    """
    parser = script_parser(doc, figure=False)
    parser.prog = f"python -m full_scale.bench {name}"
    add = parser.add_argument
    add("--experiment", choices=MODELS, nargs="+", default=list(MODELS), help="experiments (all)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to run")
    add("--full-size", action="store_true", help="published sizes on a CPU too")
    add("--batch", type=at_least(1), metavar="INT", help=batch)
    add("--threads", type=at_least(1), default=2, metavar="INT", help="number of CPU threads")
    add(
        "--autocast",
        choices=("bfloat16", "none"),
        help="autocast of the networks (as published on a GPU, none on a CPU)",
    )
    return parser


def precision_of(experiment: str, device: str, asked: str | None) -> str:
    """Precision of a case: the published one on a GPU, float32 on a CPU, unless asked otherwise."""
    published = "bfloat16" if device == "cuda" and experiment != "cifar10" else "none"
    return "bfloat16" if (asked or published) == "bfloat16" else "float32"
