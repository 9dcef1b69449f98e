"""Scaled dot-product attention of the transformers."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attention(
    query: Float[Tensor, "batch head token feature"],
    key: Float[Tensor, "batch head token feature"],
    value: Float[Tensor, "batch head token feature"],
    dropout: float = 0.0,
) -> Float[Tensor, "batch head token feature"]:
    """Attention in the type of its inputs.

    On CPUs it is computed in float32, because PyTorch's backward pass in bfloat16 is up to ten
    times slower there.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):
            parts = (part.float() for part in (query, key, value))
            return scaled_dot_product_attention(*parts, dropout_p=dropout).to(query.dtype)
    return scaled_dot_product_attention(query, key, value, dropout_p=dropout)
