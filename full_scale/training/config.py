"""The configuration of a training run.

The texts below the attributes of `Data`, `Optimizer`, `Reports` and `Run` are what the command
`python -m full_scale.train EXPERIMENT --help` prints.
"""

import dataclasses
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from di4c.recipes import Recipe
from full_scale.training.recipes import RECIPES
from reporting.scripts import require_seed

_NOT_OF_THE_RESULT = (
    *("out", "teacher", "student", "strategy", "device", "check_memory", "dry_run", "weights"),
    *("milestones", "gradient_checkpointing", "compile"),
)
"""Options of a run that a resumed run may change: other things record them, or nothing depends."""


@dataclass(frozen=True)
class Data:
    """The data set."""

    name: str = "digits"
    """name of the data set: cifar10, digits, imagenet, mnist-tokens, openwebtext or words"""
    folder: Path | None = None
    """folder of the prepared data; data/NAME if left out (those of the miniatures need none)"""
    workers: int = 0
    """number of processes that read ahead; 0 reads in the training process"""
    share: float = 1.0
    """share of the training data that is used, in (0, 1]: a fixed part, the same for every seed"""
    generated: int = 0
    """number of samples that the teacher draws once, in place of the data: distillation without
    data. They are kept beside the folder of the run. 0 uses the data"""
    generated_calls: int = 64
    """network calls of each of these samples"""


@dataclass(frozen=True)
class Optimizer:
    """Optimiser, learning rate and averaging of the weights."""

    name: Literal["adam", "adamw"] = "adam"
    """optimiser; adamw keeps the weight decay apart from the gradient"""
    learning_rate: float = 2e-4
    """learning rate after the warm-up"""
    betas: tuple[float, float] = (0.9, 0.999)
    """decay rates of the first and second moments"""
    weight_decay: float = 0.0
    """factor of the weight decay"""
    warmup: int = 0
    """number of steps over which the learning rate grows linearly"""
    schedule: Literal["constant", "cosine"] = "constant"
    """learning rate after the warm-up: constant, or half a cosine that ends at zero"""
    clip: float | None = 1.0
    """largest norm of the gradient; None does not clip"""
    ema_decay: float = 0.9999
    """decay of the moving average of the weights; --weights says whether samples use it"""
    of_batch: int | None = None
    """batch size that the learning rate belongs to: the published one of an experiment"""
    scale_rate: bool = False
    """multiply the learning rate by sqrt(batch_size / of_batch), the rule for Adam of Malladi et
    al. (NeurIPS 2022). Published rates are for the published batch sizes, and nothing is known of
    other ones"""

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step number `step`, counted from 0, of `steps`."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup))
        if self.schedule == "cosine":
            done = max(0, step - self.warmup) / max(1, steps - self.warmup)
            rate *= (1 + math.cos(math.pi * min(1.0, done))) / 2
        return rate


@dataclass(frozen=True)
class Reports:
    """What a run writes, and when. A resumed run may change all of it except log-every."""

    log_every: int = 100
    """steps between two rows of the log; a resumed run must keep this number"""
    save_every: int = 1000
    """steps between two checkpoints"""
    keep: int = 3
    """number of newest checkpoints that are kept"""
    sample_every: int = 5000
    """steps between two sheets of samples; 0 draws none"""
    num_samples: int = 16
    """number of samples on a sheet"""
    sample_steps: int = 8
    """number of sampling steps for a sheet"""
    decoder: str | None = None
    """model that turns samples into pictures or text: a converted VQGAN for ImageNet; a tokenizer
    for text (a folder, or gpt2 from the hub). Samples are written as numbers if left out"""
    track: Literal["tensorboard", "trackio", "wandb"] | None = None
    """also send the log to an experiment tracker, through accelerate"""


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
            ("reference_steps", self.reference_steps),
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
        if self.optimizer.scale_rate and self.optimizer.of_batch is None:
            raise ValueError(
                "optimizer.scale_rate needs optimizer.of_batch, the batch size that the learning "
                "rate belongs to; got None"
            )
        if late := [step for step in self.milestones if not 0 < step <= self.steps]:
            raise ValueError(f"milestones must lie in 1..{self.steps}, the steps; got {late[0]}")
        if self.target == "average" and self.strategy == "fsdp":
            raise ValueError(
                "target must be student with strategy fsdp, which has no whole copy of the "
                "average; got average"
            )
        for name in ("generated", "generated_calls"):
            if getattr(self.data, name) < (name == "generated_calls"):
                value = getattr(self.data, name)
                raise ValueError(f"data.{name} must be a number of samples or calls; got {value}")
        if self.data.generated and (self.recipe == "teacher" or self.mixture_teacher):
            raise ValueError(
                f"data.generated must be 0 without a product teacher; got {self.data.generated}"
            )
        if not 0 < self.data.share <= 1:
            raise ValueError(f"data.share must lie in (0, 1]; got {self.data.share}")
        if not 0 <= self.label_dropout < 1:
            raise ValueError(f"label_dropout must lie in [0, 1); got {self.label_dropout}")
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
