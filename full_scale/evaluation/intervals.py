r"""Bootstrap confidence intervals: how a metric varies between sets of samples of one model."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Int
from scipy.stats import t as student_t
from torch import Tensor

from di4c.checks import check_number


class Interval(NamedTuple):
    """A metric with its uncertainty.

    Attributes:
        value: the metric on the samples as they are.
        low: lower end of the interval.
        high: upper end.
        level: confidence level, as in 0.95.
        replicates: number of resampled sets that the interval is computed from.
    """

    value: float
    low: float
    high: float
    level: float
    replicates: int


def bootstrap_interval(
    statistic: Callable[[Int[Tensor, "sample"]], float],
    num_samples: int,
    *,
    replicates: int = 100,
    level: float = 0.95,
    generator: torch.Generator | None = None,
) -> Interval:
    r"""The statistic on all samples, plus and minus t times its bootstrap standard error.

    The standard error is the standard deviation of the statistic over sets drawn with replacement
    (Efron 1979). t is Student's quantile with replicates - 1 degrees of freedom.

    Quantiles of the replicates would be wrong for Frechet distances. A resampled set holds fewer
    distinct samples, which biases each replicate upwards. The spread of the replicates is correct.

    The interval covers the randomness of sampling from one model. It does not cover the randomness
    of training, nor the bias of a metric at a finite number of samples.

    Args:
        statistic: function of the indices of the samples to use, which may repeat.
        num_samples: number of samples; the indices are 0..n-1.
        replicates: number of sets to draw.
        level: confidence level.
        generator: source of randomness, on the CPU.

    Raises:
        ValueError: If there are fewer than two samples or replicates, or level is not in (0, 1).
    """
    for name, value in (("num_samples", num_samples), ("replicates", replicates)):
        if value < 2:
            raise ValueError(f"{name} must be at least 2 for an interval; got {value}")
    check_number("level", level, "(0, 1)", "use 0.95 for the usual interval")
    value = float(statistic(torch.arange(num_samples)))
    draws = [
        float(statistic(torch.randint(num_samples, (num_samples,), generator=generator)))
        for _ in range(replicates)
    ]
    error = float(torch.tensor(draws, dtype=torch.float64).std())
    margin = float(student_t.ppf((1 + level) / 2, replicates - 1)) * error
    return Interval(value, value - margin, value + margin, level, replicates)
