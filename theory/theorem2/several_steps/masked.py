r"""What a perfect student gains from several steps under masked noise.

The teacher makes N product steps. A perfect student has all losses 0: from every state at every
time its law of x_0 is that of the teacher's remaining steps. Sample it in k steps: draw x_0 with
one latent, noise it back to the next time, and so on. This is not the law of the teacher.

Masked pair: both coordinates are revealed in the same step j of the student with probability
$(\alpha_{\tau_{j-1}} - \alpha_{\tau_j})^2$. Only then does it err, and as much as the teacher does
from $\tau_j$ on. With $e_i = \alpha_{i-1} - \alpha_i$ for the teacher's steps,

$$TV(k) = d_{12} \sum_{j=1}^k (\alpha_{\tau_{j-1}} - \alpha_{\tau_j})^2\,
  \frac{\sum_{t_i \le \tau_j} e_i^2}{(1 - \alpha_{\tau_j})^2} .$$

Linear schedule, uniform grids, k divides N: $TV(k) = (H_k / k)\, TV_{teacher}$ with
$H_k = 1 + 1/2 + \dots + 1/k$. So k calls of a perfect student beat the N steps that it was
distilled from by the factor $k / H_k$. uniform.py has the same for uniform noise, parity.py for
more coordinates, imperfect.py what Theorem 2 says about k steps.
"""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import parity, rational_law, repetition
from theory.tools.oracle import Law, State

Student = Callable[[State, int], Law]
"""The law of x_0 given the state at the time of index n of the teacher's grid."""


class Teacher:
    """The product teacher of masked noise on the grid with the given alphas, from data to noise."""

    def __init__(self, law: Law, alphas: Sequence[Fraction]) -> None:
        self.law, self.alphas = law, list(alphas)
        self.num_values = max(map(max, law)) + 1
        self.laws, self.kernels = [law], []
        for earlier, later in itertools.pairwise(self.alphas):
            kernel = oracle.masked_kernel(later / earlier, self.num_values, from_data=earlier == 1)
            self.kernels.append(kernel)
            self.laws.append(oracle.noised(self.laws[-1], kernel))
        self._perfect: dict[tuple[State, int], Law] = {}

    def step(self, law: Law, n: int) -> Law:
        """One product step of the teacher, from the time of index n to the one before."""
        return oracle.product_step(law, self.laws[n - 1], self.kernels[n - 1])

    def perfect(self, x: State, n: int) -> Law:
        """The law of x_0 after the teacher's steps from the state x at time n."""
        if (x, n) not in self._perfect:
            result: Law = {x: Fraction(1)}
            for k in range(n, 0, -1):
                result = self.step(result, k)
            self._perfect[x, n] = result
        return self._perfect[x, n]

    def truth(self, x: State, n: int) -> Law:
        """The true law of x_0 given x at time n."""
        mask = self.num_values
        agree = {
            y: p
            for y, p in self.law.items()
            if all(v in (mask, w) for v, w in zip(x, y, strict=True))
        }
        return {y: p / sum(agree.values()) for y, p in agree.items()}

    def sampled(self, student: Student, grid: Sequence[int], start: Law | None = None) -> Law:
        """The law of the student's steps along the given indices of times; start: noised data."""
        now, mask = start or self.laws[grid[-1]], self.num_values
        for n, m in zip(reversed(grid[1:]), reversed(grid[:-1]), strict=True):
            reveal = (self.alphas[m] - self.alphas[n]) / (1 - self.alphas[n])
            then: Law = {}
            for x, mass in now.items():
                if not mass:
                    continue
                hidden = [d for d, v in enumerate(x) if v == mask]
                for shown in itertools.product((False, True), repeat=len(hidden)):
                    chance = math.prod(reveal if flag else 1 - reveal for flag in shown)
                    if not chance:
                        continue
                    kept = {d for d, flag in zip(hidden, shown, strict=True) if not flag}
                    for y, p in student(x, n).items():
                        new = tuple(mask if d in kept else v for d, v in enumerate(y))
                        then[new] = then.get(new, 0) + mass * chance * p
            now = then
        return now


