"""The configuration of a run that distils a language model of one's own."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from di4c.recipes import Recipe
from full_scale.data.text_columns import Texts
from full_scale.models.language.latent import Adapter
from full_scale.training.config import Run
from full_scale.training.options import Optimizer, require_whole


@dataclass(frozen=True)
class OwnRun(Run):
    """Distil a masked language model of the Hugging Face kind. The same command resumes it."""

    out: Path = Path("runs/own")
    """folder of the run: checkpoints, log, samples, adapter"""
    preset: tyro.conf.Suppress[str] = "own"
    recipe: str = "own"
    """recipe of Di4C, see --help of the other experiments. "teacher" trains the language model
    itself by cross-entropy, with all of its weights"""
    steps: int = 2000
    """number of optimiser steps in all"""
    batch_size: int = 32
    """examples of one step, over all devices and accumulated micro-batches"""
    micro_batch: int = 8
    """examples that go through the networks at once"""
    data: Texts = field(default_factory=Texts)  # type: ignore[assignment]
    optimizer: Optimizer = field(
        default_factory=lambda: Optimizer("adamw", 2e-4, warmup=100, ema_decay=0.99)
    )
    model: str = ""
    """the language model: its name on the hub, or a folder of save_pretrained"""
    adapter: Adapter = field(default_factory=Adapter)
    mask_token: str | None = None
    """the mask token, for a tokenizer that names none"""
    trust_remote_code: bool = False
    """run the code that comes with the model (LLaDA, Dream)"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """dtype of the frozen weights; adapters and latent are always trained in float32"""
    num_latents: int | None = 8
    """latents for each example; the number of the recipe for None"""
    latent_factor: int = 1
    """latents where everything but the prompt is masked, as a multiple of num-latents. Such a text
    needs the most latents, and each of them costs a call with gradients"""
    teacher: tyro.conf.Suppress[str | None] = None
    student: tyro.conf.Suppress[str | None] = None
    mixture_teacher: tyro.conf.Suppress[bool] = False
    reference_steps: tyro.conf.Suppress[int] = 0
    target: tyro.conf.Suppress[Literal["student", "average"]] = "student"
    latent_gain: tyro.conf.Suppress[float | None] = None
    dropout: tyro.conf.Suppress[float | None] = None
    label_dropout: tyro.conf.Suppress[float] = 0.0
    compile: tyro.conf.Suppress[bool] = False

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        if self.adapter.kind == "full" and self.dtype != "float32":
            raise ValueError(
                f"dtype must be float32 if all weights are trained; got {self.dtype}: use "
                "--precision bf16, or --adapter.kind lora"
            )
        require_whole("latent_factor", self.latent_factor, 1)
        if self.recipe == "teacher":  # no latent, and all weights
            object.__setattr__(self, "adapter", replace(self.adapter, kind="full", latent="none"))

    @property
    def di4c_recipe(self) -> Recipe:
        """The recipe, with this run's numbers of latents."""
        recipe = super().di4c_recipe
        if recipe.start is None:
            return recipe
        return replace(recipe, start=replace(recipe.start, latent_factor=self.latent_factor))

    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on. The model and the data are compared by hashes."""
        options = super().identity()
        del options["model"]
        data = asdict(self.data)
        return options | {"data": {k: v for k, v in data.items() if k not in ("name", "workers")}}
