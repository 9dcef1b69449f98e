r"""What Theorem 2 says about several steps of a student that is not perfect.

Theorem 2 compares one step of the student with the teacher. The teacher is not what several steps
should generate, so compare them with the data. Let $\tau_1 < \dots < \tau_k$ be the student's times
and $q_{0|t}$ the true law. The true law of x_0, noised back to the next time, carries
$q_{\tau_j}$ to $q_{\tau_{j-1}}$. Replacing one step at a time gives

$$d_{TV}(p_0, \text{k steps}) \le \sum_{j=1}^k \mathbb{E}_{x \sim q_{\tau_j}}
  d_{TV}\big(q_{0|\tau_j},\, p^\theta_{0|\tau_j}\big)(\cdot \mid x).$$

Each term is at most the error of the teacher's own steps from $q_{\tau_j}$, plus the right side of
Theorem 2 with losses at states that the teacher generates from $q_{\tau_j}$:

$$\mathbb{E} \, d_{TV}(q_{0|\tau_j}, p^\psi_{0|t_1} \circ \dots \circ p^\psi_{\cdot|\tau_j})
  + \tfrac1{\sqrt2} \Big[ \sqrt{L_{distil}} + \sum_{t_n \le \tau_j} \sqrt{L_{consis}} \Big] .$$

So the losses of the short times count once for each step of the student. The right side grows with
k, while good students get better with k. It does not tell how many steps are best.
"""

import itertools
import math
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.theorem2.several_steps.masked import Student, Teacher, linear
from theory.tools import oracle
from theory.tools.laws import rational_law
from theory.tools.oracle import Law, State

GRIDS = ((0, 4), (0, 2, 4), (0, 1, 2, 4))


def mixed(first: Law, second: Law, share: Fraction) -> Law:
    """The first law with a share of the second one."""
    keys = first.keys() | second.keys()
    return {y: (1 - share) * first.get(y, 0) + share * second.get(y, 0) for y in keys}


def imperfect(teacher: Teacher, share: Fraction) -> Student:
    """The perfect student mixed with the product of the true marginals."""

    def student(x: State, n: int) -> Law:
        return mixed(teacher.perfect(x, n), oracle.independent(teacher.truth(x, n)), share)

    return student


def mean_distance(teacher: Teacher, n: int, first: Student, second: Student) -> Fraction:
    """E TV of two laws of x_0, given the noised data at the time of index n."""
    states = [(x, p) for x, p in teacher.laws[n].items() if p]
    return sum(p * oracle.total_variation(first(x, n), second(x, n)) for x, p in states)


def loss_roots(teacher: Teacher, student: Student, last: int) -> float:
    """The sum of the roots of the losses up to the time of index `last`, from q at that time."""
    law, total = teacher.laws[last], 0.0
    for n in range(last, 0, -1):
        loss = 0.0
        for x, p in law.items():
            if not p:
                continue
            step = teacher.step({x: Fraction(1)}, n)
            target: Law = step
            if n > 1:  # the consistency loss: the student finishes what the teacher has begun
                target = {}
                for y, q in step.items():
                    for z, r in (student(y, n - 1) if q else {}).items():
                        target[z] = target.get(z, 0) + q * r
            loss += float(p) * oracle.kl(target, student(x, n))
        total += math.sqrt(loss)
        law = teacher.step(law, n)
    return total


@claim(
    "several-steps-bound",
    "k steps of any student: TV(p_0, out) <= sum_j E TV(q_{0|tau_j}(.|x), student at tau_j), x "
    "from the noised data at tau_j.",
    group="beyond",
    source="this project; Theorem 2 for several steps",
    hypotheses="masked noise, any student, grid and law; exact rationals",
)
def verify_bound(record: Record) -> None:
    """Imperfect students: the perfect one mixed with the product of the marginals."""
    rng = random.Random(3)
    for num_dims, share in itertools.product((2, 3), (Fraction(0), Fraction(1, 5), Fraction(1))):
        law = rational_law(rng, num_dims, 2)
        teacher = Teacher(law, linear(4))
        student = imperfect(teacher, share)
        for grid in GRIDS:
            left = oracle.total_variation(teacher.sampled(student, grid), law)
            right = sum(mean_distance(teacher, n, teacher.truth, student) for n in grid[1:])
            what = f"D = {num_dims}, share {share}, student at {grid}"
            record.at_most(left, right, what, largest=1)


@claim(
    "several-steps-losses",
    "k steps of any student: TV(p_0, out) is at most the sum, over its times tau_j, of the mean "
    "error of the teacher's steps from tau_j and of the right side of Theorem 2 from q_{tau_j}.",
    group="beyond",
    source="this project; Theorem 2 for several steps",
    hypotheses="losses at states that the teacher generates from the noised data at each tau_j",
)
def verify_losses(record: Record) -> None:
    """Students near the perfect one; each bound of a time is checked by itself as well."""
    rng = random.Random(4)
    for num_dims, share in ((2, Fraction(1, 1000)), (2, Fraction(1, 50)), (3, Fraction(1, 50))):
        law = rational_law(rng, num_dims, 2)
        teacher = Teacher(law, linear(4))
        student = imperfect(teacher, share)
        bounds = {}
        for n in (1, 2, 4):
            own = mean_distance(teacher, n, teacher.truth, teacher.perfect)
            left = mean_distance(teacher, n, teacher.perfect, student)
            right = loss_roots(teacher, student, n) / math.sqrt(2)
            what = f"D = {num_dims}, share {share}"
            record.at_most(left, right, f"one step from t_{n}, {what}", largest=1)
            bounds[n] = float(own) + right
        for grid in GRIDS:
            left = oracle.total_variation(teacher.sampled(student, grid), law)
            right = sum(bounds[n] for n in grid[1:])
            record.at_most(left, right, f"{what}, student at {grid}", largest=1)


@claim(
    "several-steps-bound-guides",
    "False in general: the bound of Theorem 2 for k steps tells how many steps are best. It grows "
    "with k, while the error of the same student falls.",
    group="fails",
    source="this project; a limit of Theorem 2",
    hypotheses="masked pair, linear schedule, a student close to the perfect one",
)
def verify_guide(record: Record) -> None:
    """One, two and four steps of one student: the error falls, the sum of the roots grows."""
    teacher = Teacher(rational_law(random.Random(0), 2, 2), linear(4))
    student = imperfect(teacher, Fraction(1, 1000))
    grids = ((0, 4), (0, 2, 4), (0, 1, 2, 3, 4))
    errors = [oracle.total_variation(teacher.sampled(student, g), teacher.law) for g in grids]
    bounds = [sum(loss_roots(teacher, student, n) for n in g[1:]) for g in grids]
    for k, (more, fewer) in zip((2, 4), itertools.pairwise(range(3)), strict=True):
        record.exceeds(errors[more], errors[fewer], 0, f"the error falls, {k} steps")
        record.exceeds(bounds[fewer], bounds[more], 0, f"the bound grows, {k} steps")
