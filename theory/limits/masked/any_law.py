r"""The limit of N TV_N for masked noise, for any data law (zeros included) and any schedule.

Let c_m = int_0^T alpha^m (1 - alpha)^(D-2-m) alpha'^2 dt with m = |A|. On the linear schedule
c_m = m! (D-2-m)! / (D-1)! / T. Then

  N (out_N - p_0) -> T V,
  V = -sum_{i<j} sum_{A without i, j} c_m p(A) [p(ij|A) - p(i|A) p(j|A)] p(rest|A, i, j):

The coordinates i and j are unmasked in the same step, the coordinates A before them, and the rest
after them. Where p_0 has zeros, the sampler also reaches values of (A, i, j) that have probability
0 in the data. There p(rest|A, i, j) is a convention, and V depends on it. Here it is the product of
the marginals, as in `posterior_marginals` of the library and in the oracle.

On the linear schedule out_N is a polynomial of degree D - 1 in 1/N, as for D balls in N boxes. So
D - 1 small values of N give the limit without rounding. Beyond the paper.
"""

import itertools
import math
import random
from fractions import Fraction

import torch

from di4c.exact.limits import limit_direction
from di4c.processes import MaskedProcess
from di4c.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule, LogLinearSchedule
from theory.claim import Record, claim
from theory.limits.any_law import compare_limits
from theory.tools import oracle
from theory.tools.laws import rational_law, sparse_law
from theory.tools.oracle import Law, State
from theory.tools.unmasking import masked_out


def masked_direction(law: Law) -> Law:
    """V on the linear schedule with T = 1: the sum of the module docstring, in fractions."""
    num_dims = len(next(iter(law)))
    single = oracle.marginals(law)

    def mass(x: State, known: tuple[int, ...]):
        return sum(p for y, p in law.items() if all(y[d] == x[d] for d in known))

    direction = {}
    for x in law:
        total = Fraction(0)
        for i, j in itertools.combinations(range(num_dims), 2):
            others = [d for d in range(num_dims) if d not in (i, j)]
            for m in range(num_dims - 1):
                weight = Fraction(
                    math.factorial(m) * math.factorial(num_dims - 2 - m),
                    math.factorial(num_dims - 1),
                )
                for known in itertools.combinations(others, m):
                    seen, pair = mass(x, known), mass(x, (*known, i, j))
                    if not seen:
                        continue
                    independent = mass(x, (*known, i)) * mass(x, (*known, j)) / seen
                    unknown = [d for d in others if d not in known]
                    rest = law[x] / pair if pair else math.prod(single[d][x[d]] for d in unknown)
                    total -= weight * (pair - independent) * rest
        direction[x] = total
    return direction


def polynomial_limit(values: dict[int, Fraction]) -> Fraction:
    """Value at 1/N = 0 of the polynomial in 1/N through the points (N, value), by Lagrange."""
    return sum(
        value * math.prod(Fraction(n, n - k) for k in values if k != n)
        for n, value in values.items()
    )


@claim(
    "masked-limit",
    "Masked noise, any schedule: N (out_N - p_0) -> T V, where V is an explicit sum with the "
    "weights c_m = int alpha^m (1-alpha)^(D-2-m) alpha'^2.",
    group="beyond",
    source="this project",
    hypotheses="int alpha'^2 finite, uniform grid, start q_T; zeros in p_0 allowed, where V "
    "depends on the convention for states that the data do not reach",
)
def verify_masked(record: Record) -> None:
    """Laws with zeros, every schedule with a bounded derivative."""
    generator = torch.Generator().manual_seed(1)
    schedules = (
        LinearSchedule(1.7),
        CosineSchedule(0.5),
        ExponentialSchedule(2.0),
        LogLinearSchedule(epsilon=0.1),
    )
    for (num_values, num_dims), schedule in itertools.product(((2, 3), (3, 3), (4, 2)), schedules):
        what = f"S = {num_values}, D = {num_dims}, {type(schedule).__name__}"
        process = MaskedProcess(num_values, schedule)
        compare_limits(record, process, sparse_law(generator, num_dims, num_values), what)


@claim(
    "masked-limit-linear",
    "Masked noise, linear schedule: N (out_N - p_0) -> V with the weights "
    "c_m = m! (D-2-m)! / (D-1)!.",
    group="beyond",
    source="this project",
    hypotheses="uniform grid, so that out_N is a polynomial of degree D - 1 in 1/N; exact "
    "rationals",
)
def verify_masked_exactly(record: Record) -> None:
    """The polynomial through D - 1 values of N, in fractions, against V."""
    rng = random.Random(2)
    for num_dims, num_values, least in ((2, 3, 1), (3, 2, 1), (3, 2, -6), (3, 3, -6), (4, 2, -6)):
        law = rational_law(rng, num_dims, num_values, least)
        outs = {n: masked_out(law, n) for n in range(1, num_dims)}
        right = masked_direction(law)
        q_0 = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
        vector = limit_direction(MaskedProcess(num_values), q_0)
        for x, fast in zip(law, vector.tolist(), strict=True):
            what = f"S = {num_values}, D = {num_dims}: V at {x}"
            left = polynomial_limit({n: n * (out[x] - law[x]) for n, out in outs.items()})
            record.equal(left, right[x], 0, what)
            record.equal(float(right[x]), fast, 1e-7, f"{what}, limit_direction")
