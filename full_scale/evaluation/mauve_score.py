"""MAUVE (Pillutla et al. 2021) through the package mauve-text, repeated over seeds."""

import importlib
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

SCALING = 5
"""Exponent of the divergence curve. It is the package's default, which SDTT uses too."""


class Mauve(NamedTuple):
    """MAUVE of one set of texts.

    Attributes:
        mean: mean over the seeds of its clustering.
        deviation: standard deviation over the seeds; 0 for one seed.
        values: value for each seed.
    """

    mean: float
    deviation: float
    values: list[float]


def mauve(
    real: Float[Tensor, "real feature"],
    generated: Float[Tensor, "text feature"],
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
) -> Mauve:
    """Agreement of two sets of text features, in (0, 1]. Higher is closer.

    MAUVE quantises the features by k-means, and the result depends on its random start. That is
    why there are several seeds; SDTT uses these five. The result also depends on the numbers of
    texts, so compare equal numbers.

    Raises:
        ValueError: If mauve-text is not installed, if there is no seed, or if a set has fewer than
            two texts.
    """
    if not seeds:
        raise ValueError("seeds must hold at least one seed of the clustering; got none")
    for name, features in (("real", real), ("generated", generated)):
        if len(features) < 2:
            raise ValueError(f"{name} must hold at least two texts; got {len(features)}")
    try:
        compute = importlib.import_module("mauve").compute_mauve
    except ImportError as error:
        raise ValueError(
            f"MAUVE needs mauve-text ({error}); install it: pip install -e '.[metrics]'"
        ) from None
    values = [
        float(
            compute(
                p_features=real.double().numpy(),
                q_features=generated.double().numpy(),
                mauve_scaling_factor=SCALING,
                seed=seed,
            ).mauve
        )
        for seed in seeds
    ]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return Mauve(statistics.fmean(values), deviation, values)
