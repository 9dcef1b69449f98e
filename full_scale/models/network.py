r"""A backbone as samplers use it (a `Denoiser`) and as losses use it (a `MixtureNetwork`).

    network = Network(config.build(), process)
    network.mixture    for losses: (x_t (B, L, D), t (B,), latents (B, L) or None) -> HeadMixture
    network.denoise    for samplers: (x_t (B, D), t (B,), latent (B,) or None) -> log-probabilities

A `HeadMixture` holds features and a head. So losses never hold (B, L, D, S) numbers at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.latents import uniform_log_weights
from di4c.likelihood import FunctionHead, Head, HeadMixture, LinearHead, LogitsTransform
from di4c.processes import ForwardProcess
from full_scale.models.base import DenoiserBackbone, DenoiserConfig
from full_scale.models.model_file import check_fit


@dataclass(frozen=True, eq=False)
class Network:
    """A backbone with everything else that its outputs depend on.

    Attributes:
        backbone: a `DenoiserBackbone`, or a wrapper that has one as `.module` (DDP).
        process: the noise that it was made for.
        labels: class of each example, if the backbone takes labels; None for "no class".
        keep_mask: whether the mask keeps its share of the softmax (MaskGIT). It does in published
            models, whose confidence sampler leaves a position masked if the mask is drawn there.
            Samplers that reveal by time need False.

    Raises:
        ValueError: If process and backbone do not fit.
    """

    backbone: nn.Module
    process: ForwardProcess
    labels: Int[Tensor, "batch"] | None = None
    keep_mask: bool = True

    def __post_init__(self) -> None:
        """Check that process and backbone fit."""
        config = self.config
        if config.num_states != self.process.num_states:
            raise ValueError(
                f"process has {self.process.num_states} states and the backbone "
                f"{config.num_states}; build the process with the network's number"
            )
        masked = config.default_process().masked
        if masked != (self.process.mask_state is not None):
            raise ValueError(
                f"process must {'' if masked else 'not '}be masked for a {config.name}; got "
                f"{type(self.process).__name__}"
            )

    @property
    def config(self) -> DenoiserConfig:
        """Sizes of the backbone."""
        return unwrap(self.backbone).config

    def given(self, labels: Int[Tensor, "batch"] | None) -> "Network":
        """The same network for these classes. None means no class, which guidance needs too."""
        return replace(self, labels=labels)

    def mixture(
        self,
        x_t: Int[Tensor, "batch latent dim"],
        t: Float[Tensor, "batch"],
        latents: Tensor | None,
    ) -> HeadMixture:
        """See `di4c.denoisers.MixtureNetwork`. Makes one network call on B L rows."""
        batch, num_latents, _ = x_t.shape
        features, head = self._call(x_t.flatten(0, 1), t.repeat_interleave(num_latents), latents)
        weights = uniform_log_weights(num_latents, x_t.device)
        features = features.unflatten(0, (batch, num_latents))
        transform = self._transform(x_t)
        return HeadMixture(features, head, weights, transform)

    def denoise(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"],
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim value"]:
        """See `di4c.denoisers.Denoiser`. Normalised in float32 or wider, and differentiable."""
        features, head = self._call(x_t, t, latent)
        logits = head_logits(head, features)[:, None]
        transform = self._transform(x_t[:, None])
        log_probs = transform.log_probs(logits)[:, 0]
        if self.process.mask_state in transform.excluded_states:
            return log_probs[..., : self.process.num_values]
        return log_probs

    def _call(
        self, x_t: Int[Tensor, "row dim"], t: Float[Tensor, "row"], latents: Tensor | None
    ) -> tuple[Float[Tensor, "row dim feature"], Head]:
        """Features and head. The head is read after the call, for which FSDP gathers weights."""
        core, labels = unwrap(self.backbone), self.labels
        if latents is not None:
            latents = latents.reshape(len(x_t), -1)
        if labels is not None:
            if len(x_t) % len(labels):
                raise ValueError(
                    f"labels must hold one class for each example; got {len(labels)} for "
                    f"{len(x_t)} rows"
                )
            labels = labels.repeat_interleave(len(x_t) // len(labels))
        features = self.backbone(x_t, core.network_time(t, self.process), labels, latents)
        head = core.head()
        if isinstance(head, LinearHead) and torch.is_autocast_enabled(x_t.device.type):
            # Under autocast the last norm returns float32. The product with the head is by far
            # the largest one, so it should run in half precision. Cast once, not in every chunk.
            dtype = torch.get_autocast_dtype(x_t.device.type)
            features, head = features.to(dtype), LinearHead(head.weight.to(dtype), head.bias)
        return features, head

    def _transform(self, x_t: Int[Tensor, "batch latent dim"]) -> LogitsTransform:
        core = unwrap(self.backbone)
        return core.transform(x_t, self.process.mask_state, self.keep_mask)


def head_logits(
    head: Head, features: Float[Tensor, "*rows feature"]
) -> Float[Tensor, "*rows state"]:
    """All logits of the features in float32 or wider, for samplers. Losses compute chunks."""
    wide = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        if not torch.is_grad_enabled():
            logits = features.new_empty((*features.shape[:-1], head.num_states), dtype=wide)
            head.logits(features.flatten(0, -2), out=logits.flatten(0, -2))
            return logits
        if isinstance(head, LinearHead):
            bias = None if head.bias is None else head.bias.to(wide)
            return nn.functional.linear(features.to(wide), head.weight.to(wide), bias)
        assert isinstance(head, FunctionHead)
        return head.function(features.to(wide), *head.parameters)


def unwrap(module: nn.Module) -> DenoiserBackbone:
    """The backbone inside wrappers such as DDP and torch.compile.

    Raises:
        ValueError: If there is none.
    """
    inner = module
    while not isinstance(inner, DenoiserBackbone):
        inner = getattr(inner, "module", getattr(inner, "_orig_mod", None))
        if not isinstance(inner, nn.Module):
            raise ValueError(
                f"backbone must be a DenoiserBackbone, or a wrapper that has one as .module; got "
                f"{type(module).__name__}"
            )
    return inner


def latent_parameters(config: DenoiserConfig) -> set[str]:
    """Names of the parameters that a student has and its teacher does not have."""
    with torch.device("meta"):
        student, teacher = (replace(config, latent=latent).build() for latent in (True, False))
    return student.state_dict().keys() - teacher.state_dict().keys()


def start_student(student: nn.Module, teacher_state: Mapping[str, Tensor]) -> None:
    """Give a student its teacher's weights. The latent's weights keep their initial values.

    Args:
        student: built from a config with latent=True.
        teacher_state: state dict of the same network with latent=False. It may also be that of a
            student, in a second round of distillation; then the latent's weights are copied too.

    Raises:
        ValueError: If the student has no latent.
        Misfit: If a parameter other than the latent's is missing, a name is left over, or a shape
            differs.
    """
    core = unwrap(student)
    if not core.config.latent:
        raise ValueError("student must be built from a config with latent=True; it has none")
    own, latent = core.state_dict(), latent_parameters(core.config)
    second_round = not latent.isdisjoint(teacher_state)
    wanted = {name: own[name] for name in own if second_round or name not in latent}
    check_fit("teacher_state does not fit the student", wanted, teacher_state)
    core.load_state_dict({**own, **teacher_state})
