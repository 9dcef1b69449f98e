r"""Parity and repetition on D bits: the error of N masked steps as a rational number.

Linear schedule, uniform grid, all-mask start. The D bits are unmasked like D balls thrown into N
boxes.

  parity, uniform on the strings with an even sum:
    TV_N = (1 - D N^-D sum_{k<N} k^{D-1}) / 2
  repetition, 0..0 and 1..1 with probability 1/2 each:
    TV_N = sum_k C(D,k) N^-k sum_{j=1}^N ((N-j)/N)^{D-k} (1 - 2^{1-k})

Parity is wrong only if the last batch has more than one bit, repetition only if the bits of the
first batch disagree. Both errors tend to D / (4N), although the laws are at opposite ends: parity
has total correlation log 2 and any D - 1 of its bits are independent; repetition has total
correlation (D - 1) log 2 and every bit determines the others.

Total correlation does not order laws by their few-step error. A law of (D - 1) / 2 pairs of equal
bits and a free bit has total correlation (D - 1) / 2 log 2, which is more than that of parity. Its
error is about (D - 1) / (4N), which is less.

D/(4N) - D(D-1)/(24 N^2) <= parity <= repetition <= D/(4N). For parity the two bounds are the first
terms of the Euler-Maclaurin formula, at every N: the trapezoid rule overestimates the integral of a
convex power. That repetition lies between them is not proved; it is checked at D = 2, ..., 24 for
eight N up to 100. Beyond the paper.
"""

from collections.abc import Callable
from fractions import Fraction

import torch

from di4c.exact import product_composition, total_variation
from di4c.exact.closed_forms import parity_tv, repetition_tv
from di4c.exact.limits import limit_n_tv
from di4c.processes import MaskedProcess
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.limits.masked.any_law import polynomial_limit
from theory.tools import oracle
from theory.tools.laws import parity, repetition
from theory.tools.oracle import Law
from theory.tools.unmasking import masked_out

ClosedForm = Callable[[int, int], Fraction]


def verify(record: Record, name: str, law_of: Callable[[int], Law], closed: ClosedForm) -> None:
    """Compare the closed form with the oracle, in fractions, and with the exact engine."""
    for num_dims, most in ((1, 3), (2, 8), (3, 4), (4, 2)):
        law = law_of(num_dims)
        for num_steps in range(1, most + 1):
            left = oracle.total_variation(masked_out(law, num_steps), law)
            what = f"{name}, D = {num_dims}, N = {num_steps}"
            record.equal(left, closed(num_dims, num_steps), 0, what)
    for num_dims, num_steps in ((5, 7), (6, 3), (7, 2)):
        law = torch.tensor([float(p) for p in law_of(num_dims).values()], dtype=torch.float64)
        out = product_composition(MaskedProcess(2), law, uniform_grid(num_steps))
        left, right = float(total_variation(out, law)), float(closed(num_dims, num_steps))
        record.equal(left, right, 1e-13, f"{name}, D = {num_dims}, N = {num_steps}, engine")


@claim(
    "parity",
    "Parity on D bits: TV_N = (1 - D N^-D sum_{k<N} k^{D-1}) / 2.",
    group="beyond",
    source="this project",
    hypotheses="masked noise, linear schedule, uniform grid; the sampler uses the marginals of "
    "p_0 where q_t = 0",
)
def verify_parity(record: Record) -> None:
    """Parity with up to 7 bits and up to 8 steps."""
    verify(record, "parity", parity, parity_tv)


@claim(
    "repetition",
    "D equal bits: TV_N = sum_k C(D,k) N^-k sum_{j=1}^N ((N-j)/N)^{D-k} (1 - 2^{1-k}).",
    group="beyond",
    source="this project",
    hypotheses="masked noise, linear schedule, uniform grid; any convention where q_t = 0",
)
def verify_repetition(record: Record) -> None:
    """Repetition with up to 7 bits and up to 8 steps."""
    verify(record, "repetition", repetition, repetition_tv)


