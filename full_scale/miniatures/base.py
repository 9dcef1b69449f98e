"""Description of a miniature: what the command needs to know about its data and its metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from torch import Tensor

from full_scale.models.sampling import Plan

Better = Literal["lower", "higher"]
"""Which values of a metric are better."""

Kind = Literal["data", "teacher", "student", "hybrid"]
"""What a row of a study measures. A hybrid makes its last calls with the teacher."""


@dataclass(frozen=True)
class Miniature:
    """A small experiment with real data that runs on a laptop.

    Data set, preset and the experiment of pure distillation have the same name NAME. The teacher's
    experiment is NAME-teacher. The trained teacher is full_scale/teachers/NAME.safetensors. The
    data set has the option `validation`, which opens the validation part of the split "train".

    Attributes:
        name: its name.
        main: the metric that equivalent steps compare.
        metrics: every metric by name, and whether lower or higher values are better.
        recipes: experiments whose students are compared; the first one is pure distillation.
        plan: how a model samples with so many network calls.
        labels: classes of so many samples, 0, 1, 2, ... in turn; None without classes.
        score: the metrics of samples (N, D). It takes the samples, their labels or None, the part
            of the data that they are compared with, "validation" or "test", and the share of the
            training data that the model has seen. Settings are chosen with "validation"; records
            use "test".
        floor: the same metrics of real data that are not in the part, compared with the part. No
            model is expected to be better.
        shown: samples as text, one line each, that a record can hold.
        pictures: images (N, H, W) in [0, 1] of what `shown` gave; None if that is text to read.
        quick: fields of the students' runs that --quick changes.
    """

    name: str
    main: str
    metrics: Mapping[str, Better]
    recipes: tuple[str, ...]
    plan: Callable[[int], Plan]
    labels: Callable[[int], Int[Tensor, "sample"] | None]
    score: Callable[
        [Int[Tensor, "sample dim"], Int[Tensor, "sample"] | None, str, float], dict[str, float]
    ]
    floor: Callable[[str], dict[str, float]]
    shown: Callable[[Int[Tensor, "sample dim"]], list[str]]
    pictures: Callable[[list[str]], np.ndarray] | None
    quick: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check that the main metric is one of the metrics."""
        if self.main not in self.metrics:
            names = ", ".join(self.metrics)
            raise ValueError(f"main must be one of the metrics {names}; got {self.main!r}")
