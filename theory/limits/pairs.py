r"""The limits of $N \cdot TV_N$ for pairs on the uniform grid, with rigorous constants.

* Masked pair: $d_{12}\,T\int\alpha'^2$. Linear schedule $d_{12}$; constant rate b
  $d_{12}\,bT(1-e^{-2bT})/2$; cosine schedule $d_{12}\,\pi^2/8$.
* Uniform pair, $|\theta| < 1$: $T\int\psi'^2/\sinh 2\psi_0$. Constant flip rate r
  $rT\theta(1-e^{-8rT})/(1-\theta^2e^{-8rT})$; linear schedule
  $\theta/2 + (1-\theta^2)(\operatorname{artanh}\sqrt\theta - \arctan\sqrt\theta)/(4\sqrt\theta)$.
* Absorbing pair of weight a, with $o = a/(1-a)$: $(1-a)\,T\int\phi'^2$. Constant rate b,
  $v = 1-e^{-bT}$:
  $\tfrac{abT}{2}\big[\tfrac{v}{1+ov^2} + \tfrac{\arctan\sqrt{o}v}{\sqrt{o}} +
  \tfrac1o(\tfrac{1}{1+ov^2} - 1)\big]$; linear schedule
  $\tfrac{a}{2}\big[1-a + \arctan(\sqrt{o})/\sqrt{o}\big]$.

Each limit is computed in four ways: by the sampler, enumerated up to N = 1024 and extrapolated; by
the closed form; by the integral, with rigorous bounds to 1e-30; and by `limit()` of the library.

Beyond the paper. For $\theta = 1$ see equal_bits.py, for any S and D see any_law.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from flint import acb, arb

from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair
from di4c.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    Schedule,
    uniform_grid,
)
from theory.claim import Record, claim
from theory.tools.enclosures import ball, distance, integral, precision
from theory.tools.extrapolation import limit_of_n_times
from theory.tools.pair_cases import enumerated_tv

RIGOROUS = 1e-30  # tolerance for two enclosures of one constant, at 128 bits
LIMIT = 1e-6  # tolerance for limits extrapolated from N <= 1024


@dataclass(frozen=True)
class Analytic:
    r"""A schedule as functions of a complex time, for rigorous integration.

    Attributes:
        schedule: the same schedule as the library has it.
        horizon: T, a rational number.
        alpha: $\alpha(z)$.
        slope: $\alpha'(z)$.
    """

    schedule: Schedule
    horizon: Fraction
    alpha: Callable[[acb], acb]
    slope: Callable[[acb], acb]

    def energy(self, angle_slope: Callable[[acb], acb]) -> arb:
        r"""$T\int_0^T (\alpha' g(\alpha))^2 dt$ for the derivative g of an angle by $\alpha$."""
        squared = integral(
            lambda z: (self.slope(z) * angle_slope(self.alpha(z))) ** 2, 0, self.horizon
        )
        return ball(self.horizon) * squared


def constant_rate(rate: Fraction, horizon: Fraction) -> Analytic:
    r"""The schedule $\alpha = e^{-bt}$."""
    schedule = ExponentialSchedule(rate=float(rate), horizon=float(horizon))
    b = acb(ball(rate))
    return Analytic(schedule, horizon, lambda z: (-b * z).exp(), lambda z: -b * (-b * z).exp())


def linear(horizon: Fraction) -> Analytic:
    r"""The schedule $\alpha = 1 - t/T$."""
    end = acb(ball(horizon))
    schedule = LinearSchedule(horizon=float(horizon))
    return Analytic(schedule, horizon, lambda z: 1 - z / end, lambda z: -1 / end)


def cosine(horizon: Fraction) -> Analytic:
    r"""The schedule $\alpha = \cos(\pi t/2T)$."""
    schedule = CosineSchedule(horizon=float(horizon))

    def speed() -> acb:
        return acb.pi() / (2 * acb(ball(horizon)))

    return Analytic(
        schedule, horizon, lambda z: (speed() * z).cos(), lambda z: -speed() * (speed() * z).sin()
    )


def masked_energy(case: Analytic) -> arb:
    r"""The integral $T\int\alpha'^2$ of the masked pair."""
    return case.energy(lambda _: acb(1))


def uniform_energy(case: Analytic, theta: Fraction) -> arb:
    r"""The limit $T\int\psi'^2/\sinh 2\psi_0$ of the uniform pair."""
    w = acb(ball(theta))
    energy = case.energy(lambda alpha: 2 * w * alpha / (1 - w**2 * alpha**4))
    return energy * (1 - ball(theta) ** 2) / (2 * ball(theta))


def absorbing_energy(case: Analytic, weight: Fraction) -> arb:
    r"""The limit $(1-a)\,T\int\phi'^2$ of the absorbing pair."""
    odds = acb(ball(weight / (1 - weight)))
    energy = case.energy(lambda alpha: odds.sqrt() / (1 + odds * (1 - alpha) ** 2))
    return ball(1 - weight) * energy


def masked_constant_rate(rate: Fraction, horizon: Fraction) -> arb:
    r"""Masked pair over d_12, constant rate: $bT(1-e^{-2bT})/2$."""
    x = ball(rate * horizon)
    return x * (1 - (-2 * x).exp()) / 2


def uniform_constant_rate(theta: Fraction, flip_rate: Fraction, horizon: Fraction) -> arb:
    r"""Uniform pair, constant flip rate: $rT\theta(1-e^{-8rT})/(1-\theta^2e^{-8rT})$."""
    x, w = ball(flip_rate * horizon), ball(theta)
    decay = (-8 * x).exp()
    return x * w * (1 - decay) / (1 - w**2 * decay)


def uniform_linear(theta: Fraction) -> arb:
    """Uniform pair, linear schedule: the formula of the module docstring."""
    w = ball(theta)
    return w / 2 + (1 - w**2) * (w.sqrt().atanh() - w.sqrt().atan()) / (4 * w.sqrt())


def absorbing_constant_rate(weight: Fraction, rate: Fraction, horizon: Fraction) -> arb:
    """Absorbing pair, constant rate: the formula of the module docstring."""
    odds, x = ball(weight / (1 - weight)), ball(rate * horizon)
    v = 1 - (-x).exp()
    share = 1 + odds * v**2
    arc = (odds.sqrt() * v).atan() / odds.sqrt()
    return ball(weight) * x / 2 * (v / share + arc + (1 / share - 1) / odds)


def absorbing_linear(weight: Fraction) -> arb:
    r"""Absorbing pair, linear schedule: $\tfrac a2[1 - a + \arctan(\sqrt o)/\sqrt o]$."""
    root = ball(weight / (1 - weight)).sqrt()
    return ball(weight) / 2 * (ball(1 - weight) + root.atan() / root)


def sampler_limit(pair: Pair, orders: tuple[int, ...] | None = None) -> float:
    """Limit of N TV_N of the enumerated sampler, extrapolated from N = 64, 128, ..., 1024."""

    def error(num_steps: int) -> float:
        return enumerated_tv(pair, uniform_grid(num_steps, pair.schedule.horizon))

    return limit_of_n_times(error, 64, 4, orders)


def _compare(record: Record, what: str, enclosed: arb, closed: arb, pair: Pair) -> None:
    record.vanishes(distance(enclosed, closed), RIGOROUS, f"integral and closed form, {what}")
    middle = float(closed.mid())
    record.equal(sampler_limit(pair), middle, LIMIT, f"sampler, {what}")
    library = pair.limit()
    record.equal(math.nan if library is None else library, middle, 1e-12, f"limit(), {what}")


@claim(
    "limit-masked",
    "Masked pair: N TV_N -> d_12 T int alpha'^2. This is d_12 for the linear schedule and "
    "d_12 pi^2/8 for the cosine schedule.",
    group="beyond",
    source="this project",
    hypotheses="uniform grid, int alpha'^2 finite, start q_T; constants with rigorous error bounds",
)
def _verify_masked(record: Record) -> None:
    rate, horizon = Fraction(4, 5), Fraction(3, 2)
    p_0 = torch.tensor([[0.5, 0.0], [0.25, 0.25]], dtype=torch.float64)  # d_12 = 1/4
    with precision():
        for case, closed in (
            (linear(Fraction(2)), ball(1)),
            (constant_rate(rate, horizon), masked_constant_rate(rate, horizon)),
            (cosine(Fraction(1)), arb.pi() ** 2 / 8),
        ):
            pair = MaskedPair(p_0=p_0, schedule=case.schedule)
            enclosed = masked_energy(case) / 4
            _compare(record, str(pair), enclosed, closed / 4, pair)


@claim(
    "limit-uniform",
    "Uniform pair: N TV_N -> T int psi'^2 / sinh 2psi_0. At flip rate r this is "
    "rT theta (1-e^{-8rT}) / (1-theta^2 e^{-8rT}).",
    group="beyond",
    source="this project",
    hypotheses="symmetric p_0, |theta| < 1, uniform grid, start q_T; constants with rigorous "
    "error bounds",
)
def _verify_uniform(record: Record) -> None:
    flip_rate, horizon = Fraction(2, 5), Fraction(3, 2)
    with precision():
        for theta in (Fraction(3, 10), Fraction(4, 5)):
            for case, closed in (
                (linear(Fraction(2)), uniform_linear(theta)),
                (
                    constant_rate(2 * flip_rate, horizon),
                    uniform_constant_rate(theta, flip_rate, horizon),
                ),
            ):
                pair = UniformPair(theta=float(theta), schedule=case.schedule)
                enclosed = uniform_energy(case, theta)
                _compare(record, str(pair), enclosed, closed, pair)
            pair = UniformPair(theta=float(theta), schedule=CosineSchedule())
            middle = float(uniform_energy(cosine(Fraction(1)), theta).mid())
            record.equal(sampler_limit(pair), middle, LIMIT, f"{pair}, sampler")
            library = pair.limit()
            record.equal(math.nan if library is None else library, middle, 1e-12, f"{pair}")


@claim(
    "limit-absorbing",
    "Absorbing pair: N TV_N -> (1-a) T int phi'^2, which has a closed form at a constant rate and "
    "for the linear schedule.",
    group="beyond",
    source="this project",
    hypotheses="p_0 = (1-a) on 00 and a on 11, uniform grid, start q_T; constants with rigorous "
    "error bounds",
)
def _verify_absorbing(record: Record) -> None:
    rate, horizon = Fraction(4, 5), Fraction(3, 2)
    with precision():
        for weight in (Fraction(1, 2), Fraction(1, 5)):
            for case, closed in (
                (linear(Fraction(2)), absorbing_linear(weight)),
                (constant_rate(rate, horizon), absorbing_constant_rate(weight, rate, horizon)),
            ):
                pair = AbsorbingPair(weight=float(weight), schedule=case.schedule)
                enclosed = absorbing_energy(case, weight)
                _compare(record, str(pair), enclosed, closed, pair)
