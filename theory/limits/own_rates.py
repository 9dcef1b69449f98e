r"""Lemma 1 and Theorem 1 where each coordinate has its own rates, which do not commute over time.

The paper allows both. The constant of Lemma 1 has the rates $R_d$ and $R_e$ of the two coordinates,
taken at time t. The sum of the errors of the steps and the limit $N (\mathrm{out}_N - p_0) \to T V$
need no other change.
"""

import numpy as np
import torch
from torch import Tensor

from di4c import exact
from di4c.processes import CoordinateProcesses
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.lemma1.one_step import own_defect
from theory.tools.dense_chain import DenseChain, dense_chain
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import as_dict
from theory.tools.own_rates import random_noise

SIZES = ((2, 2), (3, 2), (2, 3))


def noises(seed: int) -> list[tuple[str, Tensor, CoordinateProcesses]]:
    """A random law and noise for each size; the rates of the halves of the horizon differ."""
    rng = np.random.default_rng(seed)
    return [(f"D = {d}, S = {s}", *random_noise(rng, d, s)) for d, s in SIZES]


def chain(law: Tensor, noise: CoordinateProcesses, num_steps: int) -> DenseChain:
    """All steps of the uniform grid by dense kernels."""
    return dense_chain(noise, law, uniform_grid(num_steps, noise.horizon))


def commutator(noise: CoordinateProcesses) -> float:
    """The largest entry of the commutator of the two rate matrices of the first coordinate."""
    first, second = (noise.rates(share * noise.horizon)[0] for share in (0.2, 0.8))
    return float((first @ second - second @ first).abs().max())


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
    """(K - P) / eps^2 from dense kernels, extrapolated, against the closed form and the engine."""
    for what, law, noise in noises(0):
        t = 0.8 * noise.horizon
        quotients = []
        for h in (t / 60 / 2**k for k in range(4)):
            step = dense_chain(noise, law, torch.tensor([t - h, t], dtype=torch.float64))
            quotients.append((step.true[0] - step.product[0]) / h**2)
        limit, q, rates = extrapolate(quotients), exact.forward_law(noise, law, t), noise.rates(t)
        states = as_dict(q, len(rates), noise.num_states)
        closed = [own_defect(states, rates.tolist(), x).values() for x in states]
        right = torch.tensor([list(row) for row in closed], dtype=torch.float64)
        for x, (left, row) in enumerate(zip(limit, right, strict=True)):
            distance = (left - row).abs().sum() / right.abs().sum()
            record.equal(1 + distance, 1, 1e-5, f"{what}, state {x}")
        mean = exact.one_step_defect(q, rates)
        record.vanishes((mean + q @ right).abs().max(), 1e-12, f"mean by the engine, {what}")
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
    for what, law, noise in noises(1):
        scaled = []
        for num_steps in (2, 8, 32):
            grid = uniform_grid(num_steps, noise.horizon)
            made = exact.product_composition(noise, law, grid)
            right = float(chain(law, noise, num_steps).step_errors().sum())
            left = exact.total_variation(made, law)
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
    """N (out_N - p_0) by dense kernels for even N, extrapolated, against the engine's integral."""
    for what, law, noise in noises(2):
        values = [n * (chain(law, noise, n).generated() - law) for n in (4, 8, 16, 32)]
        left, right = extrapolate(values), noise.horizon * exact.limit_direction(noise, law)
        distance = (left - right).abs().sum() / right.abs().sum()
        record.equal(1 + distance, 1, 2e-3, what)
        record.exceeds(right.abs().sum(), 0, 1e-3, f"positive, {what}")
