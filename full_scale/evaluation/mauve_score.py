"""MAUVE (Pillutla et al. 2021) through the package mauve-text, repeated over seeds."""

import importlib
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

SCALING = 5
"""Exponent of the divergence curve: the package's default, and SDTT's."""


class Mauve(NamedTuple):
    """MAUVE of one set of texts.

    Attributes:
        mean: over the seeds of its clustering.
        deviation: standard deviation over them, 0 for one seed.
        values: of each seed.
    """

    mean: float
    deviation: float
    values: list[float]


def mauve(
    real: Float[Tensor, "real feature"],
    generated: Float[Tensor, "text feature"],
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
) -> Mauve:
    """Agreement of two sets of text features, in (0, 1]; higher is closer.

    It quantises the features by k-means, whose random start moves the result: hence several seeds
    (SDTT takes these five). It also depends on the numbers of texts: compare equal numbers only.

    Raises:
        ValueError: If mauve-text is not installed, there is no seed, or fewer than two texts.
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
