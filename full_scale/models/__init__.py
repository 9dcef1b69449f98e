"""The networks of the three experiments, each as teacher and as student with a latent."""

from full_scale.models.dit import DiT, DiTConfig
from full_scale.models.maskgit import MaskGIT, MaskGITConfig
from full_scale.models.unet import UNet, UNetConfig
from full_scale.models.vqgan import VQGAN, VQGANConfig

DenoiserBackbone = UNet | MaskGIT | DiT
DenoiserConfig = UNetConfig | MaskGITConfig | DiTConfig
BackboneConfig = DenoiserConfig | VQGANConfig

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