def closed_form(law: Law, alphas: Sequence[Fraction], grid: Sequence[int]) -> Fraction:
    """The closed form for a masked pair."""
    steps = [(a - b) ** 2 for a, b in itertools.pairwise(alphas)]
    total = sum(
        (alphas[m] - alphas[n]) ** 2 * sum(steps[:n]) / (1 - alphas[n]) ** 2
        for m, n in itertools.pairwise(grid)
    )
    return oracle.total_variation(law, oracle.independent(law)) * total


def linear(num_steps: int) -> list[Fraction]:
    """The linear schedule on the uniform grid."""
    return [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]


@claim(
    "several-steps-pair",
    "Masked pair, perfect student in k steps: TV(k) = d_12 sum_j (alpha_{j-1} - alpha_j)^2 (sum of "
    "the teacher's squared steps up to tau_j) / (1 - alpha_j)^2.",
    group="beyond",
    source="this project",
    hypotheses="D = 2, any vocabulary, schedule and grids, the student's within the teacher's; "
    "start q_T with alpha_T = 0; exact rationals",
)
def verify_pair(record: Record) -> None:
    """The law of the student's steps by enumeration, on uneven grids."""
    rng = random.Random(0)
    for num_values, num_steps in itertools.product((2, 3), (3, 5)):
        law = rational_law(rng, 2, num_values)
        cuts = sorted(rng.sample(range(1, 40), num_steps - 1))
        alphas = [Fraction(40 - c, 40) for c in (0, *cuts, 40)]
        teacher = Teacher(law, alphas)
        for grid in ((0, num_steps), (0, 1, num_steps), tuple(range(0, num_steps + 1))):
            left = oracle.total_variation(teacher.sampled(teacher.perfect, grid), law)
            what = f"S = {num_values}, N = {num_steps}, student at {grid}"
            record.equal(left, closed_form(law, alphas, grid), 0, what)


@claim(
    "several-steps-harmonic",
    "Masked pair, linear schedule: k uniform steps of a perfect student have TV(k) = (H_k / k) TV "
    "of the N teacher steps that it was distilled from, H_k = 1 + ... + 1/k.",
    group="beyond",
    source="this project",
    hypotheses="D = 2, k divides N; the student's losses are all 0; exact rationals",
)
def verify_harmonic(record: Record) -> None:
    """Enumeration for k = 1, 2, 3, 4, 6 and a teacher of 12 steps."""
    law = rational_law(random.Random(1), 2, 2)
    teacher = Teacher(law, linear(12))
    by_teacher = oracle.total_variation(law, oracle.independent(law)) / 12
    for k in (1, 2, 3, 4, 6):
        grid = range(0, 13, 12 // k)
        left = oracle.total_variation(teacher.sampled(teacher.perfect, grid), law)
        harmonic = sum(Fraction(1, j) for j in range(1, k + 1))
        record.equal(left, harmonic / k * by_teacher, 0, f"k = {k}, N = 12")


@claim(
    "several-steps-teacher",
    "False in general: a student with all losses 0 generates the law of its teacher. In k > 1 "
    "steps it does not; for D = 2 and 3 in these examples it errs less.",
    group="fails",
    source="this project; a limit of Theorem 2",
    hypotheses="masked noise, linear schedule; Theorem 2 is about one step of the student",
)
def verify_not_the_teacher(record: Record) -> None:
    """One step is the teacher exactly, two steps are closer to the data."""
    rng = random.Random(2)
    laws = [("pair", rational_law(rng, 2, 2)), ("three bits", rational_law(rng, 3, 2))]
    laws += [("parity", parity(3)), ("repetition", repetition(3))]
    for name, law in laws:
        teacher = Teacher(law, linear(4))
        one, two = (teacher.sampled(teacher.perfect, grid) for grid in ((0, 4), (0, 2, 4)))
        by_teacher = oracle.compose(law, teacher.kernels)
        record.vanishes(oracle.total_variation(one, by_teacher), 0, f"one step, {name}")
        gap = oracle.total_variation(two, by_teacher)
        record.exceeds(gap, 0, Fraction(1, 1000), f"two steps are not the teacher, {name}")
        left, right = (oracle.total_variation(each, law) for each in (by_teacher, two))
        record.exceeds(left, right, 0, f"two steps are closer to the data, {name}")
