"""Discrete diffusion distillation through dimensional correlations (Di4C), exactly and at scale.

The names below are the public interface of a trainer:

- processes: `MaskedProcess`, `UniformProcess`, `RateMatrixProcess`, `gaussian_process`,
  `two_state_process`, with the common interface `ForwardProcess`;
- denoisers: the interface `Denoiser`, `FromLogits` for a network, `ExactDenoiser` and
  `TableDenoiser` for known laws, `as_mixture` for the losses;
- mixtures: `DenseMixture` from a tensor, `HeadMixture` from features and a head (`LinearHead`,
  `FunctionHead`), `LogitsTransform`;
- losses: `distillation_loss`, `consistency_loss`, `data_loss`, with `Target` and `prefetch`;
- objective: `Di4CObjective` draws, evaluates and weighs everything for a `Recipe`; the published
  recipes are `CIFAR10`, `IMAGENET` and `OPENWEBTEXT`;
- parts of a recipe: times (`LogUniformGap`, `FixedGap`, `FixedRatio`, `SmallTimesOften`), `Weight`,
  teacher steps (`exact_step`, `ConfidenceTeacher`), distillation (`SeparateDistillation`,
  `DistillationBelow`), `StartTerm`, and `KeptLatent`;
- latents: `UniformLatent`, `GaussianLatent`, `FiniteLatent`, and `LatentPolicy` for sampling;
- samplers: `ancestral`, `hybrid`, `tau_leaping`, `confidence_sampling` (MaskGIT), started from
  `prior_samples`;
- diagnostics: `captured_total_correlation`, `collapse_alarm`, `LossLog`;
- randomness: `SampleGenerators`, `generator_at`.

Other functions are in the modules, above all in `di4c.exact` (laws over all states) and in
`di4c.schedules` (noise schedules and time grids).
"""

from di4c.confidence import confidence_sampling
from di4c.denoisers import Denoiser, ExactDenoiser, FromLogits, TableDenoiser, as_mixture
from di4c.diagnostics import LossLog, captured_total_correlation, collapse_alarm
from di4c.kept_latent import KeptLatent
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
from di4c.recipe_times import FixedGap, FixedRatio, LogUniformGap, SmallTimesOften
from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    DistillationBelow,
    Recipe,
    SeparateDistillation,
    Weight,
)
from di4c.rng import SampleGenerators, generator_at
from di4c.samplers import ancestral, hybrid, tau_leaping
from di4c.sampling_loop import prior_samples
from di4c.start_term import StartTerm
from di4c.teacher_steps import ConfidenceTeacher, exact_step

__version__ = "0.1.0"

__all__ = [
    "CIFAR10",
    "IMAGENET",
    "OPENWEBTEXT",
    "ConfidenceTeacher",
    "Denoiser",
    "DenseMixture",
    "Di4CObjective",
    "DistillationBelow",
    "ExactDenoiser",
    "FiniteLatent",
    "FixedGap",
    "FixedRatio",
    "ForwardProcess",
    "FromLogits",
    "FunctionHead",
    "GaussianLatent",
    "HeadMixture",
    "KeptLatent",
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
    "StartTerm",
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
    "exact_step",
    "gaussian_process",
    "generator_at",
    "hybrid",
    "prefetch",
    "prior_samples",
    "tau_leaping",
    "two_state_process",
]
