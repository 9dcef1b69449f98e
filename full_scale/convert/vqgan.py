"""Checkpoints of taming-transformers' VQGAN, whose codes MaskGIT models."""

from typing import Any

from full_scale.convert.layout import LIGHTNING, Layout, Tensors, count, make_config, shape_of
from full_scale.models.vqgan import VQGANConfig


def sizes(tensors: Tensors, **known: Any) -> VQGANConfig:
    """The sizes that the shapes say."""
    codebook_size, code_size = shape_of(tensors, "quantize.embedding.weight")
    base_width, channels = shape_of(tensors, "encoder.conv_in.weight")[:2]
    num_levels = count(tensors, r"encoder\.down\.(\d+)\.")
    widths = [
        shape_of(tensors, f"encoder.down.{level}.block.0.conv1.weight")[0]
        for level in range(num_levels)
    ]
    found = {
        "codebook_size": codebook_size,
        "code_size": code_size,
        "latent_channels": shape_of(tensors, "encoder.conv_out.weight")[0],
        "channels": channels,
        "base_width": base_width,
        "multipliers": tuple(width // base_width for width in widths),
        "num_res_blocks": count(tensors, r"encoder\.down\.0\.block\.(\d+)\."),
        "attention_levels": tuple(
            level
            for level in range(num_levels)
            if f"encoder.down.{level}.attn.0.q.weight" in tensors
        ),
    }
    return make_config(VQGANConfig, found, known)


VQGAN = Layout(
    sizes=sizes,
    unsaid=("resolution", "num_groups", "dropout"),
    rules=(
        (r"^codebook\.", "quantize.embedding."),
        (r"^to_code\.", "quant_conv."),
        (r"^from_code\.", "post_quant_conv."),
        (r"^((en|de)coder)\.input\.", r"\1.conv_in."),
        (r"^((en|de)coder)\.norm\.", r"\1.norm_out."),
        (r"^((en|de)coder)\.output\.", r"\1.conv_out."),
        (r"^encoder\.levels\.", "encoder.down."),
        (r"^decoder\.levels\.", "decoder.up."),
        (r"\.middle\.0\.", ".mid.block_1."),
        (r"\.middle\.1\.", ".mid.attn_1."),
        (r"\.middle\.2\.", ".mid.block_2."),
        (r"\.blocks\.", ".block."),
        (r"\.attention\.", ".attn."),
        (r"\.((down|up)sample)\.", r".\1.conv."),
        (r"\.norm_1\.", ".norm2."),
        (r"\.norm_0\.", ".norm1."),
        (r"\.conv_1\.", ".conv2."),
        (r"\.conv_0\.", ".conv1."),
        (r"\.shortcut\.", ".nin_shortcut."),
        (r"\.query\.", ".q."),
        (r"\.key\.", ".k."),
        (r"\.value\.", ".v."),
        (r"\.output\.", ".proj_out."),
    ),
    root="state_dict/",
    training=rf"{LIGHTNING}|(state_dict/)?loss\..*",
)
