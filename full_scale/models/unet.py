r"""The U-Net of tauLDR on pixels, and the Di4C student that takes a latent in every block.

Source: Campbell et al., NeurIPS 2022 (after DDPM); latent: Hayakawa et al., ICML 2025, Section 5.1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu

from di4c.likelihood import FunctionHead
from full_scale.models.latent import latent_features, sinusoidal_features
from full_scale.models.truncated_logistic import truncated_logistic
from full_scale.models.unet_blocks import (
    Attention,
    Downsample,
    EmbeddingMLP,
    ResBlock,
    Upsample,
    group_norm,
)


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the U-Net; the published CIFAR-10 teacher by default.

    Attributes:
        num_states: S, grey levels.
        channels: of the image; a state has D = channels height width coordinates, in that order.
        height: of the image; divisible by 2 for each scale but the first.
        width: of the image; likewise.
        base_width: feature channels of the input convolution.
        multipliers: of base_width at each scale.
        num_res_blocks: residual blocks a scale on the way down (one more on the way up).
        attention_scale: the scale, counted from 0, whose blocks are followed by attention.
        time_features: sinusoids of the time and of the latent; even.
        time_scale: the time is multiplied by it before its sinusoids.
        value_range: states that are mapped to -1 and 1; None for 0 and S - 1.
        rescale_skips: divide the sum of each residual connection by the root of 2.
        mirrored: see `truncated_logistic`.
        dropout: inside each residual block.
        latent: whether the network takes a latent: a student.
    """

    num_states: int = 256
    channels: int = 3
    height: int = 32
    width: int = 32
    base_width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    num_res_blocks: int = 2
    attention_scale: int = 1
    time_features: int = 128
    time_scale: float = 1000.0
    value_range: tuple[float, float] | None = None
    rescale_skips: bool = True
    mirrored: bool = False
    dropout: float = 0.1
    latent: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        if self.value_range is not None:
            object.__setattr__(self, "value_range", tuple(self.value_range))
        if not self.multipliers:
            raise ValueError("multipliers must hold one entry a scale; got ()")
        if self.time_features < 4 or self.time_features % 2:
            raise ValueError(f"time_features must be even, at least 4; got {self.time_features}")
        factor = 2 ** (len(self.multipliers) - 1)
        for name in ("height", "width"):
            if getattr(self, name) % factor:
                raise ValueError(
                    f"{name} must be divisible by {factor}, one factor 2 for each of "
                    f"{len(self.multipliers)} scales but the first; got {getattr(self, name)}"
                )

    @property
    def num_dims(self) -> int:
        """D."""
        return self.channels * self.height * self.width

    @property
    def widths(self) -> list[int]:
        """Feature channels at each scale."""
        return [self.base_width * factor for factor in self.multipliers]

    @property
    def skip_scale(self) -> float:
        """Factor of the sum of each residual connection."""
        return math.sqrt(0.5) if self.rescale_skips else 1.0

    def build(self) -> "UNet":
        """The network, with random weights."""
        return UNet(self)


