r"""Absorbing pair: the N-step error of two bits that fall to zero, in closed form on every grid.

The noise is the absorbing chain on two states: a one survives until t with probability $\alpha_t$,
a zero stays. The data law is $p_0 = (1-a)\delta_{00} + a\,\delta_{11}$. Let
$\phi_k = \arctan(\sqrt{a/(1-a)}\,(1 - \alpha_k))$.

The sampler makes an error only in the state 00. There both bits must become one or neither, but it
draws them independently. Hence

$$P(00) = (1-a) \prod_k \cos^2(\phi_k - \phi_{k-1}), \qquad
  P(01) = P(10) = (1-a) \sin^2\phi_1 \prod_{k \ge 2} \cos^2(\phi_k - \phi_{k-1}),$$

since a single one is completed to 11 in the next step, unless it appears in the last step. The
error is $TV_N = \max\{1 - a - P(00),\ 2 P(01)\}$. $\cos^2(\phi - \phi')$ is rational in $\alpha$
and a, so the check has no rounding.

If the sampler starts from the prior, all-zero, both probabilities are divided by $q_N(00)$. Then
P(00) may exceed 1 - a, and
$TV_N = \max\{1 - a - P(00),\ 2P(01),\ 2P(01) + P(00) - (1 - a)\}$.

Theorem 1 of the paper states the order of the error. The identity is beyond it.
"""

import itertools
import random
from fractions import Fraction

from di4c.exact.pairs import AbsorbingPair, absorbing_probabilities, absorbing_tv
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.pair_cases import SCHEDULES, enumerated_tv, random_grid, rational_alphas

WEIGHTS = [Fraction(1, 2), Fraction(1, 10), Fraction(2, 3), Fraction(9, 10)]


def two_point_law(weight: Fraction) -> oracle.Law:
    r"""The law $(1-a)\delta_{00} + a\,\delta_{11}$."""
    return oracle.law_from([1 - weight, Fraction(0), Fraction(0), weight], 2, 2)


def sampler_law(weight: Fraction, alphas: list[Fraction], *, from_prior: bool) -> oracle.Law:
    """Left side: the law that the enumerated sampler generates, in rational arithmetic."""
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
    "Absorbing pair: P(00) = (1-a) prod_k cos^2(phi_k - phi_{k-1}), P(01) = (1-a) sin^2(phi_1) "
    "prod_{k>=2} cos^2(phi_k - phi_{k-1}), and TV_N = max{1 - a - P(00), 2 P(01)}.",
    group="sharper",
    source="Theorem 1; the identity: this project",
    hypotheses="p_0 = (1-a) on 00 and a on 11, any a and grid; "
    "phi_k = arctan(sqrt(a/(1-a)) (1-alpha_k)); start q_T; exact rationals",
)
def _verify_from_data(record: Record) -> None:
    _verify_exact(record, from_prior=False)


@claim(
    "absorbing-pair-prior",
    "Absorbing pair, started from all-zero: P(00) and P(01) are those of absorbing-pair divided by "
    "q_N(00).",
    group="beyond",
    source="this project",
    hypotheses="p_0 = (1-a) on 00 and a on 11, any a and grid; exact rationals",
)
def _verify_from_prior(record: Record) -> None:
    _verify_exact(record, from_prior=True)


@claim(
    "absorbing-pair-schedules",
    "Absorbing pair: the closed form is the error of the float64 sampler for five schedules and N "
    "up to 1024.",
    group="beyond",
    source="this project",
    hypotheses="p_0 = (1-a) on 00 and a on 11; any decreasing alpha; start q_T",
)
def _verify_schedules(record: Record) -> None:
    draw = random.Random(33)
    for schedule, weight in itertools.product(SCHEDULES, (0.5, 0.05, 0.8)):
        pair = AbsorbingPair(weight=weight, schedule=schedule)
        grids = [random_grid(draw, num_steps, schedule.horizon) for num_steps in (2, 7, 40)]
        grids += [uniform_grid(n, schedule.horizon).tolist() for n in (1, 16, 1024)]
        for grid in grids:
            left = enumerated_tv(pair, grid)
            what = f"{schedule}, a={weight}, N={len(grid) - 1}"
            record.equal(left, pair.closed_form(grid), 1e-13, what)
