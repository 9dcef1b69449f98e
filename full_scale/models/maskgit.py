r"""The bidirectional transformer of MaskGIT-pytorch, and the Di4C student with a latent token.

Sources: Besnier & Chen 2023 (after Chang et al., CVPR 2022); for the latent: Hayakawa et al., ICML
2025.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from di4c.likelihood import LinearHead, LogitsTransform
from di4c.schedules import uniform_grid
from full_scale.models.attention import attention
from full_scale.models.base import DenoiserBackbone, DenoiserConfig, Depth, Preset, Share, Width
from full_scale.models.latent import (
    Fade,
    LatentPositions,
    LatentToken,
    append_token,
    check_fade,
    check_latent,
)
from full_scale.models.processes import MaskedProcessConfig


@dataclass(frozen=True)
class MaskGITConfig(DenoiserConfig):
    """Sizes of the transformer. The defaults are those of the ImageNet teacher (256 x 256 pixels).

    Attributes:
        codebook_size: number of values of a token. The mask is the state after them, so
            S = codebook_size + 1.
        num_classes: labels are 0..num_classes - 1; the label num_classes means "no class".
        num_dims: D, number of image tokens.
        hidden_size: width.
        num_blocks: depth.
        num_heads: of the attention; divides hidden_size.
        mlp_size: width inside the MLPs.
        dropout: dropout rate inside each block and both outer MLPs.
        latent: whether the network takes a latent, i.e. is a student.
        subs: whether the mask is always excluded and unmasked tokens are kept, as in the
            transformer of MDLM. The published networks predict all tokens, and the mask too.
        code_book: code book of the repository that turns the codes into pictures; None for codes of
            a VQGAN.
        latent_map: whether a student's latent also has an embedding of its own for each position
            (`LatentPositions`). The published networks have none.
        latent_fade: how that embedding fades as fewer tokens are masked, the p of
            `LatentPositions`. With a fade the latent has no token, which would not fade.
    """

    kind = "maskgit"
    name = "MaskGIT"
    samplers = ("confidence", "ancestral")
    last_step = "sample"

    codebook_size: Width = 1024
    num_classes: Width = 1000  # pyright: ignore[reportIncompatibleVariableOverride]
    num_dims: Width = 256
    hidden_size: Width = 768
    num_blocks: Depth = 24
    num_heads: Width = 16
    mlp_size: Width = 3072
    dropout: Share = 0.1
    latent: bool = False
    subs: bool = False
    code_book: Literal["mnist-tokens"] | None = None
    latent_map: bool = False
    latent_fade: Fade = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fade(self.latent_fade, self.latent_map)
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"num_heads must divide hidden_size = {self.hidden_size}; got {self.num_heads}"
            )

    @property
    def num_states(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """S, including the mask."""
        return self.codebook_size + 1

    def build(self) -> "MaskGIT":
        """The network, with random weights."""
        return MaskGIT(self)

    def default_process(self) -> MaskedProcessConfig:
        """Masking with MaskGIT's arccos schedule."""
        return MaskedProcessConfig(self.codebook_size, "arccos")

    def content(self) -> dict[str, Any]:
        """Samples are codes of a VQGAN or of a code book of the repository."""
        book = {} if self.code_book is None else {"code_book": self.code_book}
        return {"kind": "codes"} | book

    def time_grid(self, steps: int, horizon: float) -> Float[Tensor, "time"]:
        """Times of n calls on the uniform grid, for the ancestral sampler.

        The confidence sampler makes n calls too, and n more with guidance.
        """
        return uniform_grid(steps, horizon)


