"""The parts of the configuration of a training run: data, optimiser and reports.

Each part checks its own values, and calls them as the command line does: optimizer.clip.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from di4c.checks import check_count, check_number

_LARGEST = 2**40  # more steps, samples or examples than any machine computes


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

    def __post_init__(self) -> None:
        """Check every value."""
        require_whole("data.workers", self.workers, 0)
        require_whole("data.generated", self.generated, 0)
        require_whole("data.generated_calls", self.generated_calls, 1)
        check_number("data.share", self.share, "(0, 1]")


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

    def __post_init__(self) -> None:
        """Check every value."""
        check_number("optimizer.learning_rate", self.learning_rate, "[0, 1e6)")
        check_number("optimizer.weight_decay", self.weight_decay, "[0, 1e6)")
        for beta in self.betas:
            check_number("optimizer.betas", beta, "[0, 1)")
        check_number("optimizer.ema_decay", self.ema_decay, "[0, 1)")
        require_whole("optimizer.warmup", self.warmup, 0)
        if self.clip is not None:
            check_number("optimizer.clip", self.clip, "(0, inf)", "use None to clip nothing")
        if self.of_batch is not None:
            require_whole("optimizer.of_batch", self.of_batch, 1)
        elif self.scale_rate:
            raise ValueError(
                "optimizer.scale_rate needs optimizer.of_batch, the batch size that the learning "
                "rate belongs to; got None"
            )

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

    def __post_init__(self) -> None:
        """Check every value."""
        for name in ("log_every", "save_every", "keep", "num_samples", "sample_steps"):
            require_whole(f"reports.{name}", getattr(self, name), 1)
        require_whole("reports.sample_every", self.sample_every, 0)


def require_whole(name: str, value: int, least: int) -> None:
    """Raise a ValueError that names an option, unless its value is a whole number in range."""
    check_count(name, value, least)
    if value > _LARGEST:
        raise ValueError(f"{name} must be at most 2**40; got {value}")
