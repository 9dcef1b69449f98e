"""Network sizes from the descriptions of the recordings, as our configs."""

from collections.abc import Callable

from full_scale.models import (
    BackboneConfig,
    DiTConfig,
    MaskGITConfig,
    UNetConfig,
    VQGANConfig,
)


def _unet(sizes: dict) -> UNetConfig:
    channels, height, width = sizes["shape"]
    assert channels == sizes["input_channels"]
    num_scales, attention_scale = len(sizes["ch_mult"]), sizes["scale_count_to_put_attn"]
    return UNetConfig(
        num_states=sizes["S"],
        channels=channels,
        height=height,
        width=width,
        base_width=sizes["ch"],
        multipliers=sizes["ch_mult"],
        num_res_blocks=sizes["num_res_blocks"],
        # A number that belongs to no scale means no attention, which our config writes as -1.
        attention_scale=attention_scale if attention_scale in range(num_scales) else -1,
        time_features=sizes["time_embed_dim"],
        time_scale=float(sizes["time_scale_factor"]),
        value_range=sizes["data_min_max"],
        rescale_skips=sizes["skip_rescale"],
        mirrored=sizes["fix_logistic"],
        dropout=sizes["dropout"],
        latent=sizes["do_lam_embed"],
    )


def _maskgit(sizes: dict) -> MaskGITConfig:
    assert sizes["mask_token"] == sizes["codebook_size"]
    return MaskGITConfig(
        codebook_size=sizes["codebook_size"],
        num_classes=sizes["nclass"],
        num_dims=(sizes["img_size"] // 16) ** 2,
        hidden_size=sizes["hidden_dim"],
        num_blocks=sizes["depth"],
        num_heads=sizes["heads"],
        mlp_size=sizes["mlp_dim"],
        dropout=sizes["dropout"],
        latent=sizes["is_student"],
    )


def _vqgan(sizes: dict) -> VQGANConfig:
    inner = sizes["ddconfig"]
    assert not inner["double_z"]
    sides = [inner["resolution"] >> level for level in range(len(inner["ch_mult"]))]
    return VQGANConfig(
        codebook_size=sizes["n_embed"],
        code_size=sizes["embed_dim"],
        latent_channels=inner["z_channels"],
        channels=inner["in_channels"],
        resolution=inner["resolution"],
        base_width=inner["ch"],
        multipliers=inner["ch_mult"],
        num_res_blocks=inner["num_res_blocks"],
        attention_levels=[
            level for level, side in enumerate(sides) if side in inner["attn_resolutions"]
        ],
        dropout=inner["dropout"],
    )


def _dit(sizes: dict) -> DiTConfig:
    model = sizes["model"]
    assert not model["tie_word_embeddings"]
    assert sizes["mask_index"] == sizes["vocab_size"] - 1
    return DiTConfig(
        num_states=sizes["vocab_size"],
        num_dims=model["length"],
        hidden_size=model["hidden_size"],
        condition_size=model["cond_dim"],
        num_blocks=model["n_blocks"],
        num_heads=model["n_heads"],
        mlp_ratio=sizes["mlp_ratio"],
        noise_features=sizes["frequency_embedding_size"],
        time_conditioning=sizes["time_conditioning"],
        dropout=model["dropout"],
        latent=sizes["is_di4c"],
    )


SIZES: dict[str, Callable[[dict], BackboneConfig]] = {
    "tauldr": _unet,
    "maskgit": _maskgit,
    "vqgan": _vqgan,
    "mdlm": _dit,
    "sdtt": _dit,
}
"""Functions from the sizes in a description to the config, by kind of network."""
