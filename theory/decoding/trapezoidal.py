r"""The theta-trapezoidal method has order 2 if no rate is cut off at 0; tau-leaping has order 1.

Tau-leaping of length h freezes the reverse rates $\mu_t(x)$ at the start of a step. The
theta-trapezoidal method takes two stages with two calls of the network:

1. from x leap over $\theta h$ with the rates $\mu_t(x)$, to x*;
2. from x* leap over $(1-\theta) h$ with the rates
   $(a\, \mu_{t-\theta h}(x^*) - b\, \mu_t(x))_+$, where $a = 1 / (2\theta(1-\theta))$ and
   $b = a - 1 = ((1-\theta)^2 + \theta^2) / (2\theta(1-\theta))$.

The laws of both samplers are computed exactly here, for two bits where each leap flips a bit a
Poisson number of times. The error of tau-leaping halves when N doubles. That of the second method
falls to a quarter, if the rates of the second stage are never negative. After a jump to a far more
likely state they are, and are cut off at 0. This happens with a probability of order h in a step
and changes the rates by order 1, so that the order falls to 1.

The method is by Ren et al. 2025, of which we know the abstract and the rates. The expansion that
gives the order is short: with the generator L and the frozen one A, the terms of order h^2 are
$L^2/2$, and $A^2$ times $\theta^2/2 + (1-\theta)^2/2 - b\,\theta(1-\theta) = 0$.
"""

import functools
import itertools
import math

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.oracle import State

SOURCE = "Ren et al. 2025 (theta-trapezoidal method), as stated in the abstract"
STATES = oracle.all_states(2, 2)
FLIP, LAST = 0.5, 1.0
LAWS = {
    "even": (0.27, 0.23, 0.24, 0.26),
    "uneven": (0.24, 0.23, 0.25, 0.28),
    "dependent": (0.35, 0.15, 0.1, 0.4),
    "far from even": (0.1, 0.2, 0.25, 0.45),
}
MILD, STRONG = ("even", "uneven"), ("dependent", "far from even")


@functools.cache
def rates(name: str, t: float) -> dict[State, tuple[float, float]]:
    """The reverse rates of flipping each of the two bits at every state."""
    kernel = oracle.two_state_kernel(FLIP, FLIP, t)
    q = oracle.noised(oracle.law_from(LAWS[name], 2, 2), kernel)
    return {(a, b): (FLIP * q[1 - a, b] / q[a, b], FLIP * q[a, 1 - b] / q[a, b]) for a, b in STATES}


def leap(x: State, speeds: tuple[float, float], length: float) -> dict[State, float]:
    """The law after each bit has flipped a Poisson number of times."""
    odd = [(1 - math.exp(-2 * speed * length)) / 2 for speed in speeds]
    return {
        (x[0] ^ i, x[1] ^ j): (odd[0] if i else 1 - odd[0]) * (odd[1] if j else 1 - odd[1])
        for i, j in itertools.product((0, 1), repeat=2)
    }


def tau_leaping(name: str, x: State, t: float, h: float) -> dict[State, float]:
    """One step with frozen rates."""
    return leap(x, rates(name, t)[x], h)


def trapezoidal(name: str, x: State, t: float, h: float, theta: float) -> dict[State, float]:
    """One step of the theta-trapezoidal method."""
    a = 1 / (2 * theta * (1 - theta))
    first, later = rates(name, t)[x], rates(name, t - theta * h)
    result = dict.fromkeys(STATES, 0.0)
    for middle, p in leap(x, first, theta * h).items():
        speeds = [max(0.0, a * v - (a - 1) * u) for u, v in zip(first, later[middle], strict=True)]
        for y, q in leap(middle, (speeds[0], speeds[1]), (1 - theta) * h).items():
            result[y] += p * q
    return result


def error(name: str, num_steps: int, theta: float | None) -> float:
    """TV between p_0 and the law of N steps from q_T; tau-leaping if theta is None."""
    kernel, h = oracle.two_state_kernel(FLIP, FLIP, LAST), LAST / num_steps
    target = oracle.law_from(LAWS[name], 2, 2)
    law = oracle.noised(target, kernel)
    for k in range(num_steps, 0, -1):
        then = dict.fromkeys(STATES, 0.0)
        for x, p in law.items():
            step = (
                tau_leaping(name, x, k * h, h)
                if theta is None
                else trapezoidal(name, x, k * h, h, theta)
            )
            for y, q in step.items():
                then[y] += p * q
        law = then
    return oracle.total_variation(law, target)


def least_rate(name: str, theta: float) -> float:
    """The smallest rate of a second stage before it is cut off, over states and a grid of times."""
    a = 1 / (2 * theta * (1 - theta))
    pairs = itertools.product(STATES, STATES, (k / 16 for k in range(1, 17)))
    return min(
        a * v - (a - 1) * u
        for x, y, t in pairs
        for u, v in zip(rates(name, t)[x], rates(name, t * (1 - theta / 16))[y], strict=True)
    )


@claim(
    "trapezoidal-order",
    "The theta-trapezoidal method errs by O(1/N^2), for every theta in (0, 1), if the extrapolated "
    "rates are never negative.",
    group="beyond",
    source=SOURCE,
    hypotheses="full support, exact reverse rates, two bits under uniform noise; theta = 1/3, 1/2, "
    "2/3",
)
def verify_order(record: Record) -> None:
    """The error falls to a quarter when N doubles, up to 4 %."""
    for name, theta in itertools.product(MILD, (1 / 3, 1 / 2, 2 / 3)):
        coarse, fine = (error(name, n, theta) for n in (48, 96))
        record.equal(coarse / fine, 4, 0.16, f"{name} law, theta = {theta:.2f}")
        record.exceeds(least_rate(name, theta), 0, 0, f"rates, {name} law, theta = {theta:.2f}")


@claim(
    "trapezoidal-order-fails",
    "False in general: the theta-trapezoidal method has order 2. If extrapolated rates are "
    "negative and cut off at 0, its order is 1.",
    group="fails",
    source="this project",
    hypotheses="full support, exact reverse rates, laws with probabilities of very different size",
)
def verify_cut_off(record: Record) -> None:
    """The error only halves when N doubles; a rate is negative."""
    for name, theta in itertools.product(STRONG, (1 / 3, 1 / 2)):
        coarse, fine = (error(name, n, theta) for n in (96, 192))
        record.equal(coarse / fine, 2, 0.1, f"{name} law, theta = {theta:.2f}")
        record.exceeds(0, least_rate(name, theta), 0.1, f"rates, {name} law, theta = {theta:.2f}")


@claim(
    "tau-leaping-order",
    "False in general: two calls of the network in a step do not pay. Tau-leaping with twice as "
    "many steps is of order 1 and errs more than the theta-trapezoidal method.",
    group="fails",
    source="this project",
    hypotheses="full support, so that the rates are smooth down to t = 0; N >= 8",
)
def verify_tau_leaping(record: Record) -> None:
    """The error of tau-leaping halves; at the same number of calls it is larger."""
    for name in MILD:
        coarse, fine = (error(name, n, None) for n in (48, 96))
        record.equal(coarse / fine, 2, 0.08, f"order 1, {name} law")
        for num_steps in (8, 16):
            left, right = error(name, 2 * num_steps, None), error(name, num_steps, 0.5)
            record.exceeds(left, right, 0, f"{name} law, {2 * num_steps} calls")
