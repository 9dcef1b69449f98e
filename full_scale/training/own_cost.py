"""What the distillation of a language model costs: parameters, memory and work."""

import copy
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from di4c.likelihood import LinearHead
from di4c.recipes import SeparateDistillation
from full_scale.models.language.base import open_empty
from full_scale.models.language.latent import LatentLanguageModel
from full_scale.training.cost import (
    Estimate,
    Outline,
    activations_of,
    law_bytes,
    rows_with_gradients,
)
from full_scale.training.own_run import OwnRun

_WIDTH = {"float32": 4, "bfloat16": 2}
_TRAINED_BYTES = 20  # weight, gradient, two moments and average, in float32


def needs_copy(run: OwnRun) -> bool:
    """Whether the teacher is a copy of its own: if all weights of the student are trained."""
    return run.adapter.kind == "full" and run.recipe != "teacher"


@dataclass(frozen=True)
class OwnOutline(Outline):
    """What a run costs, counted on a model without weights.

    Attributes:
        run: configuration.
        trained: None, as there are no sizes of ours.
        teacher: None.
        model: the model on the meta device.
    """

    run: OwnRun
    model: LatentLanguageModel

    def parameters(self) -> dict[str, int]:
        """Number of parameters of each kind."""
        counts = {"trained": sum(p.numel() for p in self.model.trained().values())}
        frozen = sum(p.numel() for p in self.model.parameters() if not p.requires_grad)
        if needs_copy(self.run):
            frozen += sum(p.numel() for p in self.model.parameters())
        return counts | {"frozen": frozen}

    def operations(self) -> float:
        """Floating-point operations of one step on the whole batch, without those of the losses."""
        run, call = self.run, self._call(gradients=False)
        trained = self._call(gradients=True) + run.gradient_checkpointing * call
        if run.recipe == "teacher":
            return float(run.batch_size * trained)
        recipe = run.di4c_recipe
        asked = 1 + (recipe.num_atoms if recipe.consistency_weight else 0)
        if isinstance(recipe.distillation, SeparateDistillation):
            asked += recipe.num_latents
        return float(run.batch_size * (trained * rows_with_gradients(recipe) + call * asked))

    def _call(self, gradients: bool) -> int:
        """Operations of one row. Frozen weights need no gradients, the inputs of layers do."""
        x = torch.zeros(1, self.run.data.length, dtype=torch.long, device="meta")
        latent = torch.zeros(1, device="meta") if gradients and self.model.latent else None
        counter = FlopCounterMode(display=False)
        with torch.set_grad_enabled(gradients), counter:
            features = self.model(x, None, latent)
            if isinstance(head := self.model.head(), LinearHead):
                features = torch.matmul(features, head.weight.T)
            if gradients:
                features.sum().backward()
        self.model.zero_grad(set_to_none=True)
        return counter.get_total_flops()

    def estimate(self, num_processes: int, num_dims: int | None = None) -> Estimate:
        """The memory that each process takes."""
        run, counts, length = self.run, self.parameters(), num_dims or self.run.data.length
        rows = 1 if run.recipe == "teacher" else rows_with_gradients(run.di4c_recipe)
        x = torch.zeros((run.micro_batch * rows, length), dtype=torch.long, device="meta")
        latent = None if self.model.latent is None else torch.zeros(len(x), device="meta")
        activations = activations_of(run, copy.deepcopy(self.model), x, None, latent)
        activations += law_bytes(run, length, self.model.num_states)
        shards = num_processes if run.strategy == "fsdp" else 1
        frozen = _WIDTH[run.dtype] * counts["frozen"] / (1 if needs_copy(run) else shards)
        return Estimate(_TRAINED_BYTES * counts["trained"] / shards, frozen, activations)


def outline(run: OwnRun) -> OwnOutline:
    """The model of a run without its weights, to count what it costs."""
    if not run.model:
        raise ValueError("model is missing; give --model, a name on the hub or a folder")
    empty = open_empty(run.model, run.trust_remote_code, getattr(torch, run.dtype))
    with torch.device("meta"):
        return OwnOutline(run, None, None, LatentLanguageModel(empty, run.adapter))  # type: ignore[arg-type]
