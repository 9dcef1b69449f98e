r"""The embedding of the latent $\lambda$ and of times: sinusoids, then a small MLP.

There are two published ways to give a latent to a network. The U-Net mixes its features with those
of the time (`unet.py`). The transformers append it to the sequence as one more token
(`LatentToken`). Ours is an embedding of its own for each position (`LatentPositions`), beside the
token or in place of it.
"""

import math
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from reporting.typed import Within

LATENT_SCALE = 1000.0
"""The latent lies in [0, 1). It is multiplied by this number before its sinusoids, like a time.

The U-Net's configuration may set another scale for both.
"""

Fade = Annotated[float, Within(0, 16)]
"""A power of the share of masked tokens."""

LATENT_FEATURES = 128
_LATENT_WIDTH = 512


def sinusoidal_features(
    values: Float[Tensor, "batch"], num_features: int, *, cosines_first: bool = False
) -> Float[Tensor, "batch feature"]:
    r"""$\sin(v f_i), \cos(v f_i)$ with $f_i = 10000^{-i / (n - 1)}$, i = 0..n-1, n = features / 2.

    Args:
        values: scaled values. They keep their precision, because at 1000 rad half precision gives
            noise.
        num_features: number of features; even.
        cosines_first: use the convention of DiT: cosines, then sines, with $f_i = 10000^{-i / n}$.

    Returns:
        float32, or float64 for float64 values.
    """
    half = num_features // 2
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    index = torch.arange(half, dtype=values.dtype, device=values.device)
    last = half if cosines_first else half - 1
    angles = values[:, None] * torch.exp(index * (-math.log(10000) / last))
    waves = (angles.cos(), angles.sin()) if cosines_first else (angles.sin(), angles.cos())
    return torch.cat(waves, -1)


def latent_features(
    latent: Tensor, num_features: int, scale: float = LATENT_SCALE
) -> Float[Tensor, "batch feature"]:
    """Sinusoidal features of a scalar latent, (B,) or (B, 1).

    Args:
        latent: latents in [0, 1).
        num_features: number of features; even.
        scale: factor of the latent.

    Raises:
        ValueError: If there is more than one number for each row.
    """
    if latent.ndim not in (1, 2) or latent[:1].numel() != len(latent[:1]):
        raise ValueError(
            f"latent must be one number for each row, (batch,) or (batch, 1); got "
            f"{tuple(latent.shape)}: these backbones take a scalar latent (UniformLatent())"
        )
    return sinusoidal_features(latent.flatten() * scale, num_features)


class LatentToken(nn.Module):
    """The latent as one more token of a sequence, without a position: an MLP of 128-512-width.

    The transformer attends to this token from the first training step on. A student that starts
    from a teacher's weights therefore equals the teacher only without a latent (`latent=None`
    appends nothing). With a latent its outputs differ a little, for each latent in another way.

    Args:
        width: width of the transformer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(LATENT_FEATURES, _LATENT_WIDTH)
        self.output = nn.Linear(_LATENT_WIDTH, width)

    def forward(self, latent: Tensor) -> Float[Tensor, "batch 1 width"]:
        """The token of each latent."""
        features = latent_features(latent, LATENT_FEATURES).to(self.input.weight.dtype)
        return self.output(nn.functional.gelu(self.input(features)))[:, None]


class LatentPositions(nn.Module):
    """An embedding of the latent for each position: an MLP of 128-512-(positions times width).

    It starts at zero. A token must be read by attention before it changes a position. This
    embedding reaches each position directly, so a student learns its components in fewer steps.

    A share m of the positions is masked. With a fade p > 0 the embedding is multiplied by m^p. The
    fewer positions are masked, the less is left for a latent to say, and the nearer the student
    then stays to the teacher whose weights it started from.

    Args:
        num_dims: positions of the sequence.
        width: width of the transformer.
        fade: p.
    """

    def __init__(self, num_dims: int, width: int, fade: float = 0.0) -> None:
        super().__init__()
        self.num_dims, self.fade = num_dims, fade
        self.input = nn.Linear(LATENT_FEATURES, _LATENT_WIDTH)
        self.output = nn.Linear(_LATENT_WIDTH, num_dims * width)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(
        self, latent: Tensor, masked: Bool[Tensor, "batch position"]
    ) -> Float[Tensor, "batch position width"]:
        """What is added to the embedding of each position."""
        features = latent_features(latent, LATENT_FEATURES).to(self.input.weight.dtype)
        hidden = nn.functional.gelu(self.input(features))
        embedding = self.output(hidden).unflatten(1, (self.num_dims, -1))
        if not self.fade:
            return embedding
        return embedding * masked.to(embedding.dtype).mean(1)[:, None, None] ** self.fade


def append_token(
    sequence: Float[Tensor, "batch position width"], module: nn.Module | None, latent: Tensor | None
) -> Float[Tensor, "batch token width"]:
    """The sequence with the latent's token at its end. Without a latent or a token, unchanged."""
    if latent is None or module is None:
        return sequence
    return torch.cat([sequence, module(latent).to(sequence.dtype)], 1)


def check_latent(is_student: bool, latent: Tensor | None) -> None:
    """Check that a teacher is given no latent.

    Raises:
        ValueError: If it is.
    """
    if latent is not None and not is_student:
        raise ValueError(
            "latent must be None for a network that was built without one; build it from a config "
            "with latent=True"
        )


def check_fade(fade: float, latent_map: bool) -> None:
    """Check that there is an embedding to fade.

    Raises:
        ValueError: If there is none.
    """
    if fade and not latent_map:
        raise ValueError(f"latent_fade must be 0 without a latent_map; got {fade}")
