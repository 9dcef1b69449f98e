r"""The VQGAN, which turns images into codes and back: encoder, codebook, decoder.

Source: Esser et al., CVPR 2021 (taming-transformers).
"""

from dataclasses import dataclass
from typing import Annotated

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu

from full_scale.models.base import BackboneConfig, Depth, Preset, Share, Width
from reporting.typed import Within


@dataclass(frozen=True)
class VQGANConfig(BackboneConfig):
    """Sizes of the autoencoder. The defaults are those that MaskGIT uses: f = 16, 1024 codes.

    Attributes:
        codebook_size: number of codes.
        code_size: number of components of a code vector.
        latent_channels: of the encoder's output and the decoder's input.
        channels: of the image.
        resolution: height and width of the images it was trained on. Other sizes that are
            divisible by 2^(levels - 1) work as well.
        base_width: feature channels at the first level.
        multipliers: feature channels of each level, as multiples of base_width.
        num_res_blocks: residual blocks of each level in the encoder (one more in the decoder).
        attention_levels: levels with attention, counted from 0 at full resolution.
        num_groups: number of groups of the group norms.
        dropout: dropout rate inside each residual block.
    """

    kind = "vqgan"
    name = "VQGAN"

    codebook_size: Width = 1024
    code_size: Width = 256
    latent_channels: Width = 256
    channels: Width = 3
    resolution: Width = 256
    base_width: Width = 128
    multipliers: Annotated[tuple[Width, ...], Within(1, 16)] = (1, 1, 2, 2, 4)
    num_res_blocks: Depth = 2
    attention_levels: tuple[int, ...] = (4,)
    num_groups: Width = 32
    dropout: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        object.__setattr__(self, "attention_levels", tuple(self.attention_levels))
        if not self.multipliers:
            raise ValueError("multipliers must hold one entry for each level; got ()")

    @property
    def downsampling(self) -> int:
        """Number of pixels along one side of the square that a code stands for."""
        return 2 ** (len(self.multipliers) - 1)

    def build(self) -> "VQGAN":
        """The network, with random weights."""
        return VQGAN(self)


class VQGAN(nn.Module):
    """Encodes images as codes and decodes codes to images.

    Args:
        config: sizes.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config)
        self.decoder = _Decoder(config)
        self.codebook = nn.Embedding(config.codebook_size, config.code_size)
        self.to_code = nn.Conv2d(config.latent_channels, config.code_size, 1)
        self.from_code = nn.Conv2d(config.code_size, config.latent_channels, 1)
        bound = 1 / config.codebook_size
        nn.init.uniform_(self.codebook.weight, -bound, bound)

    def features(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch feature y x"]:
        """The vectors that are compared with the codebook.

        Args:
            image: in [-1, 1]; height and width divisible by `config.downsampling`.

        Raises:
            ValueError: If height or width is not divisible by it.
        """
        factor = self.config.downsampling
        if image.shape[-2] % factor or image.shape[-1] % factor:
            raise ValueError(
                f"image must have sides divisible by {factor}; got {tuple(image.shape[-2:])}: "
                "crop or resize it"
            )
        return self.to_code(self.encoder(image))

    def encode(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> Int[Tensor, "batch y x"]:
        """The nearest code of each cell. `flatten(1)` gives the tokens of MaskGIT, row by row."""
        features = self.features(image).movedim(1, -1)  # (B, y, x, feature)
        codes = self.codebook.weight
        # |z|^2 is the same for all codes. It is left out because it would only cost precision.
        distances = codes.square().sum(1) - 2 * features @ codes.T
        return distances.argmin(-1)

    def decode(
        self, codes: Int[Tensor, "batch y x"]
    ) -> Float[Tensor, "batch channel height width"]:
        """The image of a grid of codes. Its values lie about in [-1, 1]; clamp them."""
        return self.decoder(self.from_code(self.codebook(codes).movedim(-1, 1)))

    def forward(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Encode, then decode."""
        return self.decode(self.encode(image))


