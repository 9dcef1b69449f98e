r"""The bidirectional transformer of MaskGIT-pytorch, and the Di4C student with a latent token.

Source: Besnier & Chen 2023 (after Chang et al., CVPR 2022); latent: Hayakawa et al., ICML 2025.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from di4c.likelihood import LinearHead
from full_scale.models.latent import LatentToken, append_token


@dataclass(frozen=True)
class MaskGITConfig:
    """Sizes of the transformer; the published ImageNet teacher (256 x 256 pixels) by default.

    Attributes:
        codebook_size: values of a token; the mask is one more, the last: S = codebook_size + 1.
        num_classes: labels 0..num_classes - 1; the label num_classes stands for "no class".
        num_dims: D, image tokens.
        hidden_size: width.
        num_blocks: depth.
        num_heads: of the attention; divides hidden_size.
        mlp_size: width inside the MLPs.
        dropout: inside each block and both outer MLPs.
        latent: whether the network takes a latent: a student.
    """

    codebook_size: int = 1024
    num_classes: int = 1000
    num_dims: int = 256
    hidden_size: int = 768
    num_blocks: int = 24
    num_heads: int = 16
    mlp_size: int = 3072
    dropout: float = 0.1
    latent: bool = False

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"num_heads must divide hidden_size = {self.hidden_size}; got {self.num_heads}"
            )

    @property
    def num_states(self) -> int:
        """S, the mask included."""
        return self.codebook_size + 1

    def build(self) -> "MaskGIT":
        """The network, with random weights."""
        return MaskGIT(self)


class MaskGIT(nn.Module):
    """Tokens and a class (and a latent) to features of each token.

    The network is not told the time: how many tokens are masked says it.

    Args:
        config: sizes.
    """

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config = config
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
        self.latent_token = LatentToken(width) if config.latent else None
        nn.init.trunc_normal_(self.position, std=0.02)
        nn.init.trunc_normal_(self.token.weight, std=0.02)

    def forward(
        self,
        x_t: Int[Tensor, "batch dim"],
        labels: Int[Tensor, "batch"] | None = None,
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim feature"]:
        """The features of the head: those of each token, then a one for its position.

        Args:
            x_t: tokens, row by row; the mask is codebook_size.
            labels: classes; num_classes, or None in place of all, for "no class".
            latent: scalar latents, one a row, for a student; None appends no token.

        Raises:
            ValueError: If there are not num_dims tokens, or there is a latent where the network
                has none.
        """
        config = self.config
        if x_t.shape[1] != config.num_dims:
            raise ValueError(f"x_t must have {config.num_dims} tokens; got {x_t.shape[1]}")
        if labels is None:
            labels = torch.full_like(x_t[:, 0], config.num_classes)
        tokens = torch.cat([x_t, labels[:, None] + config.codebook_size + 1], 1)
        h = self.token(tokens) + self.position
        h = self.input(append_token(h, self.latent_token, latent))
        for block in self.blocks:
            h = block(h)
        h = self.output(h[:, : config.num_dims])
        places = torch.eye(config.num_dims, dtype=h.dtype, device=h.device)
        return torch.cat([h, places.expand(len(h), -1, -1)], -1)

    def head(self) -> LinearHead:
        """From features to the logits of all states, the mask included.

        The bias depends on the position, which the last num_dims features single out: a bias for
        each position is a linear map of them, and any chunk of positions can be taken by itself.
        """
        num_dims, num_states = self.config.num_dims, self.config.num_states
        bias = self.bias[:num_dims, :num_states].T
        return LinearHead(torch.cat([self.token.weight[:num_states], bias], 1))


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
        mixed = scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.output(mixed.transpose(1, 2).flatten(2))
