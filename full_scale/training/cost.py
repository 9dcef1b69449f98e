"""What a run trains and what it takes, from its configuration alone: no data, no weights."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from di4c.recipes import SeparateDistillation
from full_scale.counts import activation_bytes, num_parameters, operations
from full_scale.memory import Estimate
from full_scale.models.base import DenoiserConfig
from full_scale.models.presets import preset
from full_scale.training.config import Run

_BACKWARD = 3  # operations of a call with its gradients, in calls without: twice the products more
_BYTES_A_WEIGHT = 20  # weight, gradient, two moments, average: float32


@dataclass(frozen=True)
class Outline:
    """The networks of a run.

    Attributes:
        run: its configuration.
        trained: the network that is trained.
        teacher: the one it learns from; None where a teacher is trained.
    """

    run: Run
    trained: DenoiserConfig
    teacher: DenoiserConfig | None

    def parameters(self) -> dict[str, int]:
        """Parameter counts."""
        counts = {"trained": num_parameters(_on_meta(self.trained))}
        if self.teacher is not None:
            counts["teacher"] = num_parameters(_on_meta(self.teacher))
        return counts

    def operations(self) -> float:
        """Floating-point operations of one step of the whole batch; the losses are not counted."""
        run, own = self.run, operations(self.trained)
        if self.teacher is None:
            return float(run.batch_size * _BACKWARD * own)
        latents = run.recipe.num_latents
        asked = latents if run.mixture_teacher else 1  # teacher calls for one state
        trained, taught = latents, asked
        if isinstance(run.recipe.distillation, SeparateDistillation):
            trained, taught = 2 * latents, asked + latents * asked
        calls = own * (_BACKWARD * trained + latents) + operations(self.teacher) * taught
        return float(run.batch_size * calls)

    def estimate(self, num_processes: int, num_dims: int | None = None) -> Estimate:
        """The memory that one of so many processes will take.

        Args:
            num_processes: that share the run.
            num_dims: D of the data; that of the preset if left out.
        """
        run, distils = self.run, self.teacher is not None
        rows = run.micro_batch * (run.recipe.num_latents if distils else 1)
        network = _on_meta(self.trained).train()
        with torch.device("meta"):
            inputs = self.trained.example_inputs(rows, num_dims)
            activations = activation_bytes(network, *inputs)
        if distils and isinstance(run.recipe.distillation, SeparateDistillation):
            activations *= 2  # a second pass of the student
        if run.precision == "bf16":
            activations /= 2
        counts = self.parameters()
        shards = num_processes if run.strategy == "fsdp" else 1
        weights = _BYTES_A_WEIGHT * counts["trained"] / shards
        return Estimate(weights, 4 * counts.get("teacher", 0), activations)


def outline(run: Run) -> Outline:
    """The networks that a run needs.

    Raises:
        ValueError: If the preset is unknown or has nothing to train.
    """
    chosen = preset(run.preset)
    if chosen.process is None or not isinstance(chosen.network, DenoiserConfig):
        raise ValueError(f"preset is {run.preset}, {chosen.title}, which cannot be trained here")
    if run.method == "teacher":
        return Outline(run, _with_dropout(chosen.network, run.dropout), None)
    teacher = chosen.student() if run.mixture_teacher else chosen.network
    return Outline(run, _with_dropout(chosen.student(), run.dropout), teacher)


def _with_dropout(config: DenoiserConfig, dropout: float | None) -> DenoiserConfig:
    return config if dropout is None else replace(config, dropout=dropout)


def _on_meta(config: DenoiserConfig) -> nn.Module:
    with torch.device("meta"):
        return config.build()