class MaskGIT(DenoiserBackbone):
    """From tokens, a class and a latent to features of each token.

    The network gets no time, because the number of masked tokens determines it.

    Args:
        config: sizes.
    """

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config: MaskGITConfig = config  # pyright: ignore[reportIncompatibleVariableOverride]
        width = config.hidden_size
        num_embeddings = config.codebook_size + 1 + config.num_classes + 1
        self.position = nn.Parameter(torch.empty(1, config.num_dims + 1, width))
        self.bias = nn.Parameter(torch.zeros(config.num_dims + 1, num_embeddings))
        self.token = nn.Embedding(num_embeddings, width)
        self.input = nn.Sequential(
            nn.LayerNorm(width, eps=1e-12),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width, eps=1e-12),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
        )
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_blocks))
        self.output = nn.Sequential(
            nn.LayerNorm(width, eps=1e-12),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width, eps=1e-12),
        )
        has_token = config.latent and not config.latent_fade
        self.latent_token = LatentToken(width) if has_token else None
        self.latent_map = None
        if config.latent and config.latent_map:
            self.latent_map = LatentPositions(config.num_dims, width, config.latent_fade)
        nn.init.trunc_normal_(self.position, std=0.02)
        nn.init.trunc_normal_(self.token.weight, std=0.02)

    def forward(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"] | None = None,
        labels: Int[Tensor, "batch"] | None = None,
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim feature"]:
        """The features of the head: those of each token, then its position as a one-hot vector.

        Args:
            x_t: tokens, row by row; the mask is codebook_size.
            t: ignored.
            labels: classes; the class num_classes means "no class". None means no class for all.
            latent: scalar latents, one for each row; for a student. None appends no token.

        Raises:
            ValueError: If there are not num_dims tokens, or if a teacher is given a latent.
        """
        config = self.config
        check_latent(config.latent, latent)
        if x_t.shape[1] != config.num_dims:
            raise ValueError(f"x_t must have {config.num_dims} tokens; got {x_t.shape[1]}")
        if labels is None:
            labels = torch.full_like(x_t[:, 0], config.num_classes)
        tokens = torch.cat([x_t, labels[:, None] + config.codebook_size + 1], 1)
        h = self.token(tokens) + self.position
        h = self.input(append_token(h, self.latent_token, latent))
        if self.latent_map is not None and latent is not None:  # the class gets none
            given = self.latent_map(latent, x_t == config.codebook_size)
            h = h + pad(given, (0, 0, 0, h.shape[1] - config.num_dims))
        for block in self.blocks:
            h = block(h)
        h = self.output(h[:, : config.num_dims])
        places = torch.eye(config.num_dims, dtype=h.dtype, device=h.device)
        return torch.cat([h, places.expand(len(h), -1, -1)], -1)

    def head(self) -> LinearHead:
        """The map from features to the logits of all states, including the mask.

        Each position has its own bias. The last num_dims features are the position as a one-hot
        vector, so the bias is a linear map of them. Any chunk of positions can be used by itself.
        """
        num_dims, num_states = self.config.num_dims, self.config.num_states
        bias = self.bias[:num_dims, :num_states].T
        return LinearHead(torch.cat([self.token.weight[:num_states], bias], 1))

    def transform(
        self, x_t: Int[Tensor, "batch latent dim"], mask_state: int | None, keep_mask: bool
    ) -> LogitsTransform:
        """See `DenoiserBackbone.transform`. With `subs`, `keep_mask` has no effect."""
        if not self.config.subs:
            return super().transform(x_t, mask_state, keep_mask)
        assert mask_state is not None
        return LogitsTransform.subs(x_t, mask_state)


class _Block(nn.Module):
    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm_0 = nn.LayerNorm(width)
        self.attention = _Attention(config)
        self.norm_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, config.mlp_size),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.mlp_size, width),
            nn.Dropout(config.dropout),
        )

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attention(self.norm_0(h))
        return h + self.mlp(self.norm_1(h))


class _Attention(nn.Module):
    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.num_heads, self.dropout = config.num_heads, config.dropout
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, h: Tensor) -> Tensor:
        query, key, value = (  # each (B, head, token, feature)
            self.qkv(h).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = attention(query, key, value, dropout)
        return self.output(mixed.transpose(1, 2).flatten(2))


PRESETS = {
    "maskgit-imagenet": Preset(
        "MaskGIT on ImageNet tokens, 256 x 256 pixels",
        MaskGITConfig(),
        MaskedProcessConfig(1024, "arccos"),
        experiment="imagenet",
        guidance=6.0,  # at 4 steps
    ),
    "mnist-tokens": Preset(
        "small MaskGIT on codes of handwritten digits, 28 x 28 pixels",
        MaskGITConfig(
            codebook_size=128,
            num_classes=10,
            num_dims=49,
            hidden_size=128,
            num_blocks=4,
            num_heads=4,
            mlp_size=512,
            dropout=0.0,
            subs=True,
            code_book="mnist-tokens",
            latent_map=True,
        ),
        MaskedProcessConfig(128, "arccos"),
        experiment="mnist-tokens",
    ),
}
