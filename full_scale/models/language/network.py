"""A language model as samplers use it (a `Denoiser`) and as losses use it (a `MixtureNetwork`)."""

from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from di4c.latents import uniform_log_weights
from di4c.likelihood import Head, HeadMixture, LogitsTransform
from di4c.processes import MaskedProcess
from full_scale.models.language.latent import LatentLanguageModel
from full_scale.models.network import head_logits


@dataclass(frozen=True, eq=False)
class LanguageNetwork:
    """A language model as samplers and losses use it.

    Attributes:
        model: a `LatentLanguageModel`, or a wrapper that has one as `.module` (DDP).
        process: masked noise over its vocabulary.
        valid: which tokens of each example are no padding; None for all.
        adapted: False for the teacher in the same weights.
    """

    model: nn.Module
    process: MaskedProcess
    valid: Bool[Tensor, "batch dim"] | None = None
    adapted: bool = True

    def given(self, valid: Bool[Tensor, "batch dim"] | None) -> "LanguageNetwork":
        """The same network for rows with this padding."""
        return replace(self, valid=valid)

    def mixture(
        self,
        x_t: Int[Tensor, "batch latent dim"],
        t: Float[Tensor, "batch"],
        latents: Tensor | None,
    ) -> HeadMixture:
        """See `di4c.denoisers.MixtureNetwork`. The time is not used: masks tell it."""
        features, head = self._call(x_t.flatten(0, 1), latents)
        return HeadMixture(
            features.unflatten(0, x_t.shape[:2]),
            head,
            uniform_log_weights(x_t.shape[1], x_t.device),
            LogitsTransform.subs(x_t, self.process.mask_state),
        )

    def denoise(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"],
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim state"]:
        """See `di4c.denoisers.Denoiser`. Log-probabilities of all states, the mask included."""
        features, head = self._call(x_t, latent)
        logits = head_logits(head, features)[:, None]
        return LogitsTransform.subs(x_t, self.process.mask_state).log_probs(logits)[:, 0]

    def _call(
        self, x_t: Int[Tensor, "row dim"], latents: Tensor | None
    ) -> tuple[Float[Tensor, "row dim feature"], Head]:
        attention = self.valid
        if attention is not None:
            attention = attention.repeat_interleave(len(x_t) // len(attention), 0)
        if latents is not None:
            latents = latents.reshape(len(x_t), -1)
        features = self.model(x_t, attention, latents, self.adapted)
        core = self.model
        if not isinstance(core, LatentLanguageModel):  # DDP keeps it as its module
            core = core.module
        assert isinstance(core, LatentLanguageModel)
        return features, core.head()
