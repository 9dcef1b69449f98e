r"""The law of guided masked diffusion, in one and in two dimensions.

p is the conditional law, u the unconditional one. Guidance of weight w replaces the rate at which a
masked coordinate takes the value v by $p(v)^{1+w} u(v)^{-w}$ times the rate of unmasking. Let
$Z = \sum_v p(v)^{1+w} u(v)^{-w}$ be its sum, which is at least 1, and $\pi = p^{1+w} u^{-w} / Z$.

* One coordinate: the result has the law $\pi$. At time t (linear schedule) the coordinate is still
  masked with probability $t^Z$ instead of t. Z grows exponentially in w, so that this probability
  falls doubly exponentially.
* Two coordinates: the first one to be revealed is d with probability $Z_d / (Z_1 + Z_2)$. The
  law is $[Z_1 \pi_1(x_1) \pi(x_2 \mid x_1) + Z_2 \pi_2(x_2) \pi(x_1 \mid x_2)] / (Z_1 + Z_2)$.
  Each factor is tilted by itself.
* This is not the law $p(x)^{1+w} u(x)^{-w}$, normalised: the sums $Z(x_1)$ of the second reveal are
  divided out state by state. The two agree if $w = 0$ or if the coordinates are independent.

The first two parts follow arXiv 2506.10971, of which we know the abstract; the formulas are ours.
"""

import random
from fractions import Fraction

import numpy as np
import scipy.linalg

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import rational_law
from theory.tools.oracle import Law, State
from theory.tools.partly_masked import MASK, conditional, with_values

SOURCE = "arXiv 2506.10971, as stated in the abstract; the formula: this project"


def row_of(law: Law, seen: State, d: int) -> list[Fraction]:
    """The law of coordinate d given the unmasked values, over all values."""
    row = conditional(law, seen)[d]
    return [row[v] for v in sorted(row)]


def tilted(p: list[Fraction], u: list[Fraction], weight: int) -> list[Fraction]:
    """The weights p^(1+w) u^(-w), not normalised."""
    return [a ** (1 + weight) / b**weight for a, b in zip(p, u, strict=True)]


def guided(law: Law, base: Law, weight: int, log_time: float) -> dict[State, float]:
    """The law at time exp(-log_time) by the master equation over all partly masked states.

    In the time -log t of the linear schedule the rates are constant: each masked coordinate takes
    the value v at rate p(v)^(1+w) u(v)^(-w).
    """
    num_dims = len(next(iter(law)))
    num_states = max(map(max, law)) + 1
    states = [tuple(v - 1 for v in x) for x in oracle.all_states(num_dims, num_states + 1)]
    rates = np.zeros((len(states), len(states)))
    for i, seen in enumerate(states):
        for d in (d for d, v in enumerate(seen) if v == MASK):
            into = tilted(row_of(law, seen, d), row_of(base, seen, d), weight)
            for v, rate in enumerate(into):
                j = states.index(with_values(seen, {d: v}))
                rates[i, j] += float(rate)
                rates[i, i] -= float(rate)
    row = scipy.linalg.expm(rates * log_time)[states.index((MASK,) * num_dims)]
    return dict(zip(states, row.tolist(), strict=True))


def in_two_dimensions(law: Law, base: Law, weight: int) -> Law:
    """The closed form."""
    result: Law = dict.fromkeys(law, Fraction(0))
    start = (MASK, MASK)
    first = [tilted(row_of(law, start, d), row_of(base, start, d), weight) for d in (0, 1)]
    total = sum(map(sum, first))
    for x in law:
        for d in (0, 1):
            seen = (x[0], MASK) if d == 0 else (MASK, x[1])
            p, u = (row_of(each, seen, 1 - d) for each in (law, base))
            second = tilted(p, u, weight)
            result[x] += first[d][x[d]] / total * second[x[1 - d]] / sum(second)
    return result


def joint_tilt(law: Law, base: Law, weight: int) -> Law:
    """p(x)^(1+w) u(x)^(-w), normalised."""
    values = tilted(list(law.values()), list(base.values()), weight)
    return dict(zip(law, (v / sum(values) for v in values), strict=True))


@claim(
    "guidance-one-coordinate",
    "Guided masked diffusion of one coordinate generates p^(1+w) u^(-w) / Z. The coordinate is "
    "still masked at time t with probability t^Z, Z = sum p^(1+w) u^(-w) >= 1.",
    group="beyond",
    source=SOURCE,
    hypotheses="linear schedule, exact denoisers, rates not normalised; w = 0, 1, 2, 4",
)
def verify_one(record: Record) -> None:
    """The master equation against both closed forms; Z grows at least geometrically."""
    rng = random.Random(0)
    for num_states, weight in ((2, 0), (2, 1), (3, 2), (4, 4)):
        law, base = (rational_law(rng, 1, num_states) for _ in range(2))
        total = float(sum(tilted(list(law.values()), list(base.values()), weight)))
        what = f"S = {num_states}, w = {weight}"
        record.at_most(1, total, f"Z, {what}", rounding=1e-12)
        for log_time in (0.3, 1.0):
            masked = guided(law, base, weight, log_time)[(MASK,)]
            record.equal(masked, np.exp(-log_time * total), 1e-12, f"still masked, {what}")
        late = guided(law, base, weight, 60.0)
        for x, value in joint_tilt(law, base, weight).items():
            record.equal(late[x], float(value), 1e-12, f"law, {what}")
        sums = [float(sum(tilted([*law.values()], [*base.values()], w))) for w in range(4)]
        for k in (1, 2):  # log Z is convex in w by Hoelder's inequality
            record.at_most(sums[k] ** 2, sums[k - 1] * sums[k + 1], f"convexity, {what}", 1e-12)


