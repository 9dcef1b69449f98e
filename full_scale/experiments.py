"""The training runs as data: what each recipe trains, on what, and how. `full_scale.train` runs it.

Published numbers and settings are those of Hayakawa et al., ICML 2025, and its code; what it does
not state is called unknown, and the value here is then our choice.
"""

import dataclasses
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    LogUniformGap,
    Recipe,
    Weight,
)
from di4c.rng import Generator, uniform


@dataclass(frozen=True)
class NoiseOften(LogUniformGap):
    """As `LogUniformGap`, but with probability `share` t is uniform on [noisy, 1].

    Attributes:
        noisy: time after which x_t tells nearly nothing of x_0.
        share: how often to draw such a time.
    """

    noisy: float = 0.75
    share: float = 0.5

    def draw(
        self, batch: int, generator: Generator | None, device: torch.device | str | None = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Times (t, u), one pair an example, float64."""
        t, u = super().draw(batch, generator, device)
        which, place = uniform((batch, 2), generator=generator, device=device).unbind(1)
        late = torch.where(which < self.share, self.noisy + (1 - self.noisy) * place, t)
        return late, late - (t - u)


DIGITS = replace(
    CIFAR10,
    times=NoiseOften(shortest=0.01, longest=0.1),
    distillation=DistillationBelow(0.05),
)
"""CIFAR-10's recipe for a few hundred iterations in place of 320 000: teacher steps ten times as
long; half of the times where x_t is nearly noise, as at the first of few steps; and distillation
of the example's own x_t where t < 0.05, which halves the cost of a step."""

METHODS: dict[str, Recipe] = {
    "cifar10": CIFAR10,
    "imagenet-d": IMAGENET,
    "imagenet": replace(IMAGENET, data_weight=Weight(0.0)),
    "openwebtext": OPENWEBTEXT,
    "digits": DIGITS,
}
"""What `Run.method` may name beside "teacher"."""


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
    clip: float = 1.0
    """largest norm of the gradient"""
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
    tensorboard: bool = False
    """also write TensorBoard events"""


@dataclass(frozen=True)
class Run:
    """One training run. The same command resumes it from its newest checkpoint."""

    out: Path
    """folder of the run: checkpoints, log, samples"""
    preset: str
    """networks, forward process and latent, by name in full_scale.presets"""
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
        if self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size must be a multiple of micro_batch = {self.micro_batch}; got "
                f"{self.batch_size}"
            )
        if not self.optimizer.clip > 0:
            raise ValueError(
                f"optimizer.clip must be positive; got {self.optimizer.clip}: use inf for none"
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


EXPERIMENTS: dict[str, tuple[str, Run]] = {
    "cifar10": (
        """CIFAR-10 pixels from the tauLDR teacher.

        Hardware, hours: unknown for the published run (320 000 steps of 8 examples, 16 latents).
        Expected FID of 50 000 samples: student 20.64 at 10 steps and 9.77 at 20, hybrid 9.5 at 20;
        the teacher has 32.61, 12.36 and, at 40 steps, 8.0.""",
        Run(
            out=Path("runs/cifar10"),
            preset="tauldr-cifar10",
            method="cifar10",
            steps=320_000,
            batch_size=8,
            micro_batch=8,
            data=Data("cifar10", workers=2),
            optimizer=Optimizer("adam", 2e-4, clip=1.0, ema_decay=0.9999),
        ),
    ),
    "imagenet": (
        """ImageNet 256 x 256 as VQGAN tokens from the MaskGIT teacher ("di4c-d").

        Hardware: 2 GPUs with 2 examples each, 32 latents; which, and hours: unknown. About 30 000
        steps. Expected at 4 steps, 50 000 samples: FID 6.57, IS 213.6 (the teacher: about 10.7 and
        190; at 8 steps 6.6 and 222). --method imagenet leaves out the data term: 6.79 and 209.2.
        The share of dropped labels and the average of the weights are our choice.""",
        Run(
            out=Path("runs/imagenet"),
            preset="maskgit-imagenet",
            method="imagenet-d",
            steps=30_000,
            batch_size=4,
            micro_batch=1,
            data=Data("imagenet", workers=2),
            optimizer=Optimizer("adamw", 1e-5, (0.9, 0.96), 1e-5, clip=1.0, ema_decay=0.999),
            label_dropout=0.1,
            precision="bf16",
        ),
    ),
    "openwebtext": (
        """OpenWebText, GPT-2 tokens, from an SDTT teacher.

        Hardware: 2 GPUs with 1 example each, 16 latents; which, hours and steps: unknown (100 000
        steps is our choice). Expected: the generative perplexity of the teacher with less than
        half its steps (32 instead of 64 to 128), at equal entropy.""",
        Run(
            out=Path("runs/openwebtext"),
            preset="sdtt-owt",
            method="openwebtext",
            steps=100_000,
            batch_size=2,
            micro_batch=1,
            data=Data("openwebtext", workers=2),
            optimizer=Optimizer("adamw", 3e-5, warmup=2500, clip=1.0, ema_decay=0.9999),
            precision="bf16",
        ),
    ),
    "openwebtext-round2": (
        """A second round: the student of openwebtext is the teacher (iterated Di4C).

        Hardware, hours, steps: unknown (100 000 steps is our choice). Expected at 16 steps:
        generative perplexity 44.8 at entropy 5.34, where SDTT alone has 61.3 (both as measured by
        IDLM).""",
        Run(
            out=Path("runs/openwebtext-round2"),
            preset="sdtt-owt",
            method="openwebtext",
            steps=100_000,
            batch_size=2,
            micro_batch=1,
            data=Data("openwebtext", workers=2),
            optimizer=Optimizer("adamw", 3e-5, warmup=2500, clip=1.0, ema_decay=0.9999),
            mixture_teacher=True,
            precision="bf16",
        ),
    ),
    "digits-teacher": (
        """A teacher for 8 x 8 digit images by cross-entropy. Minutes on two CPU cores.

        Nothing published; `python -m full_scale.digits` trains, distils, samples and evaluates.""",
        Run(
            out=Path("runs/digits-teacher"),
            preset="digits",
            method="teacher",
            steps=4000,
            batch_size=64,
            micro_batch=64,
            data=Data("digits"),
            optimizer=Optimizer("adam", 1e-3, warmup=100, schedule="cosine", ema_decay=0.999),
            device="cpu",
        ),
    ),
    "digits": (
        """8 x 8 digit images from the teacher of digits-teacher. Minutes on two CPU cores.

        Nothing published; `python -m full_scale.digits` trains, distils, samples and evaluates.""",
        Run(
            out=Path("runs/digits"),
            preset="digits",
            method="digits",
            steps=500,
            batch_size=8,
            micro_batch=8,
            num_latents=8,
            data=Data("digits"),
            optimizer=Optimizer(
                "adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99
            ),
            teacher="runs/digits-teacher",
            latent_gain=3.0,
            dropout=0.0,
            device="cpu",
        ),
    ),
}
"""Recipes by name: what to expect, and the run."""
