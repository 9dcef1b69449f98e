"""The blocks of the U-Net. Each takes a feature map and the embeddings of time and latent."""

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu

Map = Float[Tensor, "batch width y x"]
Embedding = Float[Tensor, "batch embedding"]


class EmbeddingMLP(nn.Module):
    """Maps sinusoidal features to an embedding, which every block reads through a linear map."""

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.input = nn.Linear(features, embedding)
        self.output = nn.Linear(embedding, embedding)

    def forward(self, features: Float[Tensor, "batch feature"]) -> Embedding:
        """The embedding."""
        return silu(self.output(silu(self.input(features))))


class LatentMap(nn.Module):
    """Maps of the latent, which differ from pixel to pixel. All of them start at zero.

    Args:
        embedding: size of the latent's embeddings.
        image: channels, height and width of the image.
        base_width: channels of the output of the input convolution.
        widths: channels of the feature maps at each scale; each scale halves height and width.
    """

    def __init__(
        self, embedding: int, image: tuple[int, int, int], base_width: int, widths: list[int]
    ) -> None:
        super().__init__()
        channels, height, width = self.image = image
        factor = 2 ** (len(widths) - 1)
        self.smallest = (widths[-1], height // factor, width // factor)
        self.to_image = nn.Linear(embedding, math.prod(self.image))
        self.convolution = nn.Conv2d(channels, base_width, 3, padding=1, bias=False)
        self.to_smallest = nn.Linear(embedding, math.prod(self.smallest))

    def at_input(self, latent: Embedding) -> Map:
        """What is added to the output of the input convolution: an image, convolved."""
        return self.convolution(self.to_image(latent).unflatten(1, self.image))

    def at_middle(self, latent: Embedding) -> Map:
        """What is added to the smallest map."""
        return self.to_smallest(latent).unflatten(1, self.smallest)


class ResBlock(nn.Module):
    """Two convolutions. The embeddings of the time and of the latent are added between them.

    Args:
        in_width: channels of the input.
        out_width: channels of the output.
        embedding: size of the embeddings.
        latent: whether there is an embedding of a latent.
        dropout: dropout rate before the second convolution.
        scale: factor of the sum of input and output.
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
            added = added + self.latent(latent)  # cheaper than adding to the map
        h = self.conv_0(silu(self.norm_0(x))) + added[:, :, None, None]
        h = self.conv_1(self.dropout(silu(self.norm_1(h))))
        if self.shortcut is not None:
            x = self.shortcut(x.movedim(1, -1)).movedim(-1, 1)
        return (x + h) * self.scale


class Attention(nn.Module):
    """Single-head self-attention over pixels.

    Args:
        width: channels.
        scale: factor of the sum of input and output.
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
    """Halves height and width by a strided convolution, padded on the right and below only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Map, time: Embedding, latent: Embedding | None) -> Map:
        """The smaller map; the embeddings are ignored."""
        return self.conv(pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles height and width by nearest neighbours, followed by a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Map, time: Embedding, latent: Embedding | None) -> Map:
        """The larger map; the embeddings are ignored."""
        return self.conv(interpolate(x, scale_factor=2))


def group_norm(width: int) -> nn.GroupNorm:
    """A group norm with at most 32 groups of at least four channels each."""
    return nn.GroupNorm(min(width // 4, 32), width, eps=1e-6)


MakeBlock = Callable[[int, int], ResBlock]
MakeAttention = Callable[[int], Attention]


def way_down(
    base_width: int,
    widths: list[int],
    num_res_blocks: int,
    attention_scale: int,
    block: MakeBlock,
    attention: MakeAttention,
) -> tuple[nn.ModuleList, list[int]]:
    """The modules of the way down, and the widths of the skips that they leave behind."""
    modules, width, skips = nn.ModuleList(), base_width, [base_width]
    for scale, out_width in enumerate(widths):
        for _ in range(num_res_blocks):
            modules.append(block(width, out_width))
            if scale == attention_scale:
                modules.append(attention(out_width))
            width = out_width
            skips.append(width)
        if scale + 1 < len(widths):
            modules.append(Downsample(width))
            skips.append(width)
    return modules, skips


def way_up(
    skips: list[int],
    widths: list[int],
    num_res_blocks: int,
    attention_scale: int,
    block: MakeBlock,
    attention: MakeAttention,
) -> nn.ModuleList:
    """The modules of the way up. Each residual block takes the most recent skip that is left."""
    modules, width = nn.ModuleList(), widths[-1]
    for scale, out_width in reversed(list(enumerate(widths))):
        for _ in range(num_res_blocks + 1):
            modules.append(block(width + skips.pop(), out_width))
            if scale == attention_scale:
                modules.append(attention(out_width))
            width = out_width
        if scale:
            modules.append(Upsample(width))
    return modules


def initialise(network: nn.Module) -> None:
    """Initialise as DDPM does: residual branches start near zero, the latent's branches at zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResBlock):
            nn.init.xavier_uniform_(module.conv_1.weight, gain=NEARLY_ZERO)
            if module.latent is not None:
                nn.init.zeros_(module.latent.weight)
        elif isinstance(module, LatentMap):
            nn.init.zeros_(module.to_image.weight)
            nn.init.zeros_(module.to_smallest.weight)
        elif isinstance(module, Attention):
            nn.init.xavier_uniform_(module.output.weight, gain=NEARLY_ZERO)


NEARLY_ZERO = 1e-5
"""Gain of the layers that end a residual branch."""
