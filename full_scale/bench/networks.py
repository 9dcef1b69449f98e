"""The networks that benchmarks run: published sizes for a GPU, smaller ones for a CPU."""

from dataclasses import replace
from typing import Any

import torch

from di4c.processes import ForwardProcess
from full_scale.models import DenoiserBackbone, DenoiserConfig
from full_scale.models.network import start_student
from full_scale.models.presets import PRESETS

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
"""What a CPU does in minutes."""

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
"""What runs in seconds, to see that it runs."""


def sizes_for(device: str, quick: bool, full_size: bool) -> Sizes:
    """Published sizes on a GPU or where they are asked for, reduced ones on a CPU."""
    if quick:
        return QUICK
    return {} if full_size or device == "cuda" else REDUCED


def teacher_config(experiment: str, sizes: dict[str, Any]) -> DenoiserConfig:
    """The published sizes with some of them changed."""
    return replace(PRESETS[MODELS[experiment]].student(), latent=False, **sizes)


def networks(
    experiment: str, sizes: dict[str, Any], device: str, seed: int
) -> tuple[DenoiserBackbone, DenoiserBackbone, ForwardProcess]:
    """A teacher with random weights, its student, and the process that they were made for.

    Every weight is drawn: in a network as it is initialised many are zero.
    """
    config = teacher_config(experiment, sizes)
    torch.manual_seed(seed)
    teacher = config.build()
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    student = replace(config, latent=True).build()
    start_student(student, teacher.state_dict())
    process = config.default_process()
    return teacher.to(device).eval(), student.to(device).eval(), process.build()


def check_device(device: str) -> None:
    """ValueError unless torch sees the device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda and torch sees no GPU: leave it out to run on the CPU")
