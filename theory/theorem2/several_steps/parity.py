r"""A perfect student in k steps on more than two coordinates: parity in closed form.

Masked noise, linear schedule, uniform grids, k divides N; see masked.py. Every proper subset of the
bits of parity is uniform, for the data and for the teacher. So the student errs only if its last
step j reveals all m bits that are left, and with the probability that the teacher errs on m bits in
n steps, $e(m, n) = 1 - m\, n^{-m} \sum_{i < n} i^{m-1}$:

$$TV(k) = \tfrac12 \sum_{j=1}^k \sum_{m=2}^D \binom{D}{m} k^{-m} \Big(\frac{k-j}{k}\Big)^{D-m}
  e(m, jN/k) .$$

For many teacher steps $e(m, n) \to m / (2n)$, and

$$\frac{TV(k)}{TV_{teacher}} \to \sum_{j=1}^k \frac1j \Big[ \Big(\frac{k-j+1}{k}\Big)^{D-1}
  - \Big(\frac{k-j}{k}\Big)^{D-1} \Big] .$$

For D = 2 this is $H_k / k$. At fixed k it tends to 1 for large D, because the last step then
reveals several bits. So k steps gain little until k is about D.
"""

import random
from fractions import Fraction
from math import comb

from theory.claim import Record, claim
from theory.limits.masked.three_bits import SPLIT
from theory.theorem2.several_steps.masked import Teacher, linear
from theory.theorem2.several_steps.uniform import Spins
from theory.theorem2.several_steps.uniform import closed_form as uniform_pair
from theory.tools import oracle
from theory.tools.laws import parity, rational_law


def teacher_errs(num_bits: int, num_steps: int) -> Fraction:
    """e(m, n): the probability that the last step of the teacher reveals more than one bit."""
    alone = sum(i ** (num_bits - 1) for i in range(num_steps))
    return 1 - Fraction(num_bits * alone, num_steps**num_bits)