@claim(
    "parity-repetition-limit",
    "N TV_N -> D/4 for parity and for repetition on D bits.",
    group="beyond",
    source="this project",
    hypotheses="masked noise, linear schedule, uniform grid, so that N TV_N is a polynomial in "
    "1/N; exact rationals",
)
def verify_limit(record: Record) -> None:
    """The value of the polynomial at 1/N = 0 is D / 4, and limit_n_tv of the library agrees."""
    for name, law_of, closed in (
        ("parity", parity, parity_tv),
        ("repetition", repetition, repetition_tv),
    ):
        for num_dims in range(2, 17):
            values = {n: n * closed(num_dims, n) for n in range(1, num_dims + 1)}
            what = f"{name}, D = {num_dims}"
            record.equal(polynomial_limit(values), Fraction(num_dims, 4), 0, what)
        for num_dims in range(2, 9):
            law = torch.tensor([float(p) for p in law_of(num_dims).values()], dtype=torch.float64)
            left = limit_n_tv(MaskedProcess(2), law)
            record.equal(left, num_dims / 4, 1e-12, f"{name}, D = {num_dims}, general formula")


@claim(
    "parity-repetition-bounds",
    "D/(4N) - D(D-1)/(24 N^2) <= TV_N of parity <= TV_N of repetition <= D/(4N).",
    group="beyond",
    source="this project",
    hypotheses="checked for D = 2, ..., 24 and eight N from 1 to 100; proved for parity, not for "
    "repetition",
)
def verify_bounds(record: Record) -> None:
    """Both bounds and the order of the two laws, at eight N for each D."""
    for num_dims in range(2, 25):
        for num_steps in (1, 2, 3, 5, 8, 13, 40, 100):
            what = f"D = {num_dims}, N = {num_steps}"
            first = Fraction(num_dims, 4 * num_steps)
            second = Fraction(num_dims * (num_dims - 1), 24 * num_steps**2)
            less, more = parity_tv(num_dims, num_steps), repetition_tv(num_dims, num_steps)
            record.at_most(first - second, less, f"lower bound, parity, {what}", smallest=0)
            record.at_most(less, more, f"parity <= repetition, {what}")
            record.at_most(more, first, f"upper bound, repetition, {what}", largest=1)


def equal_pairs(num_dims: int) -> Law:
    """Fair bits with 1 = 2, 3 = 4, and so on; at odd D the last bit is free."""
    weight = Fraction(1, 2 ** ((num_dims + 1) // 2))
    states = oracle.all_states(num_dims, 2)
    return {x: weight * all(x[i] == x[i + 1] for i in range(0, num_dims - 1, 2)) for x in states}


def equal_pairs_tv(num_dims: int, num_steps: int) -> Fraction:
    """1 - (1 - 1/(2N))^(D // 2), the probability that some pair is unmasked at once and differs."""
    return 1 - (1 - Fraction(1, 2 * num_steps)) ** (num_dims // 2)


@claim(
    "total-correlation-does-not-order",
    "False in general: of two laws, the one with more total correlation has the larger error. "
    "Pairs of equal bits have more total correlation than parity and a smaller error.",
    group="fails",
    source="this project",
    hypotheses="masked noise, linear schedule; (D-1)/2 pairs and a free bit, odd D >= 5",
)
def verify_order(record: Record) -> None:
    """Total correlation, and the error at N = 40 and in the limit."""
    for num_dims in (3, 5, 7, 9):
        pairs, even = equal_pairs(num_dims), parity(num_dims)
        what = f"D = {num_dims}"
        if num_dims == 3:
            left = oracle.total_variation(masked_out(pairs, 3), pairs)
            record.equal(left, equal_pairs_tv(3, 3), 0, "equal pairs, closed form")
        else:
            gap = oracle.total_correlation(pairs) - oracle.total_correlation(even)
            record.exceeds(gap, 0, 0.69, f"more total correlation, {what}")
        less, more = equal_pairs_tv(num_dims, 40), parity_tv(num_dims, 40)
        record.exceeds(more, less, 0.001, f"less error, N = 40, {what}")
        limits = [
            limit_n_tv(MaskedProcess(2), torch.tensor([float(p) for p in law.values()]).double())
            for law in (pairs, even)
        ]
        record.exceeds(limits[1], limits[0], 0.249, f"less error in the limit, {what}")
