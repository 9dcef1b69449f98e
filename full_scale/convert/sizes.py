"""The sizes of a published network, read from the shapes of its tensors.

Published names, without prefixes. What shapes do not say keeps the published value unless it is
given; `UNSAID` lists it for each kind.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from full_scale.models import (
    BackboneConfig,
    DiTConfig,
    MaskGITConfig,
    UNetConfig,
    VQGANConfig,
)

Tensors = Mapping[str, Tensor]

UNSAID: dict[type[BackboneConfig], tuple[str, ...]] = {
    UNetConfig: (
        "num_states",
        "height",
        "width",
        "time_scale",
        "value_range",
        "rescale_skips",
        "mirrored",
        "dropout",
    ),
    MaskGITConfig: ("num_classes", "num_heads", "dropout"),
    VQGANConfig: ("resolution", "num_groups", "dropout"),
    DiTConfig: ("num_dims", "num_heads", "time_conditioning", "dropout"),
}
"""Fields of each config that shapes do not fix (a DiT's num_heads: unless `inv_freq` is there)."""


def unet_config(tensors: Tensors, **known: Any) -> UNetConfig:
    """Of tauLDR's U-Net."""
    base_width, channels = _shape(tensors, "input_conv.weight")[:2]
    scales: list[list[int]] = [[]]  # widths of the residual blocks of each scale
    attention_scale = -1
    for place in range(_count(tensors, r"downsampling_modules\.(\d+)\.")):
        name = f"downsampling_modules.{place}"
        if f"{name}.conv.weight" in tensors:
            scales.append([])
        elif f"{name}.NIN_0.W" in tensors:
            attention_scale = len(scales) - 1
        else:
            scales[-1].append(_shape(tensors, f"{name}.conv0.weight")[0])
    found = {
        "channels": channels,
        "base_width": base_width,
        "multipliers": tuple(blocks[-1] // base_width for blocks in scales if blocks),
        "num_res_blocks": len(scales[0]),
        "attention_scale": attention_scale,
        "time_features": _shape(tensors, "temb_modules.0.weight")[1],
        "latent": "tlam_mix.weight" in tensors,
    }
    return _config(UNetConfig, found, known)


def maskgit_config(tensors: Tensors, **known: Any) -> MaskGITConfig:
    """Of MaskGIT-pytorch's transformer.

    Raises:
        ValueError: If the embedding has no room for so many classes.
    """
    num_embeddings, hidden_size = _shape(tensors, "tok_emb.weight")
    num_classes = known.get("num_classes", MaskGITConfig.num_classes)
    if num_embeddings < num_classes + 3:
        raise ValueError(
            f"tok_emb.weight has {num_embeddings} rows, too few for {num_classes} classes, a mask "
            "and a code: give num_classes"
        )
    found = {
        "codebook_size": num_embeddings - num_classes - 2,
        "num_dims": _shape(tensors, "pos_emb")[1] - 1,
        "hidden_size": hidden_size,
        "num_blocks": _count(tensors, r"transformer\.layers\.(\d+)\."),
        "mlp_size": _shape(tensors, "transformer.layers.0.1.fn.net.0.weight")[0],
        "latent": "latent_projection.0.weight" in tensors,
    }
    return _config(MaskGITConfig, found, known)


def vqgan_config(tensors: Tensors, **known: Any) -> VQGANConfig:
    """Of taming-transformers' VQGAN."""
    codebook_size, code_size = _shape(tensors, "quantize.embedding.weight")
    base_width, channels = _shape(tensors, "encoder.conv_in.weight")[:2]
    num_levels = _count(tensors, r"encoder\.down\.(\d+)\.")
    widths = [
        _shape(tensors, f"encoder.down.{level}.block.0.conv1.weight")[0]
        for level in range(num_levels)
    ]
    found = {
        "codebook_size": codebook_size,
        "code_size": code_size,
        "latent_channels": _shape(tensors, "encoder.conv_out.weight")[0],
        "channels": channels,
        "base_width": base_width,
        "multipliers": tuple(width // base_width for width in widths),
        "num_res_blocks": _count(tensors, r"encoder\.down\.0\.block\.(\d+)\."),
        "attention_levels": tuple(
            level
            for level in range(num_levels)
            if f"encoder.down.{level}.attn.0.q.weight" in tensors
        ),
    }
    return _config(VQGANConfig, found, known)


def dit_config(tensors: Tensors, **known: Any) -> DiTConfig:
    """Of MDLM's and SDTT's transformer."""
    num_states, hidden_size = _shape(tensors, "vocab_embed.embedding")
    condition_size, noise_features = _shape(tensors, "sigma_map.mlp.0.weight")
    found = {
        "num_states": num_states,
        "hidden_size": hidden_size,
        "condition_size": condition_size,
        "noise_features": noise_features,
        "num_blocks": _count(tensors, r"blocks\.(\d+)\."),
        "mlp_ratio": _shape(tensors, "blocks.0.mlp.0.weight")[0] // hidden_size,
        "latent": "latent_projection.0.weight" in tensors,
    }
    if (frequencies := tensors.get("rotary_emb.inv_freq")) is not None:
        found["num_heads"] = hidden_size // (2 * len(frequencies))
    return _config(DiTConfig, found, known)


_Config = TypeVar("_Config", UNetConfig, MaskGITConfig, VQGANConfig, DiTConfig)


def _config(cls: type[_Config], found: dict[str, Any], known: dict[str, Any]) -> _Config:
    names = {entry.name for entry in fields(cls)}
    if unknown := sorted(known.keys() - names):
        raise ValueError(
            f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return cls(**(found | known))


def _shape(tensors: Tensors, name: str) -> torch.Size:
    if name not in tensors:
        some = ", ".join(list(tensors)[:3]) or "nothing"
        raise ValueError(
            f"checkpoint has no {name}, and without it is of another kind; it has {some}, ..."
        )
    return tensors[name].shape


def _count(names: Iterable[str], pattern: str) -> int:
    """One more than the largest index."""
    found = (re.match(pattern, name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)
