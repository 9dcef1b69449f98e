"""A complete backbone in one file, as an example: a small mixer on 8 x 8 digits with masked noise.

`tests/full_scale/test_new_backbone.py` registers it, trains a teacher and a student of it, samples
the student and evaluates the samples, all with the project's commands.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import silu

from di4c.likelihood import LinearHead
from di4c.schedules import uniform_grid
from full_scale.models.base import DenoiserBackbone, DenoiserConfig, Preset
from full_scale.models.latent import latent_features, sinusoidal_features
from full_scale.models.processes import MaskedProcessConfig

FEATURES = 32
"""Number of sinusoids of the time, and of the latent."""


@dataclass(frozen=True)
class MixerConfig(DenoiserConfig):
    """Sizes of the network. The defaults fit 17 grey levels and a mask."""

    kind = "mixer"
    name = "mixer"
    last_step = "sample"

    num_states: int = 18
    num_dims: int = 64
    width: int = 32
    dropout: float = 0.0
    latent: bool = False

    def build(self) -> "Mixer":
        """The network, with random weights."""
        return Mixer(self)

    def default_process(self) -> MaskedProcessConfig:
        """Masked noise with a linear schedule."""
        return MaskedProcessConfig(self.num_states - 1, "linear")

    def content(self) -> dict[str, Any]:
        """Samples are grey images."""
        return {"kind": "pixels", "shape": [1, 8, 8], "levels": self.num_states - 1}

    def time_grid(self, steps: int, horizon: float) -> Tensor:
        """Times of n calls on the uniform grid."""
        return uniform_grid(steps, horizon)


class Mixer(DenoiserBackbone):
    """Embeds each pixel, mixes pixels by a linear map, and adds the time and the latent."""

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.config = config
        self.token = nn.Embedding(config.num_states, config.width)
        self.pixels = nn.Linear(config.num_dims, config.num_dims)
        self.time = nn.Linear(FEATURES, config.width)
        self.hidden = nn.Linear(config.width, config.width)
        self.output = nn.Linear(config.width, config.num_states)
        if config.latent:
            self.latent = nn.Linear(FEATURES, config.width)

    def forward(self, x_t, t=None, labels=None, latent=None):
        """The features of each pixel, (batch, dim, width)."""
        h = self.pixels(self.token(x_t).mT).mT
        condition = self.time(sinusoidal_features(1000 * t, FEATURES).to(h))
        if latent is not None:
            condition = condition + self.latent(latent_features(latent, FEATURES).to(h))
        return silu(self.hidden(silu(h + condition[:, None])))

    def head(self) -> LinearHead:
        """The map from features to the logits of all states."""
        return LinearHead(self.output.weight, self.output.bias)


PRESETS = {
    "mixer-digits": Preset(
        "mixer on digits",
        MixerConfig(),
        MaskedProcessConfig(17, "linear"),
        experiment="mixer-digits",
    )
}
