"""What the distillation of a language model costs: parameters, memory and work."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from di4c.likelihood import LinearHead
from di4c.recipes import SeparateDistillation
from full_scale.models.language.base import open_empty
from full_scale.models.language.latent import LatentLanguageModel
from full_scale.training.cost import Estimate, Outline, activation_bytes
from full_scale.training.own_run import OwnRun

_WIDTH = {"float32": 4, "bfloat16": 2}
_TRAINED_BYTES = 20  # weight, gradient, two moments and average, in float32
_BACKWARD = 3  # work of a call with its backward pass, in calls


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

    @property
    def _rows(self) -> int:
        """Rows with gradients that one example takes."""
        if self.run.recipe == "teacher":
            return 1
        recipe = self.run.di4c_recipe
        calls = 1 + (recipe.start is not None)
        return recipe.num_latents * (calls + isinstance(recipe.distillation, SeparateDistillation))

    def operations(self) -> float:
        """Floating-point operations of one step on the whole batch."""
        x = torch.zeros(1, self.run.data.length, dtype=torch.long, device="meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            features = self.model(x)
            if isinstance(head := self.model.head(), LinearHead):
                torch.matmul(features, head.weight.T)
        without = 0
        if self.run.recipe != "teacher":
            recipe = self.run.di4c_recipe
            without = 1 + (recipe.num_atoms if recipe.consistency_weight else 0)
        calls = _BACKWARD * self._rows + without
        return float(self.run.batch_size * calls * counter.get_total_flops())

    def estimate(self, num_processes: int, num_dims: int | None = None) -> Estimate:
        """The memory that each process takes."""
        run, counts = self.run, self.parameters()
        shape = (run.micro_batch * self._rows, num_dims or run.data.length)
        x = torch.zeros(shape, dtype=torch.long, device="meta")
        latent = None if self.model.latent is None else torch.zeros(len(x), device="meta")
        activations = float(activation_bytes(self.model, x, None, latent))
        if run.precision == "bf16":
            activations /= 2
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
