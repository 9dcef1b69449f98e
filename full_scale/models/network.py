r"""A backbone as samplers and losses want it: as a `Denoiser`, and as a `MixtureNetwork`.

    network = Network(config.build(), process)
    network.mixture    for losses: (x_t (B, L, D), t (B,), latents (B, L) or None) -> HeadMixture
    network.denoise    for samplers: (x_t (B, D), t (B,), latent (B,) or None) -> log-probabilities

Losses go through a `HeadMixture`: features and a head, never (B, L, D, S) numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.denoisers import noise_level
from di4c.latents import uniform_log_weights
from di4c.likelihood import FunctionHead, Head, HeadMixture, LinearHead, LogitsTransform
from di4c.processes import ForwardProcess, MaskedProcess
from full_scale.fit import check_fit
from full_scale.models import DenoiserBackbone, DenoiserConfig, DiT, MaskGIT, UNet


@dataclass(frozen=True, eq=False)
class Network:
    """A backbone with everything else that its outputs depend on.

    Attributes:
        backbone: a `UNet`, `MaskGIT` or `DiT`, or a wrapper that has it as `.module` (DDP).
        process: the noise that it was made for.
        labels: class of each example, for MaskGIT; None for "no class".
        keep_mask: for MaskGIT, whether the mask keeps its share of the softmax. Published models
            do; their confidence sampler leaves a position masked where it is drawn. Samplers that
            reveal by time want False.

    Raises:
        ValueError: If process and backbone do not fit.
    """

    backbone: nn.Module
    process: ForwardProcess
    labels: Int[Tensor, "batch"] | None = None
    keep_mask: bool = True

    def __post_init__(self) -> None:
        """Check what arrived."""
        core = unwrap(self.backbone)
        if core.config.num_states != self.process.num_states:
            raise ValueError(
                f"process has {self.process.num_states} states and the backbone "
                f"{core.config.num_states}: build the process at the network's size"
            )
        if isinstance(core, UNet) == isinstance(self.process, MaskedProcess):
            raise ValueError(
                f"process must {'not ' if isinstance(core, UNet) else ''}be masked for a "
                f"{type(core).__name__}; got {type(self.process).__name__}"
            )

    def given(self, labels: Int[Tensor, "batch"] | None) -> "Network":
        """The same network for these classes (or for no class: the branch guidance needs)."""
        return replace(self, labels=labels)

    def mixture(
        self,
        x_t: Int[Tensor, "batch latent dim"],
        t: Float[Tensor, "batch"],
        latents: Tensor | None,
    ) -> HeadMixture:
        """See di4c.objective.MixtureNetwork: one network call on B L rows."""
        batch, num_latents, _ = x_t.shape
        features, head = self._call(x_t.flatten(0, 1), t.repeat_interleave(num_latents), latents)
        weights = uniform_log_weights(num_latents, x_t.device)
        features = features.unflatten(0, (batch, num_latents))
        return HeadMixture(features, head, weights, self._transform(x_t))

    def denoise(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"],
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim value"]:
        """See di4c.denoisers.Denoiser; normalised in float32 or wider, differentiable."""
        features, head = self._call(x_t, t, latent)
        logits = head_logits(head, features)[:, None]
        log_probs = self._transform(x_t[:, None]).log_probs(logits)[:, 0]
        if self._excludes_mask:
            return log_probs[..., : self.process.num_values]
        return log_probs

    def _call(
        self, x_t: Int[Tensor, "row dim"], t: Float[Tensor, "row"], latents: Tensor | None
    ) -> tuple[Float[Tensor, "row dim feature"], Head]:
        """Features and head, the latter read after the call (FSDP gathers weights for it)."""
        core = unwrap(self.backbone)
        if latents is not None:
            latents = latents.reshape(len(x_t), -1)
        if isinstance(core, MaskGIT):
            labels = self.labels
            if labels is not None:
                if len(x_t) % len(labels):
                    raise ValueError(
                        f"labels must hold one class an example; got {len(labels)} for "
                        f"{len(x_t)} rows"
                    )
                labels = labels.repeat_interleave(len(x_t) // len(labels))
            features = self.backbone(x_t, labels, latents)
        elif isinstance(core, DiT):
            features = self.backbone(x_t, self._noise(t, core), latents)
        else:
            features = self.backbone(x_t, t, latents)
        head = core.head()
        if isinstance(head, LinearHead) and torch.is_autocast_enabled(x_t.device.type):
            # The last norm is float32 under autocast. The product, by far the largest one, is to
            # run in half precision; one cast here instead of one in every chunk.
            dtype = torch.get_autocast_dtype(x_t.device.type)
            features, head = features.to(dtype), LinearHead(head.weight.to(dtype), head.bias)
        return features, head

    def _noise(self, t: Float[Tensor, "row"], core: DiT) -> Float[Tensor, "row"]:
        if not core.config.time_conditioning:
            return torch.zeros_like(t)
        assert isinstance(self.process, MaskedProcess)
        return noise_level(self.process.schedule, t)

    def _transform(self, x_t: Int[Tensor, "batch latent dim"]) -> LogitsTransform:
        mask_state = self.process.mask_state
        if mask_state is None:
            return LogitsTransform()
        if isinstance(unwrap(self.backbone), DiT):
            return LogitsTransform.subs(x_t, mask_state)
        return LogitsTransform(excluded_states=(mask_state,) if self._excludes_mask else ())

    @property
    def _excludes_mask(self) -> bool:
        if self.process.mask_state is None:
            return False
        return isinstance(unwrap(self.backbone), DiT) or not self.keep_mask


def head_logits(
    head: Head, features: Float[Tensor, "*rows feature"]
) -> Float[Tensor, "*rows state"]:
    """All logits of the features in float32 or wider: for samplers; losses take them in chunks."""
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
                f"backbone must be a UNet, MaskGIT or DiT, or a wrapper that has one as .module; "
                f"got {type(module).__name__}"
            )
    return inner


def latent_parameters(config: DenoiserConfig) -> set[str]:
    """Names of what a student has and its teacher has not."""
    with torch.device("meta"):
        student, teacher = (replace(config, latent=latent).build() for latent in (True, False))
    return student.state_dict().keys() - teacher.state_dict().keys()


def start_student(student: nn.Module, teacher_state: Mapping[str, Tensor]) -> None:
    """Give a student its teacher's weights; those of the latent keep their initial values.

    Args:
        student: built from a config with latent=True.
        teacher_state: state dict of the same network with latent=False, or of a student: then the
            latent's weights are copied as well (a second round of distillation).

    Raises:
        ValueError: If the student has no latent.
        Misfit: If anything else than the latent's parameters is missing, anything is left over, or
            a shape differs.
    """
    core = unwrap(student)
    if not core.config.latent:
        raise ValueError("student must be built from a config with latent=True; it has none")
    own, latent = core.state_dict(), latent_parameters(core.config)
    second_round = not latent.isdisjoint(teacher_state)
    wanted = {name: own[name] for name in own if second_round or name not in latent}
    check_fit("teacher_state does not fit the student", wanted, teacher_state)
    core.load_state_dict({**own, **teacher_state})
