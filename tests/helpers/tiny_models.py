"""Model files of every kind, small and untrained; all their weights matter to what they draw."""

from dataclasses import replace
from pathlib import Path

import torch

from full_scale.models import DiTConfig, MaskGITConfig, UNetConfig, VQGANConfig
from full_scale.models.model_file import write_model
from full_scale.models.presets import GaussianProcessConfig, MaskedProcessConfig
from tests.helpers.tiny_text import WORDS

UNET = UNetConfig(
    num_states=8,
    channels=1,
    height=4,
    width=4,
    base_width=8,
    multipliers=(1, 1),
    num_res_blocks=1,
    time_features=8,
)
MASKGIT = MaskGITConfig(
    codebook_size=16,
    num_classes=3,
    num_dims=4,
    hidden_size=16,
    num_blocks=1,
    num_heads=2,
    mlp_size=16,
)
DIT = DiTConfig(
    num_states=len(WORDS) + 3,
    num_dims=6,
    hidden_size=16,
    condition_size=8,
    num_blocks=1,
    num_heads=2,
    noise_features=8,
)
VQGAN = VQGANConfig(
    codebook_size=16,
    code_size=4,
    latent_channels=4,
    resolution=8,
    base_width=8,
    multipliers=(1, 1, 1),
    num_res_blocks=1,
    attention_levels=(2,),
    num_groups=4,
)
PROCESSES = {
    UNET: GaussianProcessConfig(
        8, rate_sigma=1.0, stationary_sigma=16.0, time_base=1.0, floor=0.0, epsilon=0.0
    ),
    MASKGIT: MaskedProcessConfig(16, "arccos"),
    DIT: MaskedProcessConfig(len(WORDS) + 2, "log-linear"),
    VQGAN: None,
}


def save_model(path: Path, config, student: bool = False, seed: int = 0) -> Path:
    """A model file with normal weights; MaskGIT's are large, or its classes would hardly matter."""
    network = replace(config, latent=True) if student else config
    generator = torch.Generator().manual_seed(seed)
    scale = 1.0 if config is MASKGIT else 0.2
    state = {
        name: torch.randn(tensor.shape, generator=generator) * scale
        for name, tensor in network.build().state_dict().items()
    }
    write_model(path, network, PROCESSES[config], state, {"command": "test"})
    return path
