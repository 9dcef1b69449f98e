r"""Two bits that always agree, uniform noise: the limit of N TV_N, and limits that do not commute.

The law is the uniform pair with correlation $\theta = 1$ (theorem1/pairs/uniform_pair.py). At
$\theta = 1$ only the steps near the data count. There $f = (1-w)/(1+w)$ grows linearly in time, so
$f_k / f_{k-1} \to k/(k-1)$ and

$$N\,TV_N \to \tfrac12 T f'(0) \prod_{k \ge 2} \cosh\log\tfrac{k}{k-1}
  = T\,|\alpha'(0)|\,\frac{\cosh(\pi/2)}{\pi}$$

under any schedule. At a constant flip rate r this is
$\frac{2\cosh(\pi/2)}{\pi}\,rT = 1.597393\,rT$.

For $|\theta| < 1$ the limit of $N \cdot TV_N$ tends to $T\,|\alpha'(0)|/2$ as $\theta \to 1$. This
is smaller by the factor $2\cosh(\pi/2)/\pi$ under every schedule, although TV_N at each N is
continuous in $\theta$. So a plot of $N \cdot TV_N$ at $\theta$ close to 1 first stays at the limit
for $\theta = 1$ and falls to its own limit only at much larger N. Beyond the paper.
"""

import math
from fractions import Fraction

from flint import acb, arb

from di4c.exact.pairs import UniformPair
from di4c.schedules import ExponentialSchedule, LinearSchedule, uniform_grid
from theory.claim import Record, claim
from theory.limits.pairs import LIMIT, RIGOROUS, sampler_limit, uniform_linear
from theory.tools.enclosures import ball, distance, precision
from theory.tools.pair_cases import enumerated_tv


def limit_constant() -> arb:
    r"""The constant $2\cosh(\pi/2)/\pi$."""
    return 2 * (arb.pi() / 2).cosh() / arb.pi()


def limit_constant_by_gamma() -> arb:
    r"""The same product over k in Gamma functions, $1/|\Gamma(\tfrac32 + \tfrac i2)|^2$."""
    return 1 / abs(acb(ball(Fraction(3, 2)), ball(Fraction(1, 2))).gamma()) ** 2


def limit_constant_by_product(terms: int) -> tuple[arb, arb]:
    r"""Two bounds: $P_K \le \prod_{k\ge2}[1 + \tfrac{1}{2k(k-1)}] \le P_K e^{1/2K}$."""
    product = ball(1)
    for k in range(2, terms + 1):
        product *= 1 + 1 / ball(2 * k * (k - 1))
    return product, product * (1 / ball(2 * terms)).exp()


@claim(
    "limit-equal-bits",
    "Two bits that always agree, uniform noise of flip rate r: "
    "N TV_N -> (2 cosh(pi/2)/pi) rT = 1.597393 rT.",
    group="beyond",
    source="this project",
    hypotheses="uniform grid, start q_T; for other schedules T |alpha'(0)| cosh(pi/2)/pi",
)
def _verify_equal_bits(record: Record) -> None:
    with precision():
        constant = limit_constant()
        by_gamma = limit_constant_by_gamma()
        record.vanishes(distance(constant, by_gamma), RIGOROUS, "by cosh and by Gamma")
        below, above = limit_constant_by_product(2000)
        record.at_most(0, float((constant - below).lower()), "the partial product is below")
        record.at_most(0, float((above - constant).lower()), "partial product and tail are above")
        middle = float(constant.mid())
    for flip_rate, horizon in ((0.5, 1.0), (1.0, 2.0)):
        schedule = ExponentialSchedule(rate=2 * flip_rate, horizon=horizon)
        pair = UniformPair(theta=1.0, schedule=schedule)
        expected = middle * flip_rate * horizon
        record.equal(sampler_limit(pair), expected, LIMIT, str(pair))
        library = pair.limit()
        record.equal(math.nan if library is None else library, expected, 1e-12, f"limit(), {pair}")
    # For the linear schedule the series has a term (log N)/N, which a repeated order removes.
    pair = UniformPair(theta=1.0, schedule=LinearSchedule(horizon=3.0))
    found = sampler_limit(pair, (1, 1, 2, 2))
    record.equal(found, middle / 2, 1e-5, f"T |alpha'(0)| cosh(pi/2)/pi, {pair}")


def _verify_constant_rate(record: Record) -> None:
    """First N, then theta: rT. First theta, then N: 1.597 rT. TV_64 is continuous in theta."""
    flip_rate = 0.5
    equal_bits = UniformPair(theta=1.0, schedule=ExponentialSchedule(rate=2 * flip_rate))
    grid = uniform_grid(64)
    at_one = sampler_limit(equal_bits)
    for digits in (4, 6, 8):
        theta = 1 - 10.0**-digits
        pair = UniformPair(theta=theta, schedule=equal_bits.schedule)
        limit = pair.limit()
        if limit is None:
            raise ValueError(f"{pair} has no limit")
        record.equal(limit, flip_rate, 3 * 10.0**-digits, f"first N, then theta = 1 - 1e-{digits}")
        record.exceeds(at_one, limit, 0.59 * flip_rate, f"theta = 1 against 1 - 1e-{digits}")
        gap = abs(enumerated_tv(pair, grid) - enumerated_tv(equal_bits, grid))
        record.at_most(gap, 100 * 10.0**-digits, f"TV_64, theta = 1 against 1 - 1e-{digits}")


def _verify_linear(record: Record) -> None:
    """The factor is 2 cosh(pi/2)/pi under the linear schedule as well."""
    with precision():
        limit = uniform_linear(1 - Fraction(1, 10**12))
        record.vanishes(distance(limit, Fraction(1, 2)), 1e-10, "limit for theta -> 1")
    pair = UniformPair(theta=1.0, schedule=LinearSchedule())
    at_one = sampler_limit(pair, (1, 1, 2, 2))
    record.equal(at_one / 0.5, 2 * math.cosh(math.pi / 2) / math.pi, 1e-5, "ratio of the limits")
    record.exceeds(at_one, 0.5, 0.29, "theta = 1 against theta -> 1")


@claim(
    "limits-do-not-commute",
    "False in general: the limits N -> infinity and theta -> 1 of N TV_N commute. In this order "
    "the result is rT, in the other 1.597 rT.",
    group="fails",
    source="this project",
    hypotheses="uniform pair of correlation theta, uniform grid; the limit formula for theta < 1 "
    "needs full support",
)
def _verify_commuting(record: Record) -> None:
    _verify_constant_rate(record)
    _verify_linear(record)
