r"""The diffusion transformer of MDLM and SDTT on text, and the Di4C student with a latent token.

Sources: Sahoo et al., NeurIPS 2024, and Deschenaux & Gulcehre, ICLR 2025 (after DiT, Peebles & Xie,
ICCV 2023); for the latent: Hayakawa et al., ICML 2025.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, silu

from di4c.denoisers import noise_level
from di4c.likelihood import LinearHead, LogitsTransform
from di4c.processes import ForwardProcess, MaskedProcess
from di4c.sampling_loop import call_grid
from full_scale.data.words import ALPHABET as WORD_ALPHABET
from full_scale.models.attention import attention
from full_scale.models.base import DenoiserBackbone, DenoiserConfig, Depth, Preset, Share, Width
from full_scale.models.latent import (
    Fade,
    LatentPositions,
    LatentToken,
    append_token,
    check_fade,
    check_latent,
    sinusoidal_features,
)
from full_scale.models.processes import MaskedProcessConfig
from full_scale.models.rotary import rotary_table, rotate

FIRST_TOKEN_TIME = 1e-5
"""The samplers of MDLM and SDTT step down to this time."""


@dataclass(frozen=True)
class DiTConfig(DenoiserConfig):
    """Sizes of the transformer. The defaults are those of the published OpenWebText teacher.

    Attributes:
        num_states: S, including the mask, which is the last state.
        num_dims: D, tokens of a text. The network itself takes texts of any length.
        hidden_size: width.
        condition_size: width of the noise level's embedding.
        num_blocks: depth.
        num_heads: of the attention; hidden_size / num_heads must be even.
        mlp_ratio: width inside the MLPs divided by hidden_size.
        noise_features: number of sinusoids of the noise level; even.
        time_conditioning: whether the network gets the noise level. The published networks get
            zeros instead.
        dropout: dropout rate after the attention and the MLP of each block.
        latent: whether the network takes a latent, i.e. is a student.
        alphabet: the character of each value, where tokens are letters; None for tokens of a
            tokenizer.
        learned_positions: whether the network also gets the absolute position of each token. The
            published networks only get relative ones, with which all masked positions of an empty
            text are alike.
        latent_map: whether a student's latent also has an embedding of its own for each position
            (`LatentPositions`). The published networks have none.
        latent_fade: how that embedding fades as fewer tokens are masked, the p of
            `LatentPositions`. With a fade the latent has no token, which would not fade.
    """

    kind = "dit"
    name = "DiT"

    num_states: Width = 50258
    num_dims: Width = 1024
    hidden_size: Width = 768
    condition_size: Width = 128
    num_blocks: Depth = 12
    num_heads: Width = 12
    mlp_ratio: Depth = 4
    noise_features: Width = 256
    time_conditioning: bool = False
    dropout: Share = 0.1
    latent: bool = False
    alphabet: str | None = None
    learned_positions: bool = False
    latent_map: bool = False
    latent_fade: Fade = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fade(self.latent_fade, self.latent_map)
        if self.noise_features < 2 or self.noise_features % 2:
            raise ValueError(f"noise_features must be even, at least 2; got {self.noise_features}")
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"num_heads must divide hidden_size = {self.hidden_size} into even heads, for "
                f"rotary positions; got {self.num_heads}"
            )
        if self.alphabet is not None and len(self.alphabet) != self.num_states - 1:
            raise ValueError(
                f"alphabet must have {self.num_states - 1} characters, one for each value; got "
                f"{len(self.alphabet)}"
            )

    def build(self) -> "DiT":
        """The network, with random weights."""
        return DiT(self)

    def default_process(self) -> MaskedProcessConfig:
        """Masking with the log-linear schedule of MDLM and SDTT."""
        return MaskedProcessConfig(self.num_states - 1, "log-linear")

    def content(self) -> dict[str, Any]:
        """Samples are tokens of a text, or letters."""
        letters = {} if self.alphabet is None else {"alphabet": self.alphabet}
        return {"kind": "text"} | letters

    def time_grid(self, steps: int, horizon: float) -> Float[Tensor, "time"]:
        """Times of n transitions from the horizon to 1e-5, then of an argmax (MDLM, SDTT).

        The argmax takes one more call if a mask is left.
        """
        return call_grid(steps + 1, FIRST_TOKEN_TIME, horizon)


class DiT(DenoiserBackbone):
    """From tokens, a noise level and a latent to features of each token.

    Args:
        config: sizes.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config: DiTConfig = config  # pyright: ignore[reportIncompatibleVariableOverride]
        width, condition = config.hidden_size, config.condition_size
        self.token = nn.Parameter(torch.empty(config.num_states, width))
        self.noise_mlp = nn.Sequential(
            nn.Linear(config.noise_features, condition),
            nn.SiLU(),
            nn.Linear(condition, condition),
        )
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_blocks))
        self.output_norm = _Norm(width)
        self.output = nn.Linear(width, config.num_states)
        self.output_modulation = nn.Linear(condition, 2 * width)
        has_token = config.latent and not config.latent_fade
        self.latent_token = LatentToken(width) if has_token else None
        self.latent_map = None
        if config.latent and config.latent_map:
            self.latent_map = LatentPositions(config.num_dims, width, config.latent_fade)
        self.position = None
        if config.learned_positions:
            self.position = nn.Parameter(torch.empty(config.num_dims, width))
            nn.init.kaiming_uniform_(self.position, a=5**0.5)
        nn.init.kaiming_uniform_(self.token, a=5**0.5)
        # As in DiT, each block starts as the identity and the output as the uniform law.
        for layer in (self.output, self.output_modulation):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"] | None = None,
        labels: Int[Tensor, "batch"] | None = None,
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim feature"]:
        r"""The features of the head, for texts of any length.

        Args:
            x_t: tokens; the mask is num_states - 1.
            t: noise levels $-\log\alpha_t$ (`di4c.denoisers.noise_level`); zeros for the published
                networks.
            labels: ignored.
            latent: scalar latents, one for each row; for a student. None appends no token.

        Raises:
            ValueError: If there are no noise levels, or if a teacher is given a latent.
        """
        check_latent(self.config.latent, latent)
        if t is None:
            raise ValueError("t must be given to a DiT (its noise levels); got None")
        noise = sinusoidal_features(t, self.config.noise_features, cosines_first=True)
        condition = silu(self.noise_mlp(noise.to(self.token.dtype)))
        num_dims = x_t.shape[1]
        h = self.token[x_t]
        if self.position is not None:
            h = h + self.position[:num_dims]
        if self.latent_map is not None and latent is not None:
            h = h + self.latent_map(latent, x_t == self.config.num_states - 1)[:, :num_dims]
        h = append_token(h, self.latent_token, latent)
        head_size = self.config.hidden_size // self.config.num_heads
        table = rotary_table(num_dims, h.shape[1], head_size, h)
        for block in self.blocks:
            h = block(h, condition, table)
        shift, scale = self.output_modulation(condition)[:, None].chunk(2, -1)
        return self.output_norm(h[:, :num_dims], shift, scale)

    def head(self) -> LinearHead:
        """The map from features to the logits of all states, including the mask."""
        return LinearHead(self.output.weight, self.output.bias)

    def network_time(
        self, t: Float[Tensor, "row"], process: ForwardProcess
    ) -> Float[Tensor, "row"]:
        r"""The noise level $-\log\alpha_t$, or zeros without time conditioning."""
        if not self.config.time_conditioning:
            return torch.zeros_like(t)
        assert isinstance(process, MaskedProcess)
        return noise_level(process.schedule, t)

    def transform(
        self, x_t: Int[Tensor, "batch latent dim"], mask_state: int | None, keep_mask: bool
    ) -> LogitsTransform:
        """The mask is always excluded, and unmasked tokens are kept (SUBS)."""
        assert mask_state is not None
        return LogitsTransform.subs(x_t, mask_state)


