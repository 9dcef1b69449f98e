"""Small networks of every kind, with weights none of which is zero."""

import math

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
from full_scale.models.network import Network, unwrap
from full_scale.models.presets import default_process

UNET = UNetConfig(
    num_states=9,
    channels=2,
    height=4,
    width=6,
    base_width=8,
    multipliers=(1, 2),
    num_res_blocks=1,
    time_features=8,
)
MASKGIT = MaskGITConfig(
    codebook_size=7,
    num_classes=3,
    num_dims=5,
    hidden_size=12,
    num_blocks=2,
    num_heads=3,
    mlp_size=8,
)
DIT = DiTConfig(
    num_states=8,
    num_dims=5,
    hidden_size=12,
    condition_size=6,
    num_blocks=2,
    num_heads=3,
    noise_features=8,
)
VQ = VQGANConfig(
    codebook_size=6,
    code_size=5,
    latent_channels=4,
    channels=1,
    resolution=8,
    base_width=4,
    multipliers=(1, 2),
    num_res_blocks=1,
    attention_levels=(1,),
    num_groups=2,
)
DENOISERS = {"unet": UNET, "maskgit": MASKGIT, "dit": DIT}

each_denoiser = pytest.mark.parametrize("config", DENOISERS.values(), ids=DENOISERS)


def built(config: BackboneConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network in eval mode with every parameter drawn anew: none is zero."""
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
    return Network(built(config, seed, dtype), default_process(config).build(), **options)


def states(network: Network, *batch: int, seed: int = 1) -> torch.Tensor:
    shape = (*batch, unwrap(network.backbone).config.num_dims)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(network.process.num_states, shape, generator=generator)


def times(batch: int, seed: int = 2) -> torch.Tensor:
    return torch.rand(batch, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
