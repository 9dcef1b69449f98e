r"""Laws on D bits whose few-step error under masked noise is rational at every D and N.

A product step unmasks a batch of coordinates independently; the batches of N equal steps are
those of D balls thrown into N boxes. Both errors fall like D / (4N).
"""

import math
from fractions import Fraction


def parity_tv(num_dims: int, num_steps: int) -> Fraction:
    r"""TV of N masked steps (linear schedule, uniform grid) on D bits of even parity.

    $\tfrac12 (1 - D N^{-D} \sum_{k<N} k^{D-1})$: half the probability that the last batch holds
    more than one bit. The only correlation is that of all D bits together. Beyond the paper.
    """
    _check_counts(num_dims, num_steps)
    # 0^0 = 1: a single bit is always alone in the last batch.
    alone = num_dims * sum(k ** (num_dims - 1) for k in range(num_steps))
    return (1 - Fraction(alone, num_steps**num_dims)) / 2


def repetition_tv(num_dims: int, num_steps: int) -> Fraction:
    r"""TV of N masked steps (linear schedule, uniform grid) on $(\delta_{0..0} + \delta_{1..1})/2$.

    $\sum_k \binom{D}{k} N^{-k} \sum_{j=1}^N ((N-j)/N)^{D-k} (1 - 2^{1-k})$: the first batch, k bits
    at step j, disagrees with itself. Beyond the paper.
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
    if num_dims < 1 or num_steps < 1:
        raise ValueError(
            f"num_dims and num_steps must be at least 1; got {num_dims} and {num_steps}"
        )