class _Norm(nn.Module):
    """Layer norm with a weight and without bias, then scale and shift given by the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return layer_norm(h, h.shape[-1:], self.weight) * (1 + scale) + shift


class _Block(nn.Module):
    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_heads
        self.norm_0 = _Norm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_output = nn.Linear(width, width, bias=False)
        self.norm_1 = _Norm(width)
        self.mlp_input = nn.Linear(width, config.mlp_ratio * width)
        self.mlp_output = nn.Linear(config.mlp_ratio * width, width)
        self.modulation = nn.Linear(config.condition_size, 6 * width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, condition: Tensor, table: Tensor) -> Tensor:
        modulation = self.modulation(condition)[:, None].chunk(6, -1)
        shift_0, scale_0, gate_0, shift_1, scale_1, gate_1 = modulation
        mixed = self._attention(self.norm_0(h, shift_0, scale_0), table)
        h = h + gate_0 * self.dropout(mixed)
        mixed = self.mlp_output(
            gelu(self.mlp_input(self.norm_1(h, shift_1, scale_1)), approximate="tanh")
        )
        return h + gate_1 * self.dropout(mixed)

    def _attention(self, h: Tensor, table: Tensor) -> Tensor:
        qkv = self.qkv(h).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key = rotate(qkv[:2], table)  # (2, B, head, token, feature)
        mixed = attention(query, key, qkv[2])
        return self.attention_output(mixed.transpose(1, 2).flatten(2))


PRESETS = {
    "sdtt-owt": Preset(
        "MDLM and SDTT on OpenWebText, GPT-2 tokens",
        DiTConfig(),
        MaskedProcessConfig(50257, "log-linear"),
        experiment="openwebtext",
    ),
    "words": Preset(
        "small DiT on English words of at most 10 letters",
        DiTConfig(
            num_states=28,
            num_dims=10,
            hidden_size=128,
            condition_size=16,
            num_blocks=4,
            num_heads=4,
            noise_features=16,
            dropout=0.0,
            alphabet=WORD_ALPHABET,
            learned_positions=True,
            latent_map=True,
        ),
        MaskedProcessConfig(27, "linear"),
        experiment="words",
    ),
}
