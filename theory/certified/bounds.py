"""The claims on certified bounds: the recorded certificate is verified for a few steps.

`python -m theory.certified` verifies all of it. Here random laws are compared as well, by the
enumerated sampler, which shares nothing with the checker.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np

from theory.certified.check import check
from theory.certified.family import entries_of, title
from theory.certified.recurrence import Entry
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.pair_chain import masked_chain_tv, ratios, sampler_law, total_variation

PROVED_HERE = (1, 2)  # numbers of steps; with a single pi, their boxes take about a second
LAWS = 12


def n_times_tv(entry: Entry, law: np.ndarray, pi: float) -> float:
    """N TV_N of the enumerated sampler in floating point, for a law of shape (2, 2)."""
    num_steps = entry["N"]
    times = np.arange(num_steps + 1) / num_steps
    alphas = 1 - times if entry["rate"] is None else np.exp(-float(Fraction(entry["rate"])) * times)
    if entry["noise"] == "masked":
        return num_steps * masked_chain_tv(law, alphas)
    redrawn = np.array([1 - pi, pi])
    from_data, steps = (
        ratio[:, None, None] * np.eye(2) + (1 - ratio[:, None, None]) * redrawn
        for ratio in ratios(alphas)
    )
    return num_steps * total_variation(sampler_law(law, from_data, steps), law)


@claim(
    "certified-for-all-laws",
    "Two bits, any law p_0, N = 1..8: N TV_N is below a recorded bound, and a recorded law comes "
    "within 1 % of it. Boxes cover all laws; interval arithmetic proves the bound on each.",
    group="sharper",
    source="this project",
    hypotheses="S = D = 2, uniform grid, start q_T, both bits under the same noise: masked, or "
    "two-state with a recorded pi; linear schedule, or constant rates with (a + b) T = 1",
)
def _verify_all_laws(record: Record) -> None:
    numbers = np.random.default_rng(5)
    for entry in entries_of():
        what = f"{title(entry)}, N = {entry['N']}"
        if entry["N"] in PROVED_HERE and len(entry["pi"]) == 1:
            check(entry)
        low, high = float(entry["lower"]), float(entry["upper"])
        first, last = float(Fraction(entry["pi"][0])), float(Fraction(entry["pi"][-1]))
        worst = np.array([float(Fraction(p)) for p in entry["law"]]).reshape(2, 2)
        reached = n_times_tv(entry, worst, float(Fraction(entry["law_pi"])))
        record.at_most(low, reached, f"{what}: the recorded law", rounding=1e-12)
        record.at_most(reached, high, f"{what}: the recorded law, above")
        for _ in range(LAWS):
            near = worst + 0.1 * numbers.random() * numbers.dirichlet(np.ones(4)).reshape(2, 2)
            law = near / near.sum()
            value = n_times_tv(entry, law, numbers.uniform(first, last))
            record.at_most(value, high, f"{what}: law {law.round(3).tolist()}", largest=entry["N"])


@claim(
    "worst-law-of-two-bits",
    "False in general: two bits that always agree are the law with the largest error. Under noise "
    "that prefers zeros, two bits that always differ have a larger one at every N > 1.",
    group="fails",
    source="this project",
    hypotheses="S = D = 2, pi < 1/2, linear schedule, uniform grid, start q_T; at pi = 1/2 and "
    "under masked noise both laws have the same error",
)
def _verify_worst_law(record: Record) -> None:
    half = Fraction(1, 2)
    agree, differ = [half, 0, 0, half], [0, half, half, 0]
    for pi in (Fraction(1, 4), Fraction(1, 10), half):
        for num_steps in (2, 4, 8):
            alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
            kernels = []
            for early, late in pairwise(alphas):
                up = (1 - late / early) * pi
                down = (1 - late / early) * (1 - pi)
                kernels.append([[1 - up, up], [down, 1 - down]])
            tv = [
                oracle.total_variation(oracle.compose(law, kernels), law)
                for law in (oracle.law_from(values, 2, 2) for values in (agree, differ))
            ]
            what = f"pi = {pi}, N = {num_steps}"
            if pi == half:
                record.equal(*tv, 0, what)
            else:
                record.exceeds(tv[1], tv[0], 0.001, what)
