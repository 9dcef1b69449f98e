"""The limits of N TV_N for pairs: known numbers, other integrals, wrong constants must fail."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from di4c.exact.pairs import AbsorbingPair, MaskedPair, UniformPair
from di4c.schedules import (
    ArccosSchedule,
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    LogLinearSchedule,
)
from theory.claim import Record
from theory.limits import equal_bits
from theory.limits import pairs as pair_limits
from theory.limits.pairs import sampler_limit, uniform_linear
from theory.tools.enclosures import ball, distance, exponential, integral, precision
from theory.tools.extrapolation import extrapolate, limit_of_n_times

rates = st.floats(0.01, 5)


@settings(max_examples=30)
@given(rates, rates, st.floats(0.001, 1 - 1e-9))
def test_library_limits_against_adaptive_quadrature(rate: float, end: float, theta: float) -> None:
    """A constant rate: integrals over alpha instead of time, by scipy."""
    schedule = ExponentialSchedule(rate=rate, horizon=end)
    last = math.exp(-rate * end)
    masked = MaskedPair(p_0=torch.eye(2, dtype=torch.float64) / 2, schedule=schedule)
    area = quad(lambda a: rate * a, last, 1)[0]  # int alpha'^2 dt = int |alpha'| d alpha
    assert masked.limit() == pytest.approx(end * area / 2, rel=1e-9)
    x = rate * end / 2
    decay = math.exp(-8 * x)
    expected = x * theta * (1 - decay) / (1 - theta**2 * decay)
    assert UniformPair(theta=theta, schedule=schedule).limit() == pytest.approx(expected, rel=1e-9)
    odds = theta / (1 - theta)

    def slope(a: float) -> float:
        return odds * rate * a / (1 + odds * (1 - a) ** 2) ** 2

    if odds < 1000:
        expected = (1 - theta) * end * quad(slope, last, 1, epsabs=0, epsrel=1e-10, limit=200)[0]
        pair = AbsorbingPair(weight=theta, schedule=schedule)
        assert pair.limit() == pytest.approx(expected, rel=1e-8)


def test_known_numbers() -> None:
    at_one = UniformPair(theta=1.0, schedule=ExponentialSchedule(rate=2.0))
    assert at_one.limit() == pytest.approx(1.597393, abs=5e-7)
    p_0 = torch.eye(2, dtype=torch.float64) / 2
    assert MaskedPair(p_0=p_0, schedule=CosineSchedule()).limit() == pytest.approx(math.pi**2 / 16)
    assert MaskedPair(p_0=p_0, schedule=LogLinearSchedule(epsilon=0.1)).limit() == pytest.approx(
        0.5 * 0.81
    )
    v = 1 - math.exp(-1)
    expected = (v / (1 + v * v) + math.atan(v) + 1 / (1 + v * v) - 1) / 4
    assert AbsorbingPair(schedule=ExponentialSchedule()).limit() == pytest.approx(expected)


def test_a_pair_equals_only_itself() -> None:
    """Tensors of two laws do not compare to one truth value."""
    schedule, half = LinearSchedule(), torch.eye(2, dtype=torch.float64) / 2
    for make in (
        lambda: MaskedPair(p_0=half, schedule=schedule),
        lambda: UniformPair(theta=0.5, schedule=schedule),
        lambda: AbsorbingPair(weight=0.5, schedule=schedule),
    ):
        assert len({make(), make()}) == 2


def test_the_sign_of_theta_does_not_change_the_limit() -> None:
    limits = [UniformPair(theta=t, schedule=LinearSchedule()).limit() for t in (0.4, -0.4, 0.0)]
    assert limits[0] == limits[1] > limits[2] == 0


def test_limits_from_the_prior() -> None:
    """Masked pair: divided by (1 - alpha_T)^2. Others: None, except at theta = 1 or alpha_T = 0."""
    schedule = ExponentialSchedule(rate=1.0)
    last = math.exp(-1)
    p_0 = torch.eye(2, dtype=torch.float64) / 2
    masked = {s: MaskedPair(p_0=p_0, schedule=schedule, start=s) for s in ("q_T", "prior")}
    ratio = sampler_limit(masked["prior"]) / masked["q_T"].limit()
    assert ratio == pytest.approx((1 - last) ** -2, rel=1e-7)
    assert masked["prior"].limit() == pytest.approx(masked["q_T"].limit() / (1 - last) ** 2)
    assert UniformPair(theta=0.5, schedule=schedule, start="prior").limit() is None
    assert AbsorbingPair(schedule=schedule, start="prior").limit() is None
    at_one = UniformPair(theta=1.0, schedule=schedule, start="prior")
    assert at_one.limit() == pytest.approx(sampler_limit(at_one), rel=1e-7)
    for start in ("q_T", "prior"):  # alpha_T = 0: q_T is the prior
        pair = UniformPair(theta=0.5, schedule=LinearSchedule(), start=start)
        assert pair.limit() == pytest.approx(float(uniform_linear(Fraction(1, 2)).mid()))


def test_no_limit_where_the_slope_is_infinite() -> None:
    schedule = ArccosSchedule()
    p_0 = torch.eye(2, dtype=torch.float64) / 2
    assert MaskedPair(p_0=p_0, schedule=schedule).limit() is None
    assert UniformPair(theta=0.5, schedule=schedule).limit() is None
    assert UniformPair(theta=1.0, schedule=schedule).limit() is None
    assert AbsorbingPair(schedule=schedule).limit() is None
    assert UniformPair(theta=0.0, schedule=schedule).limit() == 0.0


@pytest.mark.parametrize("factor", [1 + 1e-5, 1 - 1e-5])
def test_a_constant_off_by_one_in_1e5_is_rejected(factor: float) -> None:
    pair = UniformPair(theta=0.8, schedule=ExponentialSchedule())
    limit = pair.limit()
    assert limit is not None
    record = Record()
    found = sampler_limit(pair)
    record.equal(found, factor * limit, pair_limits.LIMIT, "wrong constant")
    assert not record.holds


def test_values_without_extrapolation_are_not_close_enough() -> None:
    """N TV_N at N = 1024 is off by more than 100 times the tolerance of the claims."""
    pair = UniformPair(theta=0.8, schedule=ExponentialSchedule())
    raw = 1024 * pair.closed_form([k / 1024 for k in range(1025)])
    limit = pair.limit()
    assert limit is not None
    assert abs(raw - limit) > 100 * pair_limits.LIMIT


def test_extrapolation_removes_powers_and_logarithms() -> None:
    sizes = [8 * 2**j for j in range(6)]
    assert extrapolate([1 + 3 / n - 2 / n**2 for n in sizes[:3]]) == pytest.approx(1, abs=1e-14)
    logs = [1 + 3 / n + 2 * math.log(n) / n for n in sizes]
    assert extrapolate(logs[:3], (1, 1)) == pytest.approx(1, abs=1e-13)
    assert abs(extrapolate(logs[:3]) - 1) > 1e-3
    assert limit_of_n_times(lambda n: 1 / (n + 1), 8, 5) == pytest.approx(1, abs=1e-9)


def test_enclosures_contain_the_number() -> None:
    with precision():
        third = ball(Fraction(1, 3))
        assert 0 < distance(third, 1 / 3) < 1e-16
        assert distance(Fraction(1, 3), Fraction(1, 3)) < 1e-35
        assert distance(0.1, 0.1) == 0.0
        assert distance(Fraction(1, 10), 0.1) > 1e-18  # the float is not the fraction
        square = integral(lambda z: z * z, 0, 1)
        assert distance(square, third) < 1e-35
        assert distance(square, third + ball(Fraction(1, 10**30))) > 1e-31
        value = exponential(Fraction(1, 2), Fraction(3))
        assert value.lower() <= value.mid() <= value.upper()
        assert float(value.mid()) == pytest.approx(math.exp(-1.5), rel=1e-15)


def test_the_constant_of_equal_bits_lies_between_its_bounds() -> None:
    with precision():
        below, above = equal_bits.limit_constant_by_product(500)
        assert below <= equal_bits.limit_constant() <= above
        assert distance(below, above) < 2e-3
        wrong = equal_bits.limit_constant() + ball(Fraction(1, 100))
        assert not wrong <= above
