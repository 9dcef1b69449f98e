r"""Two laws on D bits whose few-step error under masked noise is a known fraction for all D and N.

A product step unmasks a batch of coordinates and draws them independently of each other. In N equal
steps the batches are those of D balls thrown into N boxes. Both errors fall like D / (4N).
"""

import math
from fractions import Fraction

from di4c.checks import check_count


def parity_tv(num_dims: int, num_steps: int) -> Fraction:
    r"""TV of N masked steps (linear schedule, uniform grid) on D bits of even parity.

    It is $\tfrac12 (1 - D N^{-D} \sum_{k<N} k^{D-1})$, half the probability that the last batch
    holds more than one bit: any D - 1 of the bits are independent. Beyond the paper.

    Args:
        num_dims: D.
        num_steps: N.

    Raises:
        ValueError: If D or N is less than 1.

    Example:
        >>> parity_tv(2, 1)
        Fraction(1, 2)
    """
    _check_counts(num_dims, num_steps)
    # With D = 1 the first term is 0^0 = 1, as needed: a single bit is alone in the last batch.
    alone = num_dims * sum(k ** (num_dims - 1) for k in range(num_steps))
    return (1 - Fraction(alone, num_steps**num_dims)) / 2


def repetition_tv(num_dims: int, num_steps: int) -> Fraction:
    r"""TV of N masked steps (linear schedule, uniform grid) on $(\delta_{0..0} + \delta_{1..1})/2$.

    It is $\sum_k \binom{D}{k} N^{-k} \sum_{j=1}^N ((N-j)/N)^{D-k} (1 - 2^{1-k})$: the probability
    that the first batch, of k bits at step j, contains two bits that differ. Beyond the paper.

    Args:
        num_dims: D.
        num_steps: N.

    Raises:
        ValueError: If D or N is less than 1.
    """
    _check_counts(num_dims, num_steps)
    terms = (
        Fraction(math.comb(num_dims, k) * later ** (num_dims - k), num_steps**num_dims)
        * (1 - Fraction(2, 2**k))
        for k in range(1, num_dims + 1)
        for later in range(num_steps)
    )
    return sum(terms, Fraction(0))


def _check_counts(num_dims: int, num_steps: int) -> None:
    check_count("num_dims", num_dims)
    check_count("num_steps", num_steps)
