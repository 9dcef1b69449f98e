"""Small networks of every kind with random weights, in memory and as model files."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from full_scale.models import (
    BackboneConfig,
    DiTConfig,
    MaskGITConfig,
    UNetConfig,
    VQGANConfig,
)
from full_scale.models.model_file import write_model
from full_scale.models.network import Network
from full_scale.models.processes import GaussianProcessConfig, MaskedProcessConfig
from tests.helpers.tiny_text import WORDS

UNET = UNetConfig(
    num_states=9,
    channels=3,
    height=4,
    width=6,
    base_width=8,
    multipliers=(1, 2),
    num_res_blocks=1,
    time_features=8,
)
MASKGIT = MaskGITConfig(
    codebook_size=16,
    num_classes=3,
    num_dims=4,
    hidden_size=12,
    num_blocks=2,
    num_heads=3,
    mlp_size=8,
)
DIT = DiTConfig(
    num_states=len(WORDS) + 3,
    num_dims=6,
    hidden_size=12,
    condition_size=6,
    num_blocks=2,
    num_heads=3,
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
DENOISERS = {"unet": UNET, "maskgit": MASKGIT, "dit": DIT}
PROCESSES = {
    UNET: GaussianProcessConfig(
        9, rate_sigma=1.0, stationary_sigma=16.0, time_base=1.0, floor=0.0, epsilon=0.0
    ),
    MASKGIT: MaskedProcessConfig(16, "arccos"),
    DIT: MaskedProcessConfig(len(WORDS) + 2, "log-linear"),
    VQGAN: None,
}

each_denoiser = pytest.mark.parametrize("config", DENOISERS.values(), ids=DENOISERS)


def built(config: BackboneConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network in eval mode. Random numbers are added to all its parameters, so none is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = config.build().to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.3 if parameter.ndim < 2 else 1 / math.sqrt(parameter[0].numel())
            parameter.add_(scale * noise)
    return network.eval()


def network_of(config, seed=0, dtype=torch.float32, **options) -> Network:
    """A network with its default process."""
    return Network(built(config, seed, dtype), config.default_process().build(), **options)


def states(network: Network, *batch: int, seed: int = 1) -> torch.Tensor:
    """Random states of a network."""
    shape = (*batch, network.config.num_dims)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(network.process.num_states, shape, generator=generator)


def times(batch: int, seed: int = 2) -> torch.Tensor:
    """Random times."""
    return torch.rand(batch, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def save_model(path: Path, config, student: bool = False, seed: int = 0) -> Path:
    """A model file with normal weights. MaskGIT's are large, so that its classes matter."""
    network = replace(config, latent=True) if student else config
    generator = torch.Generator().manual_seed(seed)
    scale = 1.0 if config is MASKGIT else 0.2
    state = {
        name: torch.randn(tensor.shape, generator=generator) * scale
        for name, tensor in network.build().state_dict().items()
    }
    write_model(path, network, PROCESSES[config], state, {"command": "test"})
    return path
