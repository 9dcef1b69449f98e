"""The networks of the experiments, each as teacher and as student with a latent.

`full_scale.models.base` says what a network must answer. `full_scale.models.presets` lists them.
"""

from full_scale.models.base import BackboneConfig, DenoiserBackbone, DenoiserConfig
from full_scale.models.dit import DiT, DiTConfig
from full_scale.models.maskgit import MaskGIT, MaskGITConfig
from full_scale.models.unet import UNet, UNetConfig
from full_scale.models.vqgan import VQGAN, VQGANConfig

__all__ = [
    "VQGAN",
    "BackboneConfig",
    "DenoiserBackbone",
    "DenoiserConfig",
    "DiT",
    "DiTConfig",
    "MaskGIT",
    "MaskGITConfig",
    "UNet",
    "UNetConfig",
    "VQGANConfig",
]
