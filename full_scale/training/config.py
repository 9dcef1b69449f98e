"""The configuration of a training run; the texts below attributes are the command's --help."""

import dataclasses
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from di4c.recipes import Recipe
from full_scale.methods import METHODS


@dataclass(frozen=True)
class Data:
    """The data set."""

    name: str = "digits"
    """data set: cifar10, digits, imagenet or openwebtext"""
    folder: Path | None = None
    """where it lies; its usual place, or none for digits, if left out"""
    workers: int = 0
    """processes that read ahead; 0 reads in the training process"""


@dataclass(frozen=True)
class Optimizer:
    """Optimiser, learning rate and averaging."""

    name: Literal["adam", "adamw"] = "adam"
    """adamw decouples the weight decay"""
    learning_rate: float = 2e-4
    """after the warm-up"""
    betas: tuple[float, float] = (0.9, 0.999)
    """decay of the two moments"""
    weight_decay: float = 0.0
    """factor of the weight decay"""
    warmup: int = 0
    """steps over which the learning rate grows linearly"""
    schedule: Literal["constant", "cosine"] = "constant"
    """of the learning rate after the warm-up; cosine ends at zero"""
    clip: float | None = 1.0
    """largest norm of the gradient; None clips nothing"""
    ema_decay: float = 0.9999
    """of the averaged weights, which are those to sample from"""

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step number `step`, counted from 0, of `steps`."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup))
        if self.schedule == "cosine":
            done = max(0, step - self.warmup) / max(1, steps - self.warmup)
            rate *= (1 + math.cos(math.pi * min(1.0, done))) / 2
        return rate


@dataclass(frozen=True)
class Reports:
    """What a run writes, and when. May be changed when a run is resumed."""

    log_every: int = 100
    """steps between rows of the log; the rows of a run belong together: keep it when resuming"""
    save_every: int = 1000
    """steps between checkpoints"""
    keep: int = 3
    """newest checkpoints that stay"""
    sample_every: int = 5000
    """steps between sheets of samples; 0 for none"""
    num_samples: int = 16
    """samples on a sheet"""
    sample_steps: int = 8
    """network calls for a sample"""
    decoder: str | None = None
    """turns samples into pictures or text: converted VQGAN for ImageNet, tokenizer (a folder, or
    gpt2 from the hub) for text; numbers if left out"""
    tensorboard: bool = False
    """also write TensorBoard events"""


@dataclass(frozen=True)
class Run:
    """One training run. The same command resumes it from its newest checkpoint."""

    out: Path
    """folder of the run: checkpoints, log, samples"""
    preset: str
    """networks, forward process and latent, by name in full_scale.models.presets"""
    method: str
    """"teacher" trains a teacher by cross-entropy; else the Di4C recipe: cifar10, imagenet-d (with
    the data term), imagenet (without), openwebtext, digits"""
    steps: int
    """optimiser steps in all"""
    batch_size: int
    """examples of a step, over all devices and accumulated micro-batches"""
    micro_batch: int
    """examples that go through the networks at once; the batch_size / micro_batch parts of a step
    are shared out among the processes, and each accumulates its share"""
    data: Data
    optimizer: Optimizer
    teacher: str | None = None
    """model file of the teacher (from full_scale.convert or full_scale.train), folder of a finished
    run, or hf://owner/name@revision/file; none to train one"""
    student: str | None = None
    """likewise, the model whose weights the student starts from; the teacher's if left out"""
    mixture_teacher: bool = False
    """the teacher is itself a Di4C student: iterated Di4C"""
    num_latents: int | None = None
    """latents for each example; the recipe's if left out"""
    latent_gain: float | None = None
    """gain of the student's first weights on the latent (Xavier) where they would be zero. At zero
    the student starts as its teacher, as published, and all components are equal: there the
    gradient of every correlation term vanishes, and it takes time to leave"""
    dropout: float | None = None
    """of the trained network; the preset's if left out. In a short distillation the student learns
    to tell components apart by their dropout masks instead of their latents: use 0"""
    label_dropout: float = 0.0
    """share of the examples that are shown without their label, for guidance"""
    precision: Literal["no", "bf16"] = "no"
    """bf16 computes under autocast; the weights stay float32"""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """how several processes share the student: copies, or shards (FSDP2)"""
    device: Literal["auto", "cpu"] = "auto"
    """cpu stays on the CPU even where there is a GPU"""
    reports: Reports = field(default_factory=Reports)
    seed: int = 0
    """of everything random: the order of the data, noise, latents, dropout"""
    check_memory: bool = True
    """refuse to start where the estimate of the memory exceeds what is free"""
    dry_run: bool = False
    """print the configuration, parameter counts and an estimate of the memory, and stop"""

    def __post_init__(self) -> None:
        """Check what arrived."""
        if self.method != "teacher" and self.method not in METHODS:
            names = ", ".join(["teacher", *METHODS])
            raise ValueError(f"method must be one of {names}; got {self.method!r}")
        for name in ("steps", "batch_size", "micro_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("log_every", "save_every", "keep", "num_samples", "sample_steps"):
            if getattr(self.reports, name) < 1:
                value = getattr(self.reports, name)
                raise ValueError(f"reports.{name} must be at least 1; got {value}")
        for name, value in (
            ("data.workers", self.data.workers),
            ("optimizer.warmup", self.optimizer.warmup),
            ("reports.sample_every", self.reports.sample_every),
        ):
            if value < 0:
                raise ValueError(f"{name} must be at least 0; got {value}")
        if self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size must be a multiple of micro_batch = {self.micro_batch}; got "
                f"{self.batch_size}"
            )
        clip = self.optimizer.clip
        if clip is not None and not 0 < clip < math.inf:
            raise ValueError(
                f"optimizer.clip must be positive and finite; got {clip}: use None to clip nothing"
            )
        if not 0 <= self.label_dropout < 1:
            raise ValueError(f"label_dropout must lie in [0, 1); got {self.label_dropout}")

    @property
    def parts(self) -> int:
        """Micro-batches of a step, over all processes."""
        return self.batch_size // self.micro_batch

    @property
    def recipe(self) -> Recipe:
        """The Di4C recipe of the method, with this run's number of latents."""
        recipe = METHODS[self.method]
        if self.num_latents is None:
            return recipe
        return replace(recipe, num_latents=self.num_latents)

    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON; a resumed run must agree in it.

        Paths are left out (weights are compared by their hashes), and so are the number of
        processes and what only reports. Without a schedule a run may be prolonged.
        """
        options = as_json(self)
        for name in ("out", "teacher", "student", "strategy", "device", "check_memory", "dry_run"):
            del options[name]
        options["data"] = options["data"]["name"]
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
