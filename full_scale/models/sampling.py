r"""Draws samples of a network by one of its samplers, in n steps as its publication counts them.

A network's config says which samplers it has (`samplers`, the published one first) and what
"n steps" means (`time_grid`).
"""

import math
from dataclasses import dataclass, replace

from jaxtyping import Int
from torch import Tensor

from di4c.confidence import confidence_sampling
from di4c.latents import Latent
from di4c.processes import MaskedProcess
from di4c.rng import Generator
from di4c.samplers import hybrid, tau_leaping
from di4c.sampling_loop import Samples, prior_samples
from full_scale.models.base import DenoiserConfig
from full_scale.models.network import Network

SAMPLERS = ("ancestral", "confidence", "tau-leaping")
"""The samplers that `draw` knows; each config names those of its network."""


MOST_STEPS = 100_000
"""No published sampler takes more than 4096 steps; the times of millions would fill the memory."""


@dataclass(frozen=True)
class Plan:
    """How to sample.

    Attributes:
        steps: n, counted as the network's `time_grid` says.
        sampler: name of a sampler of the network; None for the published one.
        teacher_steps: number of last calls that a teacher makes instead (hybrid sampling).
        guidance: weight w of classifier-free guidance in the last step (confidence sampler).
        temperature: scale of the Gumbel noise in the first step (confidence sampler).
    """

    steps: int
    sampler: str | None = None
    teacher_steps: int = 0
    guidance: float = 0.0
    temperature: float = 4.5

    def resolve(self, network: Network, teacher: Network | None = None) -> "Plan":
        """The plan with the name of its sampler filled in, after checks against the network.

        Raises:
            ValueError: If the network has no such sampler, if an option does not belong to the
                sampler, or if teacher and network have different numbers of states or dimensions.
        """
        config = network.config
        name, samplers = config.name, config.samplers
        sampler = self.sampler or samplers[0]
        if sampler not in samplers:
            raise ValueError(
                f"sampler must be one of {', '.join(samplers)} for a {name}; got {sampler!r}"
            )
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1; got {self.steps}")
        if self.steps > MOST_STEPS:
            raise ValueError(f"steps must be at most {MOST_STEPS}; got {self.steps}")
        if not math.isfinite(self.guidance):
            raise ValueError(f"guidance must be finite; got {self.guidance}")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be at least 0 and finite; got {self.temperature}")
        if self.guidance != 0 and sampler != "confidence":
            raise ValueError(
                f"guidance must be 0 for the {sampler} sampler of a {name}; got {self.guidance}"
            )
        if self.teacher_steps < 0 or (self.teacher_steps > 0 and sampler != "ancestral"):
            raise ValueError(
                f"teacher_steps must be 0 for the {sampler} sampler, and never negative; got "
                f"{self.teacher_steps}"
            )
        if self.teacher_steps > 0 and teacher is None:
            raise ValueError(
                f"teacher_steps is {self.teacher_steps} and there is no teacher; give one"
            )
        calls = len(config.time_grid(self.steps, network.process.horizon)) - 1
        if self.teacher_steps > calls:
            raise ValueError(
                f"teacher_steps must lie in 0..{calls}, the calls of {self.steps} steps; got "
                f"{self.teacher_steps}"
            )
        if teacher is not None:
            _check_teacher(teacher.config, config)
        return replace(self, sampler=sampler)


def samples_at_once(network: Network, num_bytes: int, most: int) -> int:
    """Number of samples whose probabilities fit into so many bytes; between 1 and `most`.

    A call holds five float32 numbers for each probability: the logit and the terms of its softmax.
    """
    config = network.config
    return max(1, min(most, num_bytes // (20 * config.num_dims * config.num_states)))


def draw(
    network: Network,
    num_samples: int,
    plan: Plan,
    *,
    latent: Latent = None,
    labels: Int[Tensor, "batch"] | None = None,
    teacher: Network | None = None,
    teacher_latent: Latent = None,
    generator: Generator | None = None,
) -> Samples:
    """Samples (num_samples, D) of a network. Scripts and loaded models draw by this function.

    Args:
        network: a teacher or a student.
        num_samples: number of samples.
        plan: how to sample.
        latent: where a student's latents come from, see `di4c.samplers.ancestral`.
        labels: class of each sample, for a network that takes labels; None for "no class".
        teacher: the network of the last calls in hybrid sampling.
        teacher_latent: latents of a teacher that is itself a student of an earlier round.
        generator: source of randomness. With `SampleGenerators`, sample i does not depend on its
            batch.

    Raises:
        ValueError: See `Plan.resolve`. Also if there is guidance without labels, if a network
            without classes is given labels, or if labels are not one class for each sample.
    """
    plan = plan.resolve(network, teacher)
    config, process = network.config, network.process
    device = next(network.backbone.parameters()).device
    if labels is not None:
        _check_labels(labels, num_samples, config)
    start = prior_samples(process, num_samples, config.num_dims, generator=generator, device=device)
    network = network.given(labels)
    if plan.sampler == "confidence":
        assert isinstance(process, MaskedProcess)
        if plan.guidance != 0 and labels is None:
            raise ValueError(f"guidance is {plan.guidance} and there are no labels; give labels")
        return confidence_sampling(
            process,
            network.denoise,
            start,
            plan.steps,
            temperature=plan.temperature,
            unconditional=network.given(None).denoise if plan.guidance != 0 else None,
            guidance=plan.guidance,
            latent=latent,
            generator=generator,
        )
    # The other samplers decide by time which positions to reveal, so the mask must not be drawn.
    network = replace(network, keep_mask=False)
    teacher = network if teacher is None else replace(teacher.given(labels), keep_mask=False)
    grid = config.time_grid(plan.steps, process.horizon)
    if plan.sampler == "tau-leaping":
        return tau_leaping(
            process,
            network.denoise,
            start,
            grid,
            latent=latent,
            last=config.last_step,
            generator=generator,
        )
    return hybrid(
        process,
        network.denoise,
        start,
        grid,
        teacher=teacher.denoise,
        teacher_steps=plan.teacher_steps,
        latent=latent,
        teacher_latent=teacher_latent,
        last=config.last_step,
        generator=generator,
    )


def _check_teacher(teacher: DenoiserConfig, config: DenoiserConfig) -> None:
    for name, what in (("num_states", "states"), ("num_dims", "dimensions")):
        other, own = getattr(teacher, name), getattr(config, name)
        if other != own:
            raise ValueError(
                f"teacher has {other} {what} and the model {own}; give the teacher that the "
                "student was distilled from"
            )


def _check_labels(labels: Int[Tensor, "batch"], num_samples: int, config: DenoiserConfig) -> None:
    num_classes = config.num_classes
    if num_classes is None:
        raise ValueError(f"labels are given and a {config.name} has no classes; leave them out")
    if labels.shape != (num_samples,):
        raise ValueError(
            f"labels must hold one class for each of {num_samples} samples; got the shape "
            f"{tuple(labels.shape)}"
        )
    if bool(((labels < 0) | (labels >= num_classes)).any()):
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1}; got {int(labels.min())} to "
            f"{int(labels.max())}: use None for no class"
        )
