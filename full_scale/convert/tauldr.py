"""Checkpoints of tauLDR's U-Net on CIFAR-10, and of its Di4C students."""

from typing import Any

from full_scale.convert.layout import Layout, Tensors, count, make_config, shape_of
from full_scale.models.unet import UNetConfig


def sizes(tensors: Tensors, **known: Any) -> UNetConfig:
    """The sizes that the shapes say."""
    base_width, channels = shape_of(tensors, "input_conv.weight")[:2]
    scales: list[list[int]] = [[]]  # widths of the residual blocks of each scale
    attention_scale = -1
    for place in range(count(tensors, r"downsampling_modules\.(\d+)\.")):
        name = f"downsampling_modules.{place}"
        if f"{name}.conv.weight" in tensors:
            scales.append([])
        elif f"{name}.NIN_0.W" in tensors:
            attention_scale = len(scales) - 1
        else:
            scales[-1].append(shape_of(tensors, f"{name}.conv0.weight")[0])
    found = {
        "channels": channels,
        "base_width": base_width,
        "multipliers": tuple(blocks[-1] // base_width for blocks in scales if blocks),
        "num_res_blocks": len(scales[0]),
        "attention_scale": attention_scale,
        "time_features": shape_of(tensors, "temb_modules.0.weight")[1],
        "latent": "tlam_mix.weight" in tensors,
    }
    return make_config(UNetConfig, found, known)


TAULDR = Layout(
    sizes=sizes,
    unsaid=(
        "num_states",
        "height",
        "width",
        "time_scale",
        "value_range",
        "rescale_skips",
        "mirrored",
        "dropout",
    ),
    rules=(
        (r"^time_mlp\.input", "temb_modules.0"),
        (r"^time_mlp\.output", "temb_modules.1"),
        (r"^latent_mlp\.input", "lemb_modules.0"),
        (r"^latent_mlp\.output", "lemb_modules.1"),
        (r"^context_mlp\.input", "hlemb_modules.0"),
        (r"^context_mlp\.output", "hlemb_modules.1"),
        (r"^latent_mix", "tlam_mix"),
        (r"^context_mix", "h_t_lam_mix"),
        (r"^input\.", "input_conv."),
        (r"^output_norm", "output_modules.0"),
        (r"^output\.", "output_modules.1."),
        (r"^down\.", "downsampling_modules."),
        (r"^middle\.", "middle_modules."),
        (r"^up\.", "upsampling_modules."),
        (r"\.norm_(\d)\.", r".groupnorm\1."),
        (r"\.conv_(\d)\.", r".conv\1."),
        (r"\.time\.", ".dense0."),
        (r"\.latent\.", ".dense1."),
        (r"\.norm\.", ".GroupNorm_0."),
        (r"\.shortcut\.weight$", ".nin.W"),
        (r"\.shortcut\.bias$", ".nin.b"),
        (r"\.query\.", ".NIN_0."),
        (r"\.key\.", ".NIN_1."),
        (r"\.value\.", ".NIN_2."),
        (r"\.output\.", ".NIN_3."),
        (r"(NIN_\d)\.weight$", r"\1.W"),
        (r"(NIN_\d)\.bias$", r"\1.b"),
    ),
    root="model/",
    wrappers=r"^(net\.|module\.|_orig_mod\.)+",
    training=r"optimizer(/.*)?|n_iter|model/ema_(decay|num_updates|shadow_params/\d+)",
    transposed=r".*\.W",
    averaged="model/ema_shadow_params",
    averaged_by_default=True,
)
