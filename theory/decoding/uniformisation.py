r"""Uniformisation simulates the reverse chain without any error of discretisation.

Let $\hat R_t$ be the reverse rates and $\lambda$ at least all exit rates between the times delta
and T. Draw the number of candidate times from Poisson($\lambda (T - \delta)$) and the times
uniformly. At a candidate time t move with the kernel $I + \hat R_t / \lambda$, which is one call of
the network and at most one jump of one coordinate. The result has exactly the law $q_\delta$,
whatever lambda is.

The number of calls is random and does not depend on the path. Its mean $\lambda (T - \delta)$
grows with the dimension, because exit rates add up. With lambda below an exit rate the kernel has
negative entries; set to 0 they leave another law.
"""

import functools
from collections.abc import Callable

import numpy as np
import scipy.integrate
import scipy.stats

from theory.claim import Record, claim
from theory.tools import oracle

SOURCE = "uniformisation of discrete diffusion; the check: this project"
LAW = (0.4, 0.1, 0.15, 0.35)
FLIP, FIRST, LAST = 0.5, 0.05, 1.5

Reverse = Callable[[float], np.ndarray]


@functools.cache
def noised(t: float) -> np.ndarray:
    """q_t of two bits that flip at rate 1/2."""
    kernel = oracle.two_state_kernel(FLIP, FLIP, t)
    return np.array(list(oracle.noised(oracle.law_from(LAW, 2, 2), kernel).values()))


def reverse_rates(t: float) -> np.ndarray:
    """The rates of the reverse chain, [from, to], rows summing to 0."""
    q, states = noised(t), oracle.all_states(2, 2)
    rates = np.zeros((4, 4))
    for i, x in enumerate(states):
        for j, y in enumerate(states):
            if sum(a != b for a, b in zip(x, y, strict=True)) == 1:
                rates[i, j] = FLIP * q[j] / q[i]
    return rates - np.diag(rates.sum(1))


def largest_exit_rate() -> float:
    """The largest exit rate between the two times; it is largest at the first."""
    return max(-float(reverse_rates(t).diagonal().min()) for t in np.linspace(FIRST, LAST, 30))


def by_number(bound: float, most: int, kernel: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Joint law of the number of candidates and of the state, (most + 1, 4).

    It solves v_n' = -bound v_n + bound v_(n-1) (I + R / bound) in reverse time.
    """

    def slope(elapsed: float, flat: np.ndarray) -> np.ndarray:
        v = flat.reshape(most + 1, 4)
        moved = v @ kernel(np.eye(4) + reverse_rates(LAST - elapsed) / bound)
        change = -bound * v
        change[1:] += bound * moved[:-1]
        return change.ravel()

    start = np.zeros((most + 1, 4))
    start[0] = noised(LAST)
    solved = scipy.integrate.solve_ivp(
        slope, (0.0, LAST - FIRST), start.ravel(), "DOP853", rtol=1e-9, atol=1e-12
    )
    return solved.y[:, -1].reshape(most + 1, 4)


@claim(
    "uniformisation-exact",
    "Uniformisation with any bound on the exit rates generates exactly q_delta. The number of "
    "network calls is Poisson(lambda (T - delta)).",
    group="beyond",
    source=SOURCE,
    hypotheses="exact reverse rates; two bits, flip rate 1/2; integration error below 1e-8",
)
def verify_exact(record: Record) -> None:
    """The law summed over the number of candidates, for two bounds; the law of the number."""
    for factor, most in ((1.0, 24), (2.0, 32)):
        bound = factor * largest_exit_rate()
        found = by_number(bound, most, lambda kernel: kernel)
        counts = scipy.stats.poisson(bound * (LAST - FIRST)).pmf(np.arange(most + 1))
        missing = 1 - counts.sum()  # more candidates than were followed
        for n in range(0, most, 3):
            record.equal(found[n].sum(), counts[n], 1e-8, f"{n} calls, factor {factor}")
        for x in range(4):
            what = f"state {x}, factor {factor}"
            record.equal(found[:, x].sum(), noised(FIRST)[x], 1e-8 + missing, what)


@claim(
    "uniformisation-small-bound",
    "False in general: uniformisation works with any lambda. Below the largest exit rate its "
    "kernel has negative entries; with those set to 0 the law is another one.",
    group="fails",
    source="this project",
    hypotheses="lambda at 1/4 of the largest exit rate; rows scaled to sum to 1",
)
def verify_small_bound(record: Record) -> None:
    """Negative entries, and the distance of the law after they were set to 0."""
    bound = largest_exit_rate() / 4

    def repaired(kernel: np.ndarray) -> np.ndarray:
        positive = kernel.clip(0)
        return positive / positive.sum(1, keepdims=True)

    least = float((np.eye(4) + reverse_rates(FIRST) / bound).min())
    record.exceeds(0, least, 0.5, "a negative entry")
    law = by_number(bound, 24, repaired).sum(0)
    distance = np.abs(law / law.sum() - noised(FIRST)).sum() / 2
    record.exceeds(distance, 0, 0.003, "total variation")