class _Level(nn.Module):
    """The residual blocks of one resolution, each followed by attention if the level has it."""

    def __init__(
        self, config: VQGANConfig, level: int, in_width: int, out_width: int, num_blocks: int
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _ResBlock(config, in_width if i == 0 else out_width, out_width)
            for i in range(num_blocks)
        )
        attends = level in config.attention_levels
        self.attention = nn.ModuleList(
            _Attention(config, out_width) for _ in range(num_blocks if attends else 0)
        )

    def forward(self, h: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            h = block(h)
            if self.attention:
                h = self.attention[i](h)
        return h


class _DownLevel(_Level):
    def __init__(self, config: VQGANConfig, level: int) -> None:
        widths = [config.base_width * factor for factor in (1, *config.multipliers)]
        super().__init__(config, level, widths[level], widths[level + 1], config.num_res_blocks)
        last = level + 1 == len(config.multipliers)
        width = widths[level + 1]
        self.downsample = None if last else nn.Conv2d(width, width, 3, stride=2)

    def forward(self, h: Tensor) -> Tensor:
        h = super().forward(h)
        return h if self.downsample is None else self.downsample(pad(h, (0, 1, 0, 1)))


class _UpLevel(_Level):
    def __init__(self, config: VQGANConfig, level: int) -> None:
        widths = [config.base_width * factor for factor in config.multipliers]
        above = widths[min(level + 1, len(widths) - 1)]
        super().__init__(config, level, above, widths[level], config.num_res_blocks + 1)
        width = widths[level]
        self.upsample = nn.Conv2d(width, width, 3, padding=1) if level else None

    def forward(self, h: Tensor) -> Tensor:
        h = super().forward(h)
        return h if self.upsample is None else self.upsample(interpolate(h, scale_factor=2))


class _Encoder(nn.Module):
    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        width = config.base_width * config.multipliers[-1]
        self.input = nn.Conv2d(config.channels, config.base_width, 3, padding=1)
        self.levels = nn.ModuleList(
            _DownLevel(config, level) for level in range(len(config.multipliers))
        )
        self.middle = _middle(config, width)
        self.norm = _group_norm(config, width)
        self.output = nn.Conv2d(width, config.latent_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        h = self.input(image)
        for level in self.levels:
            h = level(h)
        return self.output(silu(self.norm(self.middle(h))))


class _Decoder(nn.Module):
    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        width = config.base_width * config.multipliers[-1]
        self.input = nn.Conv2d(config.latent_channels, width, 3, padding=1)
        self.middle = _middle(config, width)
        self.levels = nn.ModuleList(  # listed by level; they run from the coarsest to level 0
            _UpLevel(config, level) for level in range(len(config.multipliers))
        )
        last = config.base_width * config.multipliers[0]
        self.norm = _group_norm(config, last)
        self.output = nn.Conv2d(last, config.channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        h = self.middle(self.input(h))
        for level in reversed(self.levels):
            h = level(h)
        return self.output(silu(self.norm(h)))


class _ResBlock(nn.Module):
    def __init__(self, config: VQGANConfig, in_width: int, out_width: int) -> None:
        super().__init__()
        self.norm_0 = _group_norm(config, in_width)
        self.conv_0 = nn.Conv2d(in_width, out_width, 3, padding=1)
        self.norm_1 = _group_norm(config, out_width)
        self.dropout = nn.Dropout(config.dropout)
        self.conv_1 = nn.Conv2d(out_width, out_width, 3, padding=1)
        self.shortcut = nn.Conv2d(in_width, out_width, 1) if in_width != out_width else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_0(silu(self.norm_0(x)))
        h = self.conv_1(self.dropout(silu(self.norm_1(h))))
        return h + (x if self.shortcut is None else self.shortcut(x))


class _Attention(nn.Module):
    """Single-head self-attention over cells."""

    def __init__(self, config: VQGANConfig, width: int) -> None:
        super().__init__()
        self.norm = _group_norm(config, width)
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.Conv2d(width, width, 1)
        self.value = nn.Conv2d(width, width, 1)
        self.output = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        query, key, value = (
            project(h).flatten(2).mT for project in (self.query, self.key, self.value)
        )
        mixed = scaled_dot_product_attention(query, key, value)  # (B, cell, width)
        return x + self.output(mixed.mT.reshape_as(x))


def _middle(config: VQGANConfig, width: int) -> nn.Sequential:
    return nn.Sequential(
        _ResBlock(config, width, width),
        _Attention(config, width),
        _ResBlock(config, width, width),
    )


def _group_norm(config: VQGANConfig, width: int) -> nn.GroupNorm:
    return nn.GroupNorm(config.num_groups, width, eps=1e-6)


PRESETS = {"vqgan-imagenet": Preset("VQGAN of ImageNet, 1024 codes, f = 16", VQGANConfig())}
