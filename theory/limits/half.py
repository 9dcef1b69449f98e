r"""HALF under uniform noise: the limit of $N \cdot TV_N$, and two limits that do not commute.

At $\theta = 1$ only the steps near the data count. With $f = (1-w)/(1+w)$ growing linearly there,
$f_k / f_{k-1} \to k/(k-1)$ and

$$N\,TV_N \to \tfrac12 T f'(0) \prod_{k \ge 2} \cosh\log\tfrac{k}{k-1}
  = T\,|\alpha'(0)|\,\frac{\cosh(\pi/2)}{\pi}$$

under any schedule: $\frac{2\cosh(\pi/2)}{\pi}\,rT = 1.597393\,rT$ at a constant flip rate r. The
limit for $|\theta| < 1$ tends to $T\,|\alpha'(0)|/2$ as $\theta \to 1$, smaller by the factor
$2\cosh(\pi/2)/\pi$ under every schedule, although TV_N at each N is continuous in $\theta$. A plot
of $N \cdot TV_N$ at $\theta$ close to 1 therefore settles at the limit of 1 before it falls to its
own. Beyond the paper.
"""

import math
from fractions import Fraction

from flint import acb, arb

from di4c.exact.pairs import UniformPair
from di4c.schedules import ExponentialSchedule, LinearSchedule, uniform_grid
from theory.claim import Record, claim
from theory.limits.pairs import LIMIT, RIGOROUS, sampler_limit, uniform_linear
from theory.theorem1 import two_sided_pairs as chain
from theory.tools.enclosures import ball, distance, precision
from theory.tools.pair_cases import survival


def half_constant() -> arb:
    r"""$2\cosh(\pi/2)/\pi$."""
    return 2 * (arb.pi() / 2).cosh() / arb.pi()


def half_constant_by_gamma() -> arb:
    r"""$1/|\Gamma(\tfrac32 + \tfrac i2)|^2$, the product over k in Gamma functions."""
    return 1 / abs(acb(ball(Fraction(3, 2)), ball(Fraction(1, 2))).gamma()) ** 2


def half_constant_by_product(terms: int) -> tuple[arb, arb]:
    r"""Bounds: $P_K \le \prod_{k\ge2}[1 + \tfrac{1}{2k(k-1)}] \le P_K e^{1/2K}$."""
    product = ball(1)
    for k in range(2, terms + 1):
        product *= 1 + 1 / ball(2 * k * (k - 1))
    return product, product * (1 / ball(2 * terms)).exp()


@claim(
    "limit-half",
    "HALF, uniform noise: N TV_N -> 2 cosh(pi/2)/pi rT = 1.597393 rT",
    group="beyond",
    source="this project",
    hypotheses="theta = 1, uniform grid; general alpha: T |alpha'(0)| cosh(pi/2)/pi",
)
def _verify_half(record: Record) -> None:
    with precision():
        constant = half_constant()
        by_gamma = half_constant_by_gamma()
        record.equal(distance(constant, by_gamma), 0.0, RIGOROUS, "cosh and Gamma")
        below, above = half_constant_by_product(2000)
        record.at_most(0, float((constant - below).lower()), "partial product below")
        record.at_most(0, float((above - constant).lower()), "partial product and tail above")
        middle = float(constant.mid())
    for flip_rate, horizon in ((0.5, 1.0), (1.0, 2.0)):
        schedule = ExponentialSchedule(rate=2 * flip_rate, horizon=horizon)
        pair = UniformPair(theta=1.0, schedule=schedule)
        expected = middle * flip_rate * horizon
        record.equal(sampler_limit(pair, chain.uniform_tv), expected, LIMIT, str(pair))
        library = pair.limit()
        record.equal(math.nan if library is None else library, expected, 1e-12, f"limit(), {pair}")
    # The linear schedule has (log N)/N in its series, which a repeated order removes.
    pair = UniformPair(theta=1.0, schedule=LinearSchedule(horizon=3.0))
    found = sampler_limit(pair, chain.uniform_tv, (1, 1, 2, 2))
    record.equal(found, middle / 2, 1e-5, f"T |alpha'(0)| cosh(pi/2)/pi, {pair}")


def _verify_limits_do_not_commute(record: Record) -> None:
    """First N, then theta: rT. First theta, then N: 1.597 rT. At a fixed N nothing jumps."""
    flip_rate = 0.5
    half = UniformPair(theta=1.0, schedule=ExponentialSchedule(rate=2 * flip_rate))
    grid = uniform_grid(64)
    alphas = survival(half.schedule, grid.numpy())
    at_half = sampler_limit(half, chain.uniform_tv)
    for digits in (4, 6, 8):
        theta = 1 - 10.0**-digits
        pair = UniformPair(theta=theta, schedule=half.schedule)
        limit = pair.limit()
        if limit is None:
            raise ValueError(f"{pair} has no limit")
        record.equal(limit, flip_rate, 3 * 10.0**-digits, f"first N, then theta = 1 - 1e-{digits}")
        record.exceeds(at_half, limit, 0.59 * flip_rate, f"theta = 1 against 1 - 1e-{digits}")
        gap = abs(chain.uniform_tv(pair, alphas) - chain.uniform_tv(half, alphas))
        record.at_most(gap, 100 * 10.0**-digits, f"N = 64 is continuous at 1 - 1e-{digits}")


def _verify_half_ratio(record: Record) -> None:
    """The factor is 2 cosh(pi/2)/pi under the linear schedule as well."""
    with precision():
        limit = uniform_linear(1 - Fraction(1, 10**12))
        record.equal(distance(limit, Fraction(1, 2)), 0.0, 1e-10, "theta -> 1 of the linear row")
    pair = UniformPair(theta=1.0, schedule=LinearSchedule())
    at_half = sampler_limit(pair, chain.uniform_tv, (1, 1, 2, 2))
    record.equal(at_half / 0.5, 2 * math.cosh(math.pi / 2) / math.pi, 1e-5, "ratio")
    record.exceeds(at_half, 0.5, 0.29, "theta = 1 against theta -> 1")


@claim(
    "limits-do-not-commute",
    "False in general: N -> inf and theta -> 1 commute. rT one way, 1.597 rT the other",
    group="fails",
    source="this project",
    hypotheses="binds: the limit needs full support, uniformly",
)
def _verify_commuting(record: Record) -> None:
    _verify_limits_do_not_commute(record)
    _verify_half_ratio(record)