@claim(
    "guidance-two-coordinates",
    "Guided masked diffusion of two coordinates generates [Z_1 pi_1(x_1) pi(x_2|x_1) + Z_2 "
    "pi_2(x_2) pi(x_1|x_2)] / (Z_1 + Z_2), where pi tilts each factor by itself.",
    group="beyond",
    source=SOURCE,
    hypotheses="any schedule, exact denoisers, rates not normalised; w = 0, 1, 2, 3",
)
def verify_two(record: Record) -> None:
    """The master equation at a late time against the closed form."""
    rng = random.Random(1)
    for num_states, weight in ((2, 0), (2, 1), (2, 3), (3, 2)):
        law, base = (rational_law(rng, 2, num_states) for _ in range(2))
        late, closed = guided(law, base, weight, 60.0), in_two_dimensions(law, base, weight)
        for x, value in closed.items():
            record.equal(late[x], float(value), 1e-12, f"S = {num_states}, w = {weight}: {x}")


@claim(
    "guidance-joint-tilt",
    "False in general: guidance generates p(x)^(1+w) u(x)^(-w), normalised. With two dependent "
    "coordinates it does not, however fine the steps are.",
    group="fails",
    source="this project",
    hypotheses="w > 0 and dependent coordinates; for w = 0 or independent ones it is true",
)
def verify_joint(record: Record) -> None:
    """Total variation between the two laws; it is 0 in the two exceptions."""
    rng = random.Random(2)
    for weight in (1, 2, 4):
        law, base = (rational_law(rng, 2, 2) for _ in range(2))
        distance = oracle.total_variation(
            in_two_dimensions(law, base, weight), joint_tilt(law, base, weight)
        )
        record.exceeds(distance, 0, Fraction(1, 100), f"w = {weight}")
        pair = oracle.independent(law), oracle.independent(base)
        distance = oracle.total_variation(
            in_two_dimensions(*pair, weight), joint_tilt(*pair, weight)
        )
        record.vanishes(distance, 0, f"independent coordinates, w = {weight}")
        distance = oracle.total_variation(in_two_dimensions(law, base, 0), law)
        record.vanishes(distance, 0, f"w = 0, law {weight}")


def with_ramp(law: Law, base: Law, weights: list[int]) -> Law:
    """One coordinate in N equal steps of the linear schedule, step by step from all-mask.

    In the step that ends at alpha = k / N the mask is revealed with probability 1 / (N - k + 1),
    from the tilt of weight `weights[k - 1]`.
    """
    result: Law = dict.fromkeys(law, Fraction(0))
    masked, num_steps = Fraction(1), len(weights)
    for k, weight in enumerate(weights, start=1):
        reveal = Fraction(1, num_steps - k + 1)
        for x, p in joint_tilt(law, base, weight).items():
            result[x] += masked * reveal * p
        masked *= 1 - reveal
    return result


@claim(
    "guidance-ramp",
    "A ramp of weights, as in MaskGIT's sampler: one coordinate follows the mean of the tilts over "
    "the steps, (1/N) sum_k p^(1+w_k) u^(-w_k) / Z_k. Every tilt moves it away from p.",
    group="beyond",
    source="this project",
    hypotheses="linear schedule, equal steps, weights normalised in each step; exact rationals",
)
def verify_ramp(record: Record) -> None:
    """The steps against the mean of the tilts, for a ramp from 0 to N - 1."""
    rng = random.Random(3)
    for num_states, num_steps in ((2, 2), (3, 4), (4, 3)):
        law, base = (rational_law(rng, 1, num_states) for _ in range(2))
        made = with_ramp(law, base, list(range(num_steps)))
        tilts = [joint_tilt(law, base, w) for w in range(num_steps)]
        for x in law:
            right = sum(tilt[x] for tilt in tilts) / num_steps
            record.equal(made[x], right, 0, f"S = {num_states}, N = {num_steps}: {x}")
        distances = [oracle.total_variation(tilt, law) for tilt in tilts]
        mean = oracle.total_variation(made, law)
        record.exceeds(mean, 0, 0.001, f"S = {num_states}: away from p")
        record.at_most(mean, max(distances), f"S = {num_states}: less than the last tilt")


@claim(
    "guidance-ramp-mean-weight",
    "False in general: a ramp of weights acts like its mean weight.",
    group="fails",
    source="this project",
    hypotheses="one coordinate; the tilt is not linear in the weight",
)
def verify_ramp_mean(record: Record) -> None:
    """A ramp 0, 1, 2, 3, 4 against the constant weight 2."""
    rng = random.Random(4)
    for num_states in (2, 3, 4):
        law, base = (rational_law(rng, 1, num_states) for _ in range(2))
        ramp, constant = with_ramp(law, base, [0, 1, 2, 3, 4]), joint_tilt(law, base, 2)
        distance = oracle.total_variation(ramp, constant)
        record.exceeds(distance, 0, Fraction(1, 500), f"S = {num_states}")
