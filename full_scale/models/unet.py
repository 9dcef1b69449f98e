r"""The U-Net of tauLDR on pixels, and the Di4C student that takes a latent in every block.

Sources: Campbell et al., NeurIPS 2022 (after DDPM); for the latent: Hayakawa et al., ICML 2025,
Section 5.1.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu

from di4c.likelihood import FunctionHead
from di4c.sampling_loop import call_grid
from full_scale.models.base import DenoiserBackbone, DenoiserConfig, Depth, Preset, Share, Width
from full_scale.models.latent import latent_features, sinusoidal_features
from full_scale.models.processes import GaussianProcessConfig
from full_scale.models.truncated_logistic import truncated_logistic
from full_scale.models.unet_blocks import (
    NEARLY_ZERO,
    Attention,
    EmbeddingMLP,
    LatentMap,
    ResBlock,
    group_norm,
    initialise,
    way_down,
    way_up,
)

FIRST_PIXEL_TIME = 0.01
"""tauLDR trains from this time on, and its samplers call the network there last."""


@dataclass(frozen=True)
class UNetConfig(DenoiserConfig):
    """Sizes of the U-Net. The defaults are those of the published CIFAR-10 teacher.

    Attributes:
        num_states: S, number of grey levels.
        channels: of the image. A state has D = channels * height * width coordinates, in the order
            channel, row, column.
        height: of the image; divisible by 2 for each scale but the first.
        width: of the image; divisible by 2 for each scale but the first.
        base_width: feature channels of the input convolution.
        multipliers: feature channels at each scale, as multiples of base_width.
        num_res_blocks: residual blocks at each scale on the way down (one more on the way up).
        attention_scale: the scale, counted from 0, whose blocks are followed by attention.
        time_features: number of sinusoids of the time, and of the latent; even.
        time_scale: times and latents are multiplied by this number before their sinusoids.
        value_range: the two states that are mapped to -1 and 1; None for 0 and S - 1.
        rescale_skips: whether the sum of each residual connection is divided by the root of 2.
        mirrored: see `truncated_logistic`.
        dropout: dropout rate inside each residual block.
        latent: whether the network takes a latent, i.e. is a student.
        latent_map: whether a student's latent is also added as a map: an image to the output of the
            input convolution, and features to the smallest map. The published students have
            neither. Their latent is one number a channel, the same for all pixels.
    """

    kind = "unet"
    name = "U-Net"
    samplers = ("ancestral", "tau-leaping")
    first_time = FIRST_PIXEL_TIME

    num_states: Width = 256
    channels: Width = 3
    height: Width = 32
    width: Width = 32
    base_width: Width = 128
    multipliers: tuple[Width, ...] = (1, 2, 2, 2)
    num_res_blocks: Depth = 2
    attention_scale: int = 1
    time_features: Width = 128
    time_scale: float = 1000.0
    value_range: tuple[float, float] | None = None
    rescale_skips: bool = True
    mirrored: bool = False
    dropout: Share = 0.1
    latent: bool = False
    latent_map: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        if self.value_range is not None:
            object.__setattr__(self, "value_range", tuple(self.value_range))
        if not self.multipliers:
            raise ValueError("multipliers must hold one entry for each scale; got ()")
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
    def num_dims(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
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

    def default_process(self) -> GaussianProcessConfig:
        """The discretised Gaussian diffusion of tauLDR."""
        return GaussianProcessConfig(self.num_states)

    def content(self) -> dict[str, Any]:
        """Samples are pixels."""
        shape = [self.channels, self.height, self.width]
        return {"kind": "pixels", "shape": shape, "levels": self.num_states}

    def time_grid(self, steps: int, horizon: float) -> Float[Tensor, "time"]:
        """Times of n calls: n - 1 transitions from the horizon to 0.01, then an argmax (tauLDR)."""
        return call_grid(steps, FIRST_PIXEL_TIME, horizon)


class UNet(DenoiserBackbone):
    """From states, a time and a latent to mean and log-scale of each coordinate's logistic law.

    On the way down, the blocks get a mixture of the latent and the time. Later blocks get a mixture
    of the latent, the time and the mean of the last feature map. Each block adds it through a
    linear map that starts at zero. With `latent_map` the mixture is added in two more places, where
    it differs from pixel to pixel; these linear maps start at zero, too. So a student that starts
    from a teacher's weights computes the same as the teacher, for every latent.

    Args:
        config: sizes.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config: UNetConfig = config  # pyright: ignore[reportIncompatibleVariableOverride]
        features = config.time_features
        embedding = 4 * features
        widths = config.widths
        self.time_mlp = EmbeddingMLP(features, embedding)
        if config.latent:
            self.latent_mlp = EmbeddingMLP(features, embedding)
            self.context_mlp = EmbeddingMLP(features, embedding)
            self.latent_mix = nn.Linear(2 * features, features)
        self.input = nn.Conv2d(config.channels, config.base_width, 3, padding=1)
        self.latent_map = None
        if config.latent and config.latent_map:
            image = (config.channels, config.height, config.width)
            self.latent_map = LatentMap(embedding, image, config.base_width, widths)
        block = partial(
            ResBlock,
            embedding=embedding,
            latent=config.latent,
            dropout=config.dropout,
            scale=config.skip_scale,
        )
        attention = partial(Attention, scale=config.skip_scale)
        blocks = (widths, config.num_res_blocks, config.attention_scale, block, attention)
        self.down, skips = way_down(config.base_width, *blocks)
        if config.latent:
            self.context_mix = nn.Linear(2 * features + widths[-1], features)
        self.middle = nn.ModuleList(
            [block(widths[-1], widths[-1]), attention(widths[-1]), block(widths[-1], widths[-1])]
        )
        self.up = way_up(skips, *blocks)
        self.output_norm = group_norm(widths[0])
        self.output = nn.Conv2d(widths[0], 2 * config.channels, 3, padding=1)
        initialise(self)
        nn.init.xavier_uniform_(self.output.weight, gain=NEARLY_ZERO)

    def forward(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"] | None = None,
        labels: Int[Tensor, "batch"] | None = None,
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim 2"]:
        r"""The features of the head: $\mu$ and $\log s$ of each coordinate.

        Args:
            x_t: states.
            t: times.
            labels: ignored.
            latent: scalar latents, one for each row; for a student.

        Returns:
            float32 or wider.

        Raises:
            ValueError: If the states do not have the image's size, if there are no times, if a
                teacher is given a latent, or if a student is given none.
        """
        config = self.config
        if t is None:
            raise ValueError("t must be given to a U-Net; got None")
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
        if self.latent_map is not None and down_latent is not None:
            h = h + self.latent_map.at_input(down_latent)
        skips = [h]
        for module in self.down:
            h = module(h, time, down_latent)
            if isinstance(module, Attention):
                skips.pop()  # a block with attention leaves one skip, after the attention
            skips.append(h)
        up_latent = None
        if latent is not None:
            context = self.context_mix(torch.cat([*mixed, h.mean((2, 3)).to(times)], -1))
            up_latent = self.context_mlp(silu(context))
            if self.latent_map is not None:
                h = h + self.latent_map.at_middle(up_latent)
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
        """The map from features to the logits of the grey levels."""
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


PRESETS = {
    "tauldr-cifar10": Preset(
        "tauLDR on CIFAR-10 pixels",
        UNetConfig(),
        GaussianProcessConfig(),
        experiment="cifar10",
    ),
    "digits": Preset(
        "small U-Net on 8 x 8 digits with 17 grey levels",
        UNetConfig(
            num_states=17,
            channels=1,
            height=8,
            width=8,
            base_width=24,
            multipliers=(1, 2),
            num_res_blocks=1,
            time_features=32,
            latent_map=True,
        ),
        # For every grey level at time 0, the law at time 1 is within 1e-4 of the prior in TV.
        GaussianProcessConfig(
            17, rate_sigma=1.0, stationary_sigma=34.0, time_base=1.0, floor=0.0, epsilon=0.0
        ),
        experiment="digits",
    ),
}
