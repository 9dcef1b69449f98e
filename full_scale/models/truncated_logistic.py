"""The head of the U-Net, as in tauLDR: a logistic distribution that is divided into bins."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

_FLOOR = 1e-6  # inside log1p: a bin has at least 1e-6 of the mass to the left of its right edge


def truncated_logistic(
    features: Float[Tensor, "*rows 2"], num_states: int, *, mirrored: bool = False
) -> Float[Tensor, "*rows state"]:
    r"""Logits of the S bins of [-1, 1] under a logistic law of mean $\mu$ and scale s.

    With $F(x) = \sigma\big((x - \mu) e^{2 - \log s}\big)$ and $a = \log F$ at the right edge of a
    bin and $b = \log F$ at its left edge, the logit is $a + \log(1 - e^{b - a} + 10^{-6})$, the
    log-probability of the bin. The softmax over bins conditions on [-1, 1].

    Args:
        features: $\mu$ and $\log s$ of each row.
        num_states: S.
        mirrored: take the smaller of the logit and the logit of the mirrored law. The mirrored one
            is accurate where F is close to 1.

    Returns:
        Logits that are not normalised; float32, or float64 for float64 features.

    Source: Campbell et al., NeurIPS 2022, Section H.2, and its code.
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    mean, log_scale = features[..., :1], features[..., 1:]
    inverse_scale = torch.exp(2 - log_scale)
    edges = torch.linspace(-1, 1, num_states + 1, dtype=features.dtype, device=features.device)
    scaled = (edges - mean) * inverse_scale
    below = logsigmoid(scaled)
    logits = _log_difference(below[..., 1:], below[..., :-1])
    if not mirrored:
        return logits
    above = logsigmoid(-scaled)
    return torch.minimum(logits, _log_difference(above[..., :-1], above[..., 1:]))


def _log_difference(larger: Tensor, smaller: Tensor) -> Tensor:
    return larger + torch.log1p(_FLOOR - torch.exp(smaller - larger))
