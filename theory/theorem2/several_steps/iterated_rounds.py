r"""Rounds of iterated Di4C with perfect students: the error shrinks in each round.

Round 0 is a product teacher of N steps. The student of round r learns, from every time and without
any loss, what k steps of the student of round r - 1 generate from there. Masked pair, linear
schedule: from the time $\tau$ with both coordinates masked the student of round r errs with weight

$$e_r(\tau) = \frac{1}{k^2} \sum_{j=1}^k e_{r-1}(j \tau / k), \qquad e_0(\tau) = \frac{1}{N \tau},
\qquad\text{so}\qquad e_r(\tau) = (H_k / k)^r\, e_0(\tau) .$$

So one call after R rounds has $(H_k / k)^R$ times the error of the first teacher: perfect rounds do
not accumulate errors, they remove them, because the student samples jointly what a product step
draws apart. Real students add their losses in each round, by Theorem 2.
"""

import functools
import itertools
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.theorem2.several_steps.masked import Student, Teacher, linear
from theory.tools import oracle
from theory.tools.laws import parity, rational_law, repetition
from theory.tools.oracle import Law, State


def perfect_student(teacher: Teacher, rounds: int, steps: int) -> Student:
    """The student after this many rounds, as the law of x_0 given a state and an index of time."""
    if rounds == 1:
        return teacher.perfect
    earlier = perfect_student(teacher, rounds - 1, steps)

    @functools.cache
    def student(x: State, n: int) -> Law:
        grid = range(0, n + 1, n // steps)
        return teacher.sampled(earlier, grid, {x: Fraction(1)})

    return student


def one_call(law: Law, num_steps: int, rounds: int, steps: int) -> Fraction:
    """TV of one call of the student after some rounds; the first round has the product teacher."""
    teacher = Teacher(law, linear(num_steps))
    student = perfect_student(teacher, rounds, steps)
    return oracle.total_variation(teacher.sampled(student, (0, num_steps)), law)


@claim(
    "iterated-rounds",
    "Masked pair, linear schedule: one call after R more rounds with perfect students has (H_k / "
    "k)^R times the error of the first teacher, if each round samples its teacher in k steps.",
    group="beyond",
    source="this project; iterated Di4C",
    hypotheses="D = 2, all losses 0 in every round, N a multiple of k^R; exact rationals",
)
def verify_rounds(record: Record) -> None:
    """Enumeration for k = 2 with up to three rounds, and for k = 3 and 4."""
    law = rational_law(random.Random(0), 2, 2)
    dependence = oracle.total_variation(law, oracle.independent(law))
    for k, num_steps, more in ((2, 4, 1), (2, 4, 2), (2, 8, 3), (3, 9, 2), (4, 4, 1)):
        harmonic = sum(Fraction(1, j) for j in range(1, k + 1))
        right = (harmonic / k) ** more * dependence / num_steps
        left = one_call(law, num_steps, 1 + more, k)
        record.equal(left, right, 0, f"k = {k}, N = {num_steps}, {more} more rounds")


@claim(
    "iterated-rounds-three-bits",
    "Three bits: perfect rounds of two steps lower the error of one call in every round.",
    group="beyond",
    source="this project; iterated Di4C",
    hypotheses="masked noise, linear schedule; parity, repetition and a random law, N = 4; exact "
    "rationals",
)
def verify_three_bits(record: Record) -> None:
    """The error after the first, second and third round."""
    laws = {"parity": parity(3), "repetition": repetition(3)}
    laws["random"] = rational_law(random.Random(1), 3, 2)
    for name, law in laws.items():
        errors = [one_call(law, 4, rounds, 2) for rounds in (1, 2, 3)]
        for k, (before, after) in enumerate(itertools.pairwise(errors), start=1):
            record.exceeds(before, after, 0, f"{name}, after round {k}")
