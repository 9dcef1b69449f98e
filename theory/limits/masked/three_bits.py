r"""Masked noise on three bits: what holds for two coordinates fails for three.

* N TV_N can exceed its limit. On two coordinates it equals the limit at every N.
* Splitting a step can raise TV. On two coordinates it never does.

With three coordinates let $E_1$, $E_2$ and $E_3$ be the errors of the reveals "two at once, then
the third", "one, then two at once" (each summed over the pairs) and "all at once". If step k
reveals a coordinate with probability $b_k$, then with $B_k = b_1 + \dots + b_k$

$$\mathrm{out} - p_0 = \sum_k b_k^2 (1 - B_k)\, E_1 + \sum_k b_k^2 B_{k-1}\, E_2
  + \sum_k b_k^3\, E_3.$$

The errors have signs and can cancel: $E_1 + E_2$ may be small where $E_3$ is not. Revealing a few
coordinates first changes the error by $b (E_2 - 3 E_3)$ to first order, which may point away from
the data.

Both laws were found by the laboratory, `python -m theory.lab theory/lab/open/*.py`. Beyond the
paper.
"""

import itertools
from collections.abc import Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.limits.masked.any_law import masked_direction, polynomial_limit
from theory.tools import oracle
from theory.tools.oracle import Law
from theory.tools.unmasking import masked_out


def law_of(weights: Sequence[int]) -> Law:
    """The law on three bits with these weights of 000, 001, ..., 111."""
    return oracle.law_from([Fraction(w, sum(weights)) for w in weights], 3, 2)


ABOVE = law_of([17, 0, 0, 1, 0, 1, 1, 1])
SPLIT = law_of([2, 0, 0, 1, 4, 2, 2, 1])
LATE = [Fraction(1), Fraction(1, 50), Fraction(0)]  # alpha: a fiftieth is revealed first


def masked_error(law: Law, alphas: Sequence[Fraction]) -> Fraction:
    """TV of the masked sampler with these survival probabilities, from 1 to 0."""
    kernels = [
        oracle.masked_kernel(later / earlier, 2, from_data=earlier == 1)
        for earlier, later in itertools.pairwise(alphas)
    ]
    return oracle.total_variation(oracle.compose(law, kernels), law)


@claim(
    "masked-n-tv-exceeds-its-limit",
    "False in general: N TV_N is at most its limit under masked noise. On three bits it falls from "
    "108/343 = 0.315 at N = 1 to its limit 187/882 = 0.212.",
    group="fails",
    source="this project",
    hypotheses="linear schedule, uniform grid; exact rationals. On two coordinates N TV_N = d_12",
)
def verify_above_the_limit(record: Record) -> None:
    """The value at N = 1, the limit by two routes, and all N up to 6 between them."""
    outs = {n: masked_out(ABOVE, n) for n in range(1, 7)}
    scaled = {n: n * oracle.total_variation(out, ABOVE) for n, out in outs.items()}
    record.equal(scaled[1], Fraction(108, 343), 0, "N = 1")
    by_sum = masked_direction(ABOVE)
    by_steps = {
        x: polynomial_limit({n: n * (outs[n][x] - ABOVE[x]) for n in (1, 2)}) for x in ABOVE
    }
    for what, direction in (("sum over pairs", by_sum), ("polynomial in 1/N", by_steps)):
        limit = sum(abs(v) for v in direction.values()) / 2
        record.equal(limit, Fraction(187, 882), 0, f"limit, {what}")
        for n, value in scaled.items():
            record.exceeds(value, limit, 0.0, f"N = {n}, {what}")
    for earlier, later in itertools.pairwise(scaled):
        record.exceeds(scaled[earlier], scaled[later], 0.0, f"falls from N = {earlier}")


@claim(
    "masked-split-can-hurt",
    "False in general: splitting a step never raises TV under masked noise. On three bits it "
    "rises from 1/9 to 0.1131 if a fiftieth of the coordinates is revealed first.",
    group="fails",
    source="this project",
    hypotheses="start all-mask; exact rationals. On two coordinates splitting never hurts",
)
def verify_split(record: Record) -> None:
    """One step against two, and the same for a hundredth."""
    whole = masked_error(SPLIT, [Fraction(1), Fraction(0)])
    record.equal(whole, Fraction(1, 9), 0, "one step")
    split = masked_error(SPLIT, LATE)
    record.equal(split, Fraction(305341, 2700000), 0, "two steps")
    record.exceeds(split, whole, Fraction(19, 10_000), "the split raises TV")
    later = masked_error(SPLIT, [Fraction(1), Fraction(1, 100), Fraction(0)])
    record.exceeds(later, whole, Fraction(9, 10_000), "a hundredth first")
