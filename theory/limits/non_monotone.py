r"""$N \cdot TV_N$ is not monotone and can exceed its limit; a refined grid can be worse.

* Uniform pair, $\theta = 0.9$, flip rate r = 0.5, T = 4, uniform grid: $N \cdot TV_N$ is 0.45 at
  N = 1 and 2.118 at N = 16; then it falls to its limit 1.8. A plot that stops at N = 16 shows
  neither the limit nor that it is approached from above. The numbers have rigorous error bounds.
* Masked and uniform pair: splitting a step never raises TV, because $x \mapsto x^2$ and
  $x \mapsto \log\cosh 2x$ are convex and vanish at 0.
* Absorbing pair: splitting a step can raise TV, which is a maximum of two terms. While
  $2P(01) = 2(1-a)\sin^2\phi_1 \prod_{k\ge2}\cos^2(\phi_k-\phi_{k-1})$ is the larger term, splitting
  any step except k = 1 raises it. Linear schedule, a = 1/2: the grid 0, 0.7, 1 has TV 0.318927,
  the grid 0, 0.7, 0.85, 1 has 0.323847.

Beyond the paper.
"""

import itertools
import random
from fractions import Fraction

from flint import arb

from di4c.exact.pairs import UniformPair, absorbing_tv, masked_tv
from di4c.schedules import ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.limits.pairs import uniform_constant_rate
from theory.theorem1.pairs import absorbing_pair, masked_pair, uniform_pair
from theory.tools import oracle
from theory.tools.enclosures import exponential, precision
from theory.tools.pair_cases import enumerated_tv, rational_alphas

THETA, FLIP_RATE, HORIZON = Fraction(9, 10), Fraction(1, 2), Fraction(4)
COARSE = [Fraction(1), Fraction(3, 10), Fraction(0)]  # alpha on the grid 0, 0.7, 1
FINE = [Fraction(1), Fraction(3, 10), Fraction(3, 20), Fraction(0)]  # on 0, 0.7, 0.85, 1


def enclosed_n_tv(num_steps: int) -> arb:
    """N TV_N of the uniform pair with THETA, FLIP_RATE and HORIZON, with rigorous bounds."""
    alphas = [
        exponential(2 * FLIP_RATE, HORIZON * Fraction(k, num_steps)) for k in range(num_steps + 1)
    ]
    return num_steps * uniform_pair.hyperbolic_form(THETA, alphas)


def refined(draw: random.Random, alphas: list[Fraction]) -> list[Fraction]:
    """The grid with one more value of alpha between two neighbours."""
    k = draw.randrange(len(alphas) - 1)
    share = Fraction(draw.randrange(1, 10), 10)
    return [*alphas[: k + 1], alphas[k] + share * (alphas[k + 1] - alphas[k]), *alphas[k + 1 :]]


@claim(
    "n-tv-exceeds-its-limit",
    "False in general: N TV_N is at most its limit. Uniform pair with theta = 0.9, r = 0.5 and T "
    "= 4: 2.118 at N = 16, but the limit is 1.8.",
    group="fails",
    source="this project",
    hypotheses="uniform noise, uniform grid, start q_T; rigorous error bounds",
)
def _verify_above_the_limit(record: Record) -> None:
    pair = UniformPair(
        theta=float(THETA),
        schedule=ExponentialSchedule(rate=2 * float(FLIP_RATE), horizon=float(HORIZON)),
    )
    with precision():
        limit = uniform_constant_rate(THETA, FLIP_RATE, HORIZON)
        enclosed = {n: enclosed_n_tv(n) for n in (1, 2, 4, 8, 16, 64, 256)}
        above = float((enclosed[16] - limit).lower())
        record.exceeds(above, 0.3, 0.0, "N TV_N at N = 16 minus its limit")
        record.equal(float(enclosed[16].mid()), 2.117817, 5e-7, "N TV_N at N = 16")
        record.equal(float(limit.mid()), 1.8, 5e-8, "limit")
        for first, second in itertools.pairwise((1, 2, 4, 8, 16)):
            rise = float((enclosed[second] - enclosed[first]).lower())
            record.exceeds(rise, 0.0, 0.0, f"N TV_N rises from N = {first} to {second}")
        for first, second in itertools.pairwise((16, 64, 256)):
            fall = float((enclosed[first] - enclosed[second]).lower())
            record.exceeds(fall, 0.0, 0.0, f"N TV_N falls from N = {first} to {second}")
    for n, value in enclosed.items():
        tv = n * enumerated_tv(pair, uniform_grid(n, float(HORIZON)))
        record.equal(tv, float(value.mid()), 1e-12, f"N TV_N of the sampler, N={n}")


@claim(
    "refined-grid-is-worse",
    "False in general: a finer grid has a smaller error. Absorbing pair, linear schedule: TV "
    "rises from 0.318927 to 0.323847 when the time 0.85 is added to the grid 0, 0.7, 1.",
    group="fails",
    source="this project",
    hypotheses="a = 1/2, start q_T; exact rationals",
)
def _verify_refined_is_worse(record: Record) -> None:
    weight = Fraction(1, 2)
    data = absorbing_pair.two_point_law(weight)
    tvs = []
    for alphas in (COARSE, FINE):
        law = absorbing_pair.sampler_law(weight, alphas, from_prior=False)
        tvs.append(oracle.total_variation(law, data))
        record.equal(tvs[-1], absorbing_tv(alphas, weight), 0, f"closed form, alphas={alphas}")
    record.exceeds(tvs[1], tvs[0], Fraction(49, 10_000), "TV of the refined grid")
    record.equal(float(tvs[0]), 0.318927, 5e-7, "TV on 0, 0.7, 1")
    record.equal(float(tvs[1]), 0.323847, 5e-7, "TV on 0, 0.7, 0.85, 1")


@claim(
    "refined-grid-helps",
    "Masked and uniform pair: splitting a step never raises TV_N.",
    group="beyond",
    source="this project",
    hypotheses="any grid and alpha, start q_T; exact rationals",
)
def _verify_refining_helps(record: Record) -> None:
    """The closed forms on random grids and refinements; every fourth also with the sampler."""
    draw = random.Random(71)
    data = absorbing_pair.two_point_law(Fraction(1, 2))
    for case in range(60):
        alphas = rational_alphas(draw, 1 + case % 4, to_zero=case % 2 == 0)
        finer = refined(draw, alphas)
        what = f"alphas={[str(a) for a in finer]}"
        half = Fraction(1, 2)
        coarse_tv, fine_tv = (masked_tv(grid, half) for grid in (alphas, finer))
        record.at_most(fine_tv, coarse_tv, f"masked pair, {what}")
        if case % 4 == 0:
            sampled = masked_pair.sampler_tv(data, finer, all_mask=False)
            record.equal(sampled, fine_tv, 0, f"masked pair, sampler, {what}")
        theta = Fraction(draw.randrange(1, 11), 10)
        coarse_tv, fine_tv = (
            uniform_pair.closed_form(theta, grid, from_prior=False) for grid in (alphas, finer)
        )
        record.at_most(fine_tv, coarse_tv, f"uniform pair, theta={theta}, {what}")
        if case % 4 == 0:
            sampled = uniform_pair.sampler_tv(theta, finer, from_prior=False)
            record.equal(sampled, fine_tv, 0, f"uniform pair, sampler, theta={theta}, {what}")
