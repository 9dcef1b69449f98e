r"""E3: the N-step error of two bits that fall to zero, at every N and on every grid.

The literal absorbing chain on |S| = 2: a one survives until t with probability $\alpha_t$, a zero
stays. $p_0 = (1-a)\delta_{00} + a\,\delta_{11}$,
$\phi_k = \arctan(\sqrt{a/(1-a)}\,(1 - \alpha_k))$.
The sampler errs only in the state 00: both bits survive or neither, but it draws them apart. Hence

$$P(00) = (1-a) \prod_k \cos^2(\phi_k - \phi_{k-1}), \qquad
  P(01) = P(10) = (1-a) \sin^2\phi_1 \prod_{k \ge 2} \cos^2(\phi_k - \phi_{k-1}),$$

since a lone one is completed to 11 unless it appears in the last step; and
$TV_N = \max\{1 - a - P(00),\ 2 P(01)\}$. $\cos^2(\phi - \phi')$ is rational in $\alpha$ and a, so
the check has no rounding. From the prior (all-zero) both are divided by $q_N(00)$, and P(00) may
exceed 1 - a: $TV_N = \max\{1 - a - P(00),\ 2P(01),\ 2P(01) + P(00) - (1 - a)\}$. Beyond the paper.
"""

import itertools
import random
from fractions import Fraction

from di4c.exact.pairs import AbsorbingPair, absorbing_probabilities, absorbing_tv
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.pair_cases import SCHEDULES, random_grid, rational_alphas, survival
from theory.tools.pair_chain import absorbing_chain_tv

WEIGHTS = [Fraction(1, 2), Fraction(1, 10), Fraction(2, 3), Fraction(9, 10)]


def two_point_law(weight: Fraction) -> oracle.Law:
    r"""$(1-a)\delta_{00} + a\,\delta_{11}$."""
    return oracle.law_from([1 - weight, Fraction(0), Fraction(0), weight], 2, 2)


def sampler_law(weight: Fraction, alphas: list[Fraction], *, from_prior: bool) -> oracle.Law:
    """Left side: the sampler enumerated in rational arithmetic."""
    kernels = [oracle.falling_kernel(b / a) for a, b in itertools.pairwise(alphas)]
    start = two_point_law(Fraction(0)) if from_prior else None
    return oracle.compose(two_point_law(weight), kernels, start)


def _verify_exact(record: Record, *, from_prior: bool) -> None:
    draw, start = random.Random(31), "prior" if from_prior else "q_T"
    for weight, num_steps in itertools.product(WEIGHTS, (1, 2, 3, 4, 5)):
        for to_zero in (True, False):
            alphas = rational_alphas(draw, num_steps, to_zero=to_zero)
            law = sampler_law(weight, alphas, from_prior=from_prior)
            what = f"a={weight}, alphas={[str(a) for a in alphas]}"
            neither, mixed = absorbing_probabilities(alphas, weight, start)
            record.equal(law[0, 0], neither, 0, f"P(00), {what}")
            record.equal(law[0, 1], mixed, 0, f"P(01), {what}")
            record.equal(law[1, 0], mixed, 0, f"P(10), {what}")
            left = oracle.total_variation(law, two_point_law(weight))
            record.equal(left, absorbing_tv(alphas, weight, start), 0, f"TV, {what}")


@claim(
    "absorbing-pair",
    "E3: P(00), P(01) and TV_N of the absorbing chain 1 -> 0 as products of cos^2",
    group="sharper",
    source="Theorem 1; identity: this project",
    hypotheses="p0 on {00, 11}, any weight, any grid; start q_T; exact rationals",
)
def _verify_from_data(record: Record) -> None:
    _verify_exact(record, from_prior=False)


@claim(
    "absorbing-pair-prior",
    "from all-zero P(00) and P(01) are divided by q_N(00)",
    group="beyond",
    source="this project",
    hypotheses="p0 on {00, 11}, any weight, any grid; exact rationals",
)
def _verify_from_prior(record: Record) -> None:
    _verify_exact(record, from_prior=True)


@claim(
    "absorbing-pair-schedules",
    "E3 for five schedules, N up to 1024 (float64 sampler)",
    group="beyond",
    source="this project",
    hypotheses="p0 on {00, 11}; any decreasing alpha",
)
def _verify_schedules(record: Record) -> None:
    draw = random.Random(33)
    for schedule, weight in itertools.product(SCHEDULES, (0.5, 0.05, 0.8)):
        pair = AbsorbingPair(weight=weight, schedule=schedule)
        grids = [random_grid(draw, num_steps, schedule.horizon) for num_steps in (2, 7, 40)]
        grids += [uniform_grid(n, schedule.horizon).tolist() for n in (1, 16, 1024)]
        for grid in grids:
            left = absorbing_chain_tv(pair.data_law.numpy(), survival(schedule, grid))
            what = f"{schedule}, a={weight}, N={len(grid) - 1}"
            record.equal(left, pair.closed_form(grid), 1e-13, what)