def closed_form(num_dims: int, num_steps: int, calls: int) -> Fraction:
    """TV of k calls of the perfect student of a teacher of N steps."""
    total = Fraction(0)
    for j in range(1, calls + 1):
        for m in range(2, num_dims + 1):
            ways = comb(num_dims, m) * (calls - j) ** (num_dims - m)
            total += ways * teacher_errs(m, j * num_steps // calls)
    return total / (2 * calls**num_dims)


def ratio(num_dims: int, calls: int) -> Fraction:
    """The limit of TV(k) / TV of the teacher for many steps of the teacher."""
    powers = [Fraction(calls - j, calls) ** (num_dims - 1) for j in range(calls + 1)]
    return sum((powers[j - 1] - powers[j]) / j for j in range(1, calls + 1))


def error(teacher: Teacher, calls: int) -> Fraction:
    """TV of k calls on the uniform grid, by enumeration."""
    num_steps = len(teacher.kernels)
    made = teacher.sampled(teacher.perfect, range(0, num_steps + 1, num_steps // calls))
    return oracle.total_variation(made, teacher.law)


@claim(
    "several-steps-parity",
    "Parity on D bits, masked noise, perfect student in k steps: TV(k) = (1/2) sum_j sum_{m>=2} "
    "C(D,m) k^-m ((k-j)/k)^(D-m) e(m, jN/k), e(m, n) = 1 - m n^-m sum_{i<n} i^(m-1).",
    group="beyond",
    source="this project",
    hypotheses="linear schedule, uniform grids, k divides N; exact rationals",
)
def verify_parity(record: Record) -> None:
    """The student's law by enumeration; for D = 2 the closed form is H_k / k times 1 / (2N)."""
    for num_dims, num_steps, all_calls in (
        (2, 6, (1, 2, 3, 6)),
        (3, 6, (2, 3)),
        (4, 4, (1, 2)),
    ):
        teacher = Teacher(parity(num_dims), linear(num_steps))
        for calls in all_calls:
            what = f"D = {num_dims}, N = {num_steps}, k = {calls}"
            record.equal(error(teacher, calls), closed_form(num_dims, num_steps, calls), 0, what)
    for calls in (1, 2, 5, 10):
        harmonic = sum(Fraction(1, j) for j in range(1, calls + 1))
        record.equal(closed_form(2, 20, calls), harmonic / calls / 40, 0, f"D = 2, k = {calls}")


@claim(
    "several-steps-parity-limit",
    "Parity, many teacher steps: TV(k) / TV_teacher -> sum_j (1/j) [((k-j+1)/k)^(D-1) - "
    "((k-j)/k)^(D-1)]. It is H_k / k for D = 2, grows with D and tends to 1 at fixed k.",
    group="beyond",
    source="this project",
    hypotheses="masked noise, linear schedule, uniform grids, k divides N; exact rationals",
)
def verify_limit(record: Record) -> None:
    """The closed form at N = 60, 240 and 960: the distance to the limit falls like 1/N."""
    for num_dims in (2, 3, 5, 16):
        for calls in (2, 3, 5):
            what, limit = f"D = {num_dims}, k = {calls}", ratio(num_dims, calls)
            gaps = [
                abs(closed_form(num_dims, n, calls) / closed_form(num_dims, n, 1) - limit)
                for n in (60, 240, 960)
            ]
            if num_dims == 2:
                record.equal(sum(gaps) + limit, limit, 0, f"exact at every N, {what}")
            else:
                record.at_most(gaps[2], gaps[1] / 3, f"the distance falls, {what}")
                record.at_most(gaps[1], gaps[0] / 3, f"the distance falls, {what}")
            record.exceeds(ratio(num_dims + 1, calls), limit, 0, f"grows with D, {what}")
    for calls in (2, 3, 5):
        record.at_most(1 - ratio(200, calls), Fraction(1, 10**9), f"tends to 1, k = {calls}")


@claim(
    "several-steps-harmonic-everywhere",
    "False in general: k steps of a perfect student have H_k / k times the error of its teacher. "
    "For parity on D = 3, 5, 10 bits two steps have more than 0.86, 0.95 and 0.99 of it, not 3/4.",
    group="fails",
    source="this project",
    hypotheses="true for masked pairs, the linear schedule and uniform grids",
)
def verify_not_harmonic(record: Record) -> None:
    """The exact ratio for a teacher of 12 steps; for D = 3 by enumeration as well."""
    for num_dims, least in ((3, 0.86), (5, 0.95), (10, 0.99)):
        found = closed_form(num_dims, 12, 2) / closed_form(num_dims, 12, 1)
        record.exceeds(found, Fraction(least), 0, f"D = {num_dims}")
    teacher = Teacher(parity(3), linear(4))
    record.exceeds(error(teacher, 2) / error(teacher, 1), Fraction(3, 4), 0.1, "by enumeration")


@claim(
    "several-steps-never-worse",
    "False in general: more steps of a perfect student never err more than its teacher. They can "
    "for three bits under masks, and for two bits on uneven grids, under masks or uniform noise.",
    group="fails",
    source="this project",
    hypotheses="true for masked pairs with the linear schedule and uniform grids, and for parity",
)
def verify_never_worse(record: Record) -> None:
    """Three bits: a uniform grid. Two bits: the teacher's steps are short at high noise."""
    teacher = Teacher(SPLIT, linear(2))
    record.exceeds(error(teacher, 2), error(teacher, 1), 0.0001, "three bits, uniform grid")
    alphas = [Fraction(1), *(Fraction(k, 40) for k in (16, 12, 8, 4, 0))]
    teacher = Teacher(rational_law(random.Random(7), 2, 2), alphas)
    one, two = (
        oracle.total_variation(teacher.sampled(teacher.perfect, grid), teacher.law)
        for grid in ((0, 5), (0, 1, 5))
    )
    record.exceeds(two, one, 0.0001, "masked pair, uneven grid")
    spins = Spins(Fraction(9, 10), [Fraction(1), *(Fraction(k, 40) for k in (16, 13, 10, 7, 4))])
    one, two = (uniform_pair(spins, grid) for grid in ((0, 5), (0, 1, 5)))
    record.exceeds(two, one, 0.0001, "uniform pair, uneven grid")
    by_steps = oracle.total_variation(spins.sampled((0, 1, 5)), spins.law)
    record.equal(two, by_steps, 0, "uniform pair, by enumeration")
