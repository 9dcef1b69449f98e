"""What the U-Net is made of: maps between feature maps, each given both embeddings."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu

Map = Float[Tensor, "batch width y x"]
Embedding = Float[Tensor, "batch embedding"]


class EmbeddingMLP(nn.Module):
    """Sinusoidal features to an embedding that every block reads through a linear map."""

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.input = nn.Linear(features, embedding)
        self.output = nn.Linear(embedding, embedding)

    def forward(self, features: Float[Tensor, "batch feature"]) -> Embedding:
        """The embedding."""
        return silu(self.output(silu(self.input(features))))


class ResBlock(nn.Module):
    """Two convolutions; the embeddings are added between them, the latent's through `latent`.

    Args:
        in_width: channels of the input.
        out_width: channels of the output.
        embedding: size of the embeddings.
        latent: whether there is one of a latent.
        dropout: before the second convolution.
        scale: factor of the sum with the input.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        embedding: int,
        *,
        latent: bool,
        dropout: float,
        scale: float,
    ) -> None:
        super().__init__()
        self.norm_0 = group_norm(in_width)
        self.conv_0 = nn.Conv2d(in_width, out_width, 3, padding=1)
        self.time = nn.Linear(embedding, out_width)
        self.latent = nn.Linear(embedding, out_width) if latent else None
        self.norm_1 = group_norm(out_width)
        self.dropout = nn.Dropout(dropout)
        self.conv_1 = nn.Conv2d(out_width, out_width, 3, padding=1)
        self.shortcut = nn.Linear(in_width, out_width) if in_width != out_width else None
        self.scale = scale

    def forward(self, x: Map, time: Embedding, latent: Embedding | None) -> Map:
        """The map after the block."""
        added = self.time(time)
        if self.latent is not None and latent is not None:
            added = added + self.latent(latent)  # here it costs nothing, on the map it would
        h = self.conv_0(silu(self.norm_0(x))) + added[:, :, None, None]
        h = self.conv_1(self.dropout(silu(self.norm_1(h))))
        if self.shortcut is not None:
            x = self.shortcut(x.movedim(1, -1)).movedim(-1, 1)
        return (x + h) * self.scale


class Attention(nn.Module):
    """Single-head self-attention over pixels.

    Args:
        width: channels.
        scale: factor of the sum with the input.
    """

    def __init__(self, width: int, *, scale: float) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.scale = scale

    def forward(self, x: Map, time: Embedding, latent: Embedding | None) -> Map:
        """The map after the block; the embeddings are ignored."""
        pixels = self.norm(x).flatten(2).mT  # (B, pixel, width)
        h = scaled_dot_product_attention(self.query(pixels), self.key(pixels), self.value(pixels))
        return (x + self.output(h).mT.reshape_as(x)) * self.scale


class Downsample(nn.Module):
    """Half the height and width: a strided convolution, padded on the right and below only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Map, time: Embedding, latent: Embedding | None) -> Map:
        """The smaller map; the embeddings are ignored."""
        return self.conv(pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the height and width: nearest neighbours, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Map, time: Embedding, latent: Embedding | None) -> Map:
        """The larger map; the embeddings are ignored."""
        return self.conv(interpolate(x, scale_factor=2))


def group_norm(width: int) -> nn.GroupNorm:
    """Groups of at least four channels, at most 32 of them."""
    return nn.GroupNorm(min(width // 4, 32), width, eps=1e-6)
