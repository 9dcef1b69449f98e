"""Checkpoints of MDLM's and SDTT's transformer on OpenWebText, and of its Di4C students."""

from typing import Any

from full_scale.convert.layout import (
    LATENT_TOKEN,
    LIGHTNING,
    Layout,
    Tensors,
    count,
    make_config,
    shape_of,
)
from full_scale.models.dit import DiTConfig
from full_scale.models.rotary import rotary_frequencies

_FREQUENCIES = "rotary_emb.inv_freq"


def sizes(tensors: Tensors, **known: Any) -> DiTConfig:
    """The sizes that the shapes say. The number of heads is known if the file has `inv_freq`."""
    num_states, hidden_size = shape_of(tensors, "vocab_embed.embedding")
    condition_size, noise_features = shape_of(tensors, "sigma_map.mlp.0.weight")
    found = {
        "num_states": num_states,
        "hidden_size": hidden_size,
        "condition_size": condition_size,
        "noise_features": noise_features,
        "num_blocks": count(tensors, r"blocks\.(\d+)\."),
        "mlp_ratio": shape_of(tensors, "blocks.0.mlp.0.weight")[0] // hidden_size,
        "latent": "latent_projection.0.weight" in tensors,
    }
    if (frequencies := tensors.get(_FREQUENCIES)) is not None:
        found["num_heads"] = hidden_size // (2 * len(frequencies))
    return make_config(DiTConfig, found, known)


MDLM_SDTT = Layout(
    sizes=sizes,
    unsaid=("num_dims", "num_heads", "time_conditioning", "dropout"),
    rules=(
        *LATENT_TOKEN,
        (r"^token$", "vocab_embed.embedding"),
        (r"^noise_mlp", "sigma_map.mlp"),
        (r"\.norm_1\.", ".norm2."),
        (r"\.norm_0\.", ".norm1."),
        (r"\.qkv\.", ".attn_qkv."),
        (r"\.attention_output\.", ".attn_out."),
        (r"\.mlp_input\.", ".mlp.0."),
        (r"\.mlp_output\.", ".mlp.2."),
        (r"\.modulation\.", ".adaLN_modulation."),
        (r"^output_norm\.", "output_layer.norm_final."),
        (r"^output_modulation\.", "output_layer.adaLN_modulation."),
        (r"^output\.", "output_layer.linear."),
    ),
    root="state_dict/",
    wrappers=r"^(backbone\.|module\.|_orig_mod\.)+",
    training=rf"{LIGHTNING}|ema/(decay|num_updates|shadow_params/\d+)",
    derived={_FREQUENCIES: lambda found: rotary_frequencies(2 * len(found))},
    averaged="ema/shadow_params",
)
