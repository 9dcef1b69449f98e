r"""Lemma 1 and Theorem 1 where each coordinate has its own rates, which do not commute over time.

The paper allows both; `di4c` has one process for all coordinates. The constant of Lemma 1 has the
rates $R_d$ and $R_e$ of the two coordinates, taken at time t. The sum of the errors of the steps
and the limit $N (\mathrm{out}_N - p_0) \to T V$ need no other change.
"""

import numpy as np

from theory.claim import Record, claim
from theory.tools.extrapolation import extrapolate
from theory.tools.own_rates import OwnRates, defects, limit_direction, random_noise

SIZES = ((2, 2), (3, 2), (2, 3))


def noises(seed: int) -> list[tuple[str, OwnRates]]:
    """Random noise for each size; the generators of the two halves of the horizon differ."""
    rng = np.random.default_rng(seed)
    return [(f"D = {d}, S = {s}", random_noise(rng, d, s)) for d, s in SIZES]


def commutator(noise: OwnRates) -> float:
    """The largest entry of the commutator of the two generators of the first coordinate."""
    first, second = (piece[0] for piece in noise.pieces)
    return float(np.abs(first @ second - second @ first).max())


@claim(
    "own-rates-lemma1",
    "Lemma 1 with rates of its own for each coordinate: (K - P)(.|x) / eps^2 -> Delta_x, with the "
    "rates R_d and R_e of the two coordinates at time t.",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="full support; t inside a piece of constant rates; generators do not commute over "
    "time",
)
def verify_lemma(record: Record) -> None:
    """(K - P) / eps^2 from dense kernels, extrapolated, against the closed form."""
    for what, noise in noises(0):
        t = 0.8 * noise.horizon
        steps = [t / 60 / 2**k for k in range(4)]
        quotients = []
        for h in steps:
            true, product = noise.step(t - h, t)
            quotients.append((true - product) / h**2)
        limit, right = extrapolate(quotients), defects(noise.noised(t), noise.rates(t))
        for x, (left, row) in enumerate(zip(limit, right, strict=True)):
            distance = np.abs(left - row).sum() / np.abs(right).sum()
            record.equal(1 + distance, 1, 1e-5, f"{what}, state {x}")
        record.exceeds(commutator(noise), 0, 0.01, f"generators do not commute, {what}")


@claim(
    "own-rates-upper",
    "TV_N <= sum_k E TV(K_k, P_k) with rates of its own for each coordinate, and it is O(1/N).",
    group="sharper",
    source="Theorem 1, upper bound; rates of their own: this project",
    hypotheses="full support, uniform grid, start q_T; generators do not commute over time",
)
def verify_upper(record: Record) -> None:
    """Both sides for three N; N times the right side stays within a factor of its limit."""
    for what, noise in noises(1):
        scaled = []
        for num_steps in (2, 8, 32):
            left = np.abs(noise.generated(num_steps) - noise.law).sum() / 2
            right = sum(
                float(q @ np.abs(true - product).sum(1)) / 2
                for q, true, product in noise.steps(num_steps)
            )
            record.at_most(left, right, f"{what}, N = {num_steps}", largest=1)
            scaled.append(num_steps * right)
        record.at_most(scaled[-1], 1.5 * scaled[1], f"N times the sum of step errors, {what}")


@claim(
    "own-rates-limit",
    "N (out_N - p_0) -> T V with rates of its own for each coordinate and generators that do not "
    "commute over time; V is the integral of K_{0|t}[G_t].",
    group="sharper",
    source="Theorem 1; the limit: this project",
    hypotheses="full support, piecewise constant rates, uniform grid, start q_T",
)
def verify_limit(record: Record) -> None:
    """N (out_N - p_0) for even N, extrapolated, against the integral."""
    for what, noise in noises(2):
        values = [n * (noise.generated(n) - noise.law) for n in (4, 8, 16, 32)]
        left, right = extrapolate(values), noise.horizon * limit_direction(noise)
        distance = np.abs(left - right).sum() / np.abs(right).sum()
        record.equal(1 + distance, 1, 2e-3, what)
        record.exceeds(np.abs(right).sum(), 0, 1e-3, f"positive, {what}")
