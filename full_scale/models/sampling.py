r"""Which sampler belongs to which network, and what "n steps" means for each, as published.

U-Net, ancestral or tau-leaping: n calls, n - 1 transitions from 1 to 0.01 and an argmax (tauLDR).
MaskGIT, confidence: n calls, and as many again for guidance. MaskGIT, ancestral: n calls on the
uniform grid. DiT, ancestral: n transitions from 1 to 1e-5, and one more call for an argmax if a
mask is left (MDLM, SDTT).
"""

from dataclasses import dataclass, replace

from jaxtyping import Int
from torch import Tensor

from di4c.confidence import confidence_sampling
from di4c.latents import Latent
from di4c.processes import MaskedProcess
from di4c.rng import Generator
from di4c.samplers import hybrid, tau_leaping
from di4c.sampling_loop import Samples, call_grid, prior_samples
from di4c.schedules import uniform_grid
from full_scale.models import DenoiserConfig, DiT, MaskGIT
from full_scale.models.network import Network, unwrap

FIRST_PIXEL_TIME = 0.01
FIRST_TOKEN_TIME = 1e-5

SAMPLERS = {
    "UNet": ("ancestral", "tau-leaping"),
    "MaskGIT": ("confidence", "ancestral"),
    "DiT": ("ancestral",),
}
"""Samplers by the type of the backbone; the first one is the published one."""


@dataclass(frozen=True)
class Plan:
    """How to sample.

    Attributes:
        steps: n, counted as in the table above.
        sampler: one of `SAMPLERS`; None for the published one.
        teacher_steps: the last calls that a teacher makes instead (hybrid).
        guidance: classifier-free guidance weight w of the last step (MaskGIT).
        temperature: scale of the Gumbel noise in the first step (MaskGIT).
    """

    steps: int
    sampler: str | None = None
    teacher_steps: int = 0
    guidance: float = 0.0
    temperature: float = 4.5

    def resolve(self, network: Network, teacher: Network | None = None) -> "Plan":
        """The plan with its sampler named, checked against the network.

        Raises:
            ValueError: If the network has no such sampler, an option does not belong to it, or the
                teacher's states are not the network's.
        """
        config = unwrap(network.backbone).config
        # By the config: sharding gives the network another type.
        kind = type(config).__name__.removesuffix("Config")
        sampler = self.sampler or SAMPLERS[kind][0]
        if sampler not in SAMPLERS[kind]:
            raise ValueError(
                f"sampler must be one of {', '.join(SAMPLERS[kind])} for a {kind}; got {sampler!r}"
            )
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1; got {self.steps}")
        if self.guidance != 0 and sampler != "confidence":
            raise ValueError(
                f"guidance must be 0 for the {sampler} sampler of a {kind}; got {self.guidance}"
            )
        if self.teacher_steps < 0 or (self.teacher_steps > 0 and sampler != "ancestral"):
            raise ValueError(
                f"teacher_steps must be 0 for the {sampler} sampler, and never negative; got "
                f"{self.teacher_steps}"
            )
        if self.teacher_steps > 0 and teacher is None:
            raise ValueError(f"teacher_steps is {self.teacher_steps} and there is no teacher")
        calls = len(time_grid(network, self.steps)) - 1
        if self.teacher_steps > calls:
            raise ValueError(
                f"teacher_steps must lie in 0..{calls}, the calls of {self.steps} steps; got "
                f"{self.teacher_steps}"
            )
        if teacher is not None:
            _check_teacher(unwrap(teacher.backbone).config, config)
        return replace(self, sampler=sampler)


def samples_at_once(network: Network, num_bytes: int, most: int) -> int:
    """How many samples' probabilities fit into so many bytes, at least 1 and at most `most`.

    A call holds five float32 numbers for each: the logits, and what their softmax is made of.
    """
    config = unwrap(network.backbone).config
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
    """Samples (num_samples, D) of a network, in the one way that scripts and libraries share.

    Args:
        network: a teacher or a student.
        num_samples: how many.
        plan: how.
        latent: where a student's latents come from, see `di4c.samplers.ancestral`.
        labels: class of each sample, for MaskGIT; None for "no class".
        teacher: of a hybrid.
        teacher_latent: for a teacher that is itself a student of another round.
        generator: source of randomness; `SampleGenerators` make sample i independent of its batch.

    Raises:
        ValueError: See `Plan.resolve`; or if guidance has no labels to guide to, a network without
            classes is given some, or labels are not one class for each sample.
    """
    plan = plan.resolve(network, teacher)
    core, process = unwrap(network.backbone), network.process
    device = next(core.parameters()).device
    if labels is not None:
        if not isinstance(core, MaskGIT):
            kind = type(core).__name__
            raise ValueError(f"labels are given and a {kind} has no classes; leave them")
        _check_labels(labels, num_samples, core.config.num_classes)
    start = prior_samples(
        process, num_samples, core.config.num_dims, generator=generator, device=device
    )
    if isinstance(core, MaskGIT):
        network = network.given(labels)
        if plan.sampler == "confidence":
            assert isinstance(process, MaskedProcess)
            if plan.guidance != 0 and labels is None:
                raise ValueError(f"guidance is {plan.guidance} and there are no labels; give some")
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
        network = replace(network, keep_mask=False)  # revealing by time leaves no mask behind
        if teacher is not None:
            teacher = replace(teacher.given(labels), keep_mask=False)
    if plan.sampler == "tau-leaping":
        grid = time_grid(network, plan.steps)
        return tau_leaping(
            process, network.denoise, start, grid, latent=latent, last="argmax", generator=generator
        )
    return hybrid(
        process,
        network.denoise,
        start,
        time_grid(network, plan.steps),
        teacher=(teacher or network).denoise,
        teacher_steps=plan.teacher_steps,
        latent=latent,
        teacher_latent=teacher_latent,
        last="sample" if isinstance(core, MaskGIT) else "argmax",
        generator=generator,
    )


def time_grid(network: Network, steps: int) -> Tensor:
    """The grid of n steps; its length less one is the number of calls."""
    core, horizon = unwrap(network.backbone), network.process.horizon
    if isinstance(core, MaskGIT):
        return uniform_grid(steps, horizon)
    if isinstance(core, DiT):
        return call_grid(steps + 1, FIRST_TOKEN_TIME, horizon)
    return call_grid(steps, FIRST_PIXEL_TIME, horizon)


def _check_teacher(teacher: DenoiserConfig, config: DenoiserConfig) -> None:
    for name, what in (("num_states", "states"), ("num_dims", "dimensions")):
        other, own = getattr(teacher, name), getattr(config, name)
        if other != own:
            raise ValueError(
                f"teacher has {other} {what} and the model {own}; give the teacher that the "
                "student was distilled from"
            )


def _check_labels(labels: Int[Tensor, "batch"], num_samples: int, num_classes: int) -> None:
    if labels.shape != (num_samples,):
        raise ValueError(
            f"labels must hold one class for each of {num_samples} samples; got the shape "
            f"{tuple(labels.shape)}"
        )
    if bool(((labels < 0) | (labels >= num_classes)).any()):
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1}; got {int(labels.min())} to "
            f"{int(labels.max())}: None stands for no class"
        )
