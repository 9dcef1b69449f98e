"""The configuration of a training run.

The texts below the attributes of `Run`, and of the parts in `full_scale.training.options`, are what
the command `python -m full_scale.train EXPERIMENT --help` prints.
"""

import dataclasses
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from di4c.checks import check_number
from di4c.recipes import Recipe
from full_scale.training.options import Data, Optimizer, Reports, require_whole
from full_scale.training.recipes import RECIPES
from reporting.scripts import require_seed

_NOT_OF_THE_RESULT = (
    *("out", "teacher", "student", "strategy", "device", "check_memory", "dry_run", "weights"),
    *("milestones", "gradient_checkpointing", "compile"),
)
"""Options of a run that a resumed run may change: other things record them, or nothing depends."""


_WHOLE = {"steps": 1, "batch_size": 1, "micro_batch": 1, "reference_steps": 0}
"""Least value of each number that is whole."""


@dataclass(frozen=True)
class Run:
    """One training run. The same command resumes it from its newest checkpoint."""

    out: Path
    """folder of the run: checkpoints, log, samples, model"""
    preset: str
    """networks, forward process and latent: a name of full_scale.models.presets"""
    recipe: str
    """"teacher" trains a teacher by cross-entropy. The other names are recipes of Di4C: cifar10,
    imagenet-d (with the data term), imagenet (without it), openwebtext are the paper's;
    cifar10-ours, imagenet-ours, openwebtext-ours have a sound data term; digits, mnist-tokens,
    words are those of the miniatures, with NAME-data-alone (no teacher) and NAME-product (one
    latent)"""
    steps: int
    """number of optimiser steps in all"""
    batch_size: int
    """examples of one step, over all devices and accumulated micro-batches"""
    micro_batch: int
    """examples that go through the networks at once. A step has batch_size / micro_batch of these
    parts; the processes share them out, and each process accumulates the gradient of its share"""
    data: Data
    optimizer: Optimizer
    teacher: str | None = None
    """model of the teacher: a file from full_scale.convert or full_scale.train, the folder of a
    finished run, or hf://owner/name@revision/file. Not needed to train a teacher"""
    student: str | None = None
    """model whose weights the student starts from, given like the teacher; the teacher if left
    out"""
    mixture_teacher: bool = False
    """the teacher is itself a Di4C student: iterated Di4C"""
    reference_steps: int = 0
    """number of steps in which the teacher generates x_t from noise. With 0, x_t is noised data. A
    recipe with a data loss needs 0"""
    target: Literal["student", "average"] = "student"
    """network of the consistency target: the student itself, as published, or the moving average
    of its weights"""
    num_latents: int | None = None
    """latents for each example; the number of the recipe if left out"""
    latent_gain: float | None = None
    """gain of Xavier weights on the student's latent, instead of the zeros that the published
    students start with. At zero all components of the mixture are equal and the gradient of every
    correlation term vanishes, so that training takes long to leave this point"""
    dropout: float | None = None
    """dropout of the trained network; that of the preset if left out. Use 0 for a short
    distillation: the student could tell components apart by their dropout masks instead of their
    latents"""
    label_dropout: float = 0.0
    """share of the examples that are shown without their label, which guidance needs"""
    precision: Literal["no", "bf16"] = "no"
    """no computes in float32; bf16 in bfloat16 where autocast allows it. The weights stay in
    float32. With bf16, the losses of the first micro-batch are compared with those in float32"""
    weights: Literal["averaged", "raw"] = "averaged"
    """weights that model.safetensors and the sheets of samples have, as published for each
    experiment. Checkpoints have both: see --weights of full_scale.sample"""
    milestones: tuple[int, ...] = ()
    """steps whose checkpoints are kept for good, besides the newest ones: 5000 10000 20000"""
    gradient_checkpointing: bool = False
    """compute the activations of each block again in the backward pass, to save memory"""
    compile: bool = False
    """compile the trained network with torch.compile. Where that fails, one line says so and the
    run goes on without it. Dropout then draws other masks"""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """how several processes hold the student: as copies (ddp), or as shards (fsdp, FSDP2)"""
    device: Literal["auto", "cpu"] = "auto"
    """cpu computes on the CPU even where there is a GPU"""
    reports: Reports = field(default_factory=Reports)
    seed: int = 0
    """seed of everything random: order of the data, noise, latents, dropout"""
    check_memory: bool = True
    """refuse to start if the estimated memory exceeds the free memory"""
    dry_run: bool = False
    """print the configuration, the numbers of parameters and what the run would cost; then stop"""

    def __post_init__(self) -> None:
        """Check every value."""
        require_seed(self.seed)
        if self.recipe != "teacher" and self.recipe not in RECIPES:
            names = ", ".join(["teacher", *RECIPES])
            raise ValueError(f"recipe must be one of {names}; got {self.recipe!r}")
        for name, least in _WHOLE.items():
            require_whole(name, getattr(self, name), least)
        if self.num_latents is not None:
            require_whole("num_latents", self.num_latents, 1)
        if self.latent_gain is not None:
            check_number("latent_gain", self.latent_gain, "[0, 1e6)")
        if self.dropout is not None:
            check_number("dropout", self.dropout, "[0, 1)")
        check_number("label_dropout", self.label_dropout, "[0, 1)")
        if self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size must be a multiple of micro_batch = {self.micro_batch}; got "
                f"{self.batch_size}"
            )
        if late := [step for step in self.milestones if not 0 < step <= self.steps]:
            raise ValueError(f"milestones must lie in 1..{self.steps}, the steps; got {late[0]}")
        if self.target == "average" and self.strategy == "fsdp":
            raise ValueError(
                "target must be student with strategy fsdp, which has no whole copy of the "
                "average; got average"
            )
        if self.data.generated and (self.recipe == "teacher" or self.mixture_teacher):
            raise ValueError(
                f"data.generated must be 0 without a product teacher; got {self.data.generated}"
            )
        if self.reference_steps and self.recipe == "teacher":
            raise ValueError(
                f"reference_steps must be 0 for the recipe teacher; got {self.reference_steps}"
            )
        if self.reference_steps and self.di4c_recipe.noises_data:
            raise ValueError(
                f"reference_steps must be 0 for the recipe {self.recipe}, which has a data loss; "
                f"got {self.reference_steps}"
            )

    @property
    def parts(self) -> int:
        """Number of micro-batches of a step, over all processes."""
        return self.batch_size // self.micro_batch

    @property
    def rate_factor(self) -> float:
        """Factor of the learning rate for the batch size of this run."""
        if not self.optimizer.scale_rate:
            return 1.0
        assert self.optimizer.of_batch is not None  # checked above
        return math.sqrt(self.batch_size / self.optimizer.of_batch)

    def rate(self, step: int) -> float:
        """Learning rate of step number `step`, counted from 0."""
        return self.rate_factor * self.optimizer.rate(step, self.steps)

    @property
    def di4c_recipe(self) -> Recipe:
        """The recipe of a distillation, with this run's number of latents."""
        recipe, count = RECIPES[self.recipe], self.num_latents
        return recipe if count is None else replace(recipe, num_latents=count)

    def described(self) -> dict[str, Any]:
        """The configuration as JSON, and when a sampler draws the latents of the student."""
        distilled = self.recipe != "teacher"
        return as_json(self) | {"redraw": self.di4c_recipe.redraw if distilled else None}

    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON. It must not change when a run resumes.

        Paths are left out, because weights are compared by their hashes. The number of processes
        and the reports are left out as well. With a constant learning rate the number of steps is
        left out, so that a run may be prolonged.
        """
        options = as_json(self)
        for name in _NOT_OF_THE_RESULT:
            del options[name]
        options["optimizer"]["learning_rate"] *= self.rate_factor
        for name in ("of_batch", "scale_rate"):  # the learning rate says it
            del options["optimizer"][name]
        options["data"] = options["data"]["name"]
        if self.data.share != 1:
            options["data_share"] = self.data.share
        if self.data.generated:
            options["data_generated"] = [self.data.generated, self.data.generated_calls]
        options["reports"] = {"log_every": options["reports"]["log_every"]}
        if self.optimizer.schedule == "constant":
            del options["steps"]
        return options


def as_json(value: Any) -> Any:
    """A configuration in JSON's types."""
    if dataclasses.is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