class UNet(nn.Module):
    """States and a time (and a latent) to mean and log-scale of each coordinate's logistic law.

    As tauLDR has it: the latent reaches the blocks on the way down mixed with the time, the blocks
    after that mixed with the time and the mean of the last feature map. Each block adds it through
    a linear map that starts at zero: a student that starts from a teacher's weights is the teacher,
    for every latent.

    Args:
        config: sizes.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        features = config.time_features
        embedding = 4 * features
        widths = config.widths
        self.time_mlp = EmbeddingMLP(features, embedding)
        if config.latent:
            self.latent_mlp = EmbeddingMLP(features, embedding)
            self.context_mlp = EmbeddingMLP(features, embedding)
            self.latent_mix = nn.Linear(2 * features, features)
        self.input = nn.Conv2d(config.channels, config.base_width, 3, padding=1)
        block = partial(
            ResBlock,
            embedding=embedding,
            latent=config.latent,
            dropout=config.dropout,
            scale=config.skip_scale,
        )
        self.down, skips = _way_down(config, block)
        if config.latent:
            self.context_mix = nn.Linear(2 * features + widths[-1], features)
        attention = Attention(widths[-1], scale=config.skip_scale)
        self.middle = nn.ModuleList(
            [block(widths[-1], widths[-1]), attention, block(widths[-1], widths[-1])]
        )
        self.up = _way_up(config, block, skips)
        self.output_norm = group_norm(widths[0])
        self.output = nn.Conv2d(widths[0], 2 * config.channels, 3, padding=1)
        _initialise(self)

    def forward(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"],
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim 2"]:
        r"""The features of the head: $\mu$ and $\log s$ of each coordinate.

        Args:
            x_t: states.
            t: times.
            latent: scalar latents, one a row, for a student.

        Returns:
            float32 or wider.

        Raises:
            ValueError: If the states are not of the image's size, or there is a latent where the
                network has none or none where it needs one.
        """
        config = self.config
        if x_t.shape[1] != config.num_dims:
            raise ValueError(
                f"x_t must have {config.num_dims} coordinates, {config.channels} x "
                f"{config.height} x {config.width}; got {x_t.shape[1]}"
            )
        if (latent is not None) != config.latent:
            raise ValueError(
                f"latent must {'be given to' if config.latent else 'be None for'} a network with "
                f"config.latent={config.latent}; got {'none' if latent is None else 'one'}"
            )
        x = self._centred(x_t)
        times = sinusoidal_features(t * config.time_scale, config.time_features)
        times = times.to(self.input.weight.dtype)
        time = self.time_mlp(times)
        mixed, down_latent = (), None
        if latent is not None:
            features = latent_features(latent, config.time_features, config.time_scale)
            mixed = (features.to(times), times)
            down_latent = self.latent_mlp(silu(self.latent_mix(torch.cat(mixed, -1))))
        h = self.input(x)
        skips = [h]
        for module in self.down:
            h = module(h, time, down_latent)
            if isinstance(module, Attention):
                skips.pop()  # the block before it leaves its skip behind the attention
            skips.append(h)
        up_latent = None
        if latent is not None:
            context = self.context_mix(torch.cat([*mixed, h.mean((2, 3)).to(times)], -1))
            up_latent = self.context_mlp(silu(context))
        for module in self.middle:
            h = module(h, time, up_latent)
        for module in self.up:
            if isinstance(module, ResBlock):
                h = torch.cat([h, skips.pop()], 1)
            h = module(h, time, up_latent)
        raw = self.output(silu(self.output_norm(h))).unflatten(1, (2, config.channels))
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32)).flatten(2)  # (B, 2, D)
        return torch.stack([torch.tanh(x.flatten(1).to(raw) + raw[:, 0]), raw[:, 1]], -1)

    def head(self) -> FunctionHead:
        """From features to the logits of the grey levels."""
        config = self.config
        function = partial(
            truncated_logistic, num_states=config.num_states, mirrored=config.mirrored
        )
        return FunctionHead(function, config.num_states)

    def _centred(self, x_t: Int[Tensor, "batch dim"]) -> Float[Tensor, "batch channel y x"]:
        config = self.config
        low, high = config.value_range or (0, config.num_states - 1)
        x = x_t.to(self.input.weight.dtype).unflatten(
            1, (config.channels, config.height, config.width)
        )
        return 2 * (x - low) / (high - low) - 1


def _way_down(
    config: UNetConfig, block: Callable[[int, int], ResBlock]
) -> tuple[nn.ModuleList, list[int]]:
    """The modules, and the widths of the skips that they leave behind."""
    modules, width, skips = nn.ModuleList(), config.base_width, [config.base_width]
    for scale, out_width in enumerate(config.widths):
        for _ in range(config.num_res_blocks):
            modules.append(block(width, out_width))
            if scale == config.attention_scale:
                modules.append(Attention(out_width, scale=config.skip_scale))
            width = out_width
            skips.append(width)
        if scale + 1 < len(config.widths):
            modules.append(Downsample(width))
            skips.append(width)
    return modules, skips


def _way_up(
    config: UNetConfig, block: Callable[[int, int], ResBlock], skips: list[int]
) -> nn.ModuleList:
    """The modules; each residual block takes up the skip that was left last."""
    modules, width = nn.ModuleList(), config.widths[-1]
    for scale, out_width in reversed(list(enumerate(config.widths))):
        for _ in range(config.num_res_blocks + 1):
            modules.append(block(width + skips.pop(), out_width))
            if scale == config.attention_scale:
                modules.append(Attention(out_width, scale=config.skip_scale))
            width = out_width
        if scale:
            modules.append(Upsample(width))
    return modules


def _initialise(network: UNet) -> None:
    """As DDPM does: each residual branch starts near zero; the latent's at zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResBlock):
            nn.init.xavier_uniform_(module.conv_1.weight, gain=_NEARLY_ZERO)
            if module.latent is not None:
                nn.init.zeros_(module.latent.weight)
        elif isinstance(module, Attention):
            nn.init.xavier_uniform_(module.output.weight, gain=_NEARLY_ZERO)
    nn.init.xavier_uniform_(network.output.weight, gain=_NEARLY_ZERO)


_NEARLY_ZERO = 1e-5
