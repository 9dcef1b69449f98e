"""Checkpoints of MaskGIT-pytorch's transformer on ImageNet, and of its Di4C students."""

from typing import Any

from full_scale.convert.layout import (
    LATENT_TOKEN,
    Layout,
    Tensors,
    count,
    make_config,
    shape_of,
)
from full_scale.models.maskgit import MaskGITConfig


def sizes(tensors: Tensors, **known: Any) -> MaskGITConfig:
    """The sizes that the shapes say.

    Raises:
        ValueError: If the embedding has too few rows for so many classes.
    """
    num_embeddings, hidden_size = shape_of(tensors, "tok_emb.weight")
    num_classes = known.get("num_classes", MaskGITConfig.num_classes)
    if num_embeddings < num_classes + 3:
        raise ValueError(
            f"tok_emb.weight has {num_embeddings} rows, too few for {num_classes} classes, a mask "
            "and a code: give num_classes"
        )
    found = {
        "codebook_size": num_embeddings - num_classes - 2,
        "num_dims": shape_of(tensors, "pos_emb")[1] - 1,
        "hidden_size": hidden_size,
        "num_blocks": count(tensors, r"transformer\.layers\.(\d+)\."),
        "mlp_size": shape_of(tensors, "transformer.layers.0.1.fn.net.0.weight")[0],
        "latent": "latent_projection.0.weight" in tensors,
    }
    return make_config(MaskGITConfig, found, known)


MASKGIT = Layout(
    sizes=sizes,
    unsaid=("num_classes", "num_heads", "dropout"),
    rules=(
        *LATENT_TOKEN,
        (r"^position$", "pos_emb"),
        (r"^token\.", "tok_emb."),
        (r"^input\.", "first_layer."),
        (r"^output\.", "last_layer."),
        (r"^blocks\.(\d+)\.norm_([01])\.", r"transformer.layers.\1.\2.norm."),
        (r"^blocks\.(\d+)\.mlp\.", r"transformer.layers.\1.1.fn.net."),
        (r"^blocks\.(\d+)\.attention\.", r"transformer.layers.\1.0.fn.mha."),
        (r"\.mha\.qkv\.", ".mha.in_proj_"),
        (r"\.mha\.output\.", ".mha.out_proj."),
    ),
    root="model_state_dict/",
    training=r"iter|global_epoch|optimizer_state_dict(/.*)?",
)
