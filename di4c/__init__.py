"""Discrete diffusion distillation through dimensional correlations (Di4C), exactly and at scale.

What a trainer needs is here; the rest is one import deeper: `di4c.exact` (laws over all states),
`di4c.schedules`, `di4c.confidence` (MaskGIT's sampler), `di4c.diagnostics`, `di4c.rng`.
"""

from di4c.confidence import confidence_sampling
from di4c.denoisers import Denoiser, ExactDenoiser, FromLogits, TableDenoiser, as_mixture
from di4c.diagnostics import LossLog, captured_total_correlation, collapse_alarm
from di4c.latents import FiniteLatent, GaussianLatent, LatentPolicy, UniformLatent
from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture, LinearHead, LogitsTransform
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss, prefetch
from di4c.objective import Di4CObjective, Objective
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    gaussian_process,
    two_state_process,
)
from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    FixedGap,
    LogUniformGap,
    Recipe,
    SeparateDistillation,
    SmallTimesOften,
    Weight,
)
from di4c.rng import SampleGenerators, generator_at
from di4c.samplers import ancestral, hybrid, tau_leaping

__version__ = "0.1.0"

__all__ = [
    "CIFAR10",
    "IMAGENET",
    "OPENWEBTEXT",
    "Denoiser",
    "DenseMixture",
    "Di4CObjective",
    "DistillationBelow",
    "ExactDenoiser",
    "FiniteLatent",
    "FixedGap",
    "ForwardProcess",
    "FromLogits",
    "FunctionHead",
    "GaussianLatent",
    "HeadMixture",
    "LatentPolicy",
    "LinearHead",
    "LogUniformGap",
    "LogitsTransform",
    "LossLog",
    "MaskedProcess",
    "Objective",
    "RateMatrixProcess",
    "Recipe",
    "SampleGenerators",
    "SeparateDistillation",
    "SmallTimesOften",
    "TableDenoiser",
    "Target",
    "UniformLatent",
    "UniformProcess",
    "Weight",
    "ancestral",
    "as_mixture",
    "captured_total_correlation",
    "collapse_alarm",
    "confidence_sampling",
    "consistency_loss",
    "data_loss",
    "distillation_loss",
    "gaussian_process",
    "generator_at",
    "hybrid",
    "prefetch",
    "tau_leaping",
    "two_state_process",
]
