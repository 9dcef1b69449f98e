r"""Noise schedules $\alpha(t)$ and the time grids of few-step sampling.

Time runs from 0 (data) to the horizon $T$ (noise). $\alpha(t)$ is the probability that noise has
not changed a coordinate until time t; it falls from 1. Schedules work in float64 and accept floats
and tensors.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from di4c.checks import check_count, check_number, check_time_scale, shown

Time = float | int | Tensor


def as_time(time: Time) -> Tensor:
    """A time as a float64 tensor; raises TypeError for a text. A tensor stays on its device."""
    try:
        return torch.as_tensor(time, dtype=torch.float64)
    except (TypeError, ValueError):
        raise TypeError(f"a time must be a number or a tensor; got {shown(time)}") from None


@dataclass(frozen=True)
class Schedule(ABC):
    r"""Survival probability $\alpha: [0, T] \to [0, 1]$, decreasing, with $\alpha(0) = 1$.

    All methods return float64 in the shape of their argument.

    Attributes:
        horizon: $T$, the time at which generation starts.
    """

    horizon: float = 1.0

    def __post_init__(self) -> None:
        check_time_scale("horizon", self.horizon)

    @abstractmethod
    def alpha(self, t: Time) -> Tensor:
        """Survival probability at t."""

    def complement(self, t: Time) -> Tensor:
        r"""$1 - \alpha(t)$, without the rounding error of the subtraction near t = 0."""
        return self.drop(0.0, t)

    @abstractmethod
    def drop(self, s: Time, t: Time) -> Tensor:
        r"""$\alpha(s) - \alpha(t)$ for s <= t, without the rounding error of the subtraction."""

    @abstractmethod
    def derivative(self, t: Time) -> Tensor:
        r"""$\alpha'(t)$, at most 0."""

    @abstractmethod
    def inverse(self, alpha: Time) -> Tensor:
        """Time at which the survival probability equals alpha."""


@dataclass(frozen=True)
class _StraightSchedule(Schedule):
    """Alpha falls along a straight line, by `_lost` until the horizon."""

    _lost = 1.0

    def alpha(self, t: Time) -> Tensor:
        return 1 - self.complement(t)

    def drop(self, s: Time, t: Time) -> Tensor:
        return self._lost * (as_time(t) - as_time(s)) / self.horizon

    def derivative(self, t: Time) -> Tensor:
        return torch.full_like(as_time(t), -self._lost / self.horizon)

    def inverse(self, alpha: Time) -> Tensor:
        return (1 - as_time(alpha)) * self.horizon / self._lost


@dataclass(frozen=True)
class LinearSchedule(_StraightSchedule):
    r"""$\alpha(t) = 1 - t / T$."""


@dataclass(frozen=True)
class LogLinearSchedule(_StraightSchedule):
    r"""$\alpha(t) = 1 - (1 - \varepsilon) t / T$, the log-linear schedule of MDLM.

    Attributes:
        epsilon: survival probability at the horizon, in (0, 1).
    """

    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("epsilon", self.epsilon, "(0, 1)")

    @property
    def _lost(self) -> float:
        return 1 - self.epsilon


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    r"""$\alpha(t) = \cos(\pi t / 2T)$."""

    def alpha(self, t: Time) -> Tensor:
        # The sine is exactly 0 at the horizon; cos(pi / 2) would be 6e-17.
        return torch.sin((1 - as_time(t) / self.horizon) * (math.pi / 2))

    def drop(self, s: Time, t: Time) -> Tensor:
        s, t = as_time(s), as_time(t)
        rate = math.pi / (4 * self.horizon)
        return 2 * torch.sin(rate * (t + s)) * torch.sin(rate * (t - s))

    def derivative(self, t: Time) -> Tensor:
        rate = math.pi / (2 * self.horizon)
        return -rate * torch.sin(rate * as_time(t))

    def inverse(self, alpha: Time) -> Tensor:
        return torch.acos(as_time(alpha)) * (2 * self.horizon / math.pi)


@dataclass(frozen=True)
class ArccosSchedule(Schedule):
    r"""$\alpha(t) = \frac{2}{\pi}\arcsin(1 - t/T)$.

    MaskGIT's schedule: a share $\arccos(r) / (\pi/2)$ of the positions is masked at its time
    $r = 1 - t/T$. The derivative is infinite at $t = 0$.
    """

    def alpha(self, t: Time) -> Tensor:
        far = torch.asin(1 - as_time(t) / self.horizon) * (2 / math.pi)
        # 1 - t / T loses half of the digits near t = 0, where the arc sine is steep.
        return torch.where(far > 0.5, 1 - self.complement(t), far)

    def drop(self, s: Time, t: Time) -> Tensor:
        # With p = sin a and q = sin b: sin(b - a) = (q^2 - p^2) / (q cos a + p cos b).
        scale = 2 * self.horizon
        s, t = as_time(s), as_time(t)  # p^2 and q^2, times the scale
        whole = t.sqrt() * (1 - s / scale).sqrt() + s.sqrt() * (1 - t / scale).sqrt()
        ratio = (t - s) / whole.where(whole > 0, 1.0) / math.sqrt(scale)
        return torch.asin(ratio) * (4 / math.pi)

    def derivative(self, t: Time) -> Tensor:
        x = as_time(t) / self.horizon  # with r = 1 - x, 1 - r^2 = x (2 - x)
        return -(2 / math.pi) / (self.horizon * torch.sqrt(x * (2 - x)))

    def inverse(self, alpha: Time) -> Tensor:
        return (1 - torch.sin(as_time(alpha) * (math.pi / 2))) * self.horizon


@dataclass(frozen=True)
class ExponentialSchedule(Schedule):
    r"""$\alpha(t) = e^{-\text{rate}\, t}$: noise events at a constant rate.

    The survival probability is positive at the horizon, so some data is left there.

    Attributes:
        rate: events for each unit of time.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_time_scale("rate", self.rate)

    def alpha(self, t: Time) -> Tensor:
        return torch.exp(-self.rate * as_time(t))

    def drop(self, s: Time, t: Time) -> Tensor:
        return -self.alpha(s) * torch.expm1(-self.rate * (as_time(t) - as_time(s)))

    def derivative(self, t: Time) -> Tensor:
        return -self.rate * self.alpha(t)

    def inverse(self, alpha: Time) -> Tensor:
        return -torch.log(as_time(alpha)) / self.rate


def check_grid(grid: Sequence[float] | Tensor) -> list[float]:
    """The grid as floats 0 <= t_0 < ... < t_N; raises ValueError if it is no such grid."""
    if isinstance(grid, Tensor) and grid.ndim != 1:
        raise ValueError(f"grid must have one axis; got shape {tuple(grid.shape)}")
    try:
        times = grid.tolist() if isinstance(grid, Tensor) else [float(t) for t in grid]
    except (TypeError, ValueError):
        raise ValueError(f"grid must hold times from data to noise; got {grid!r:.60}") from None
    if len(times) < 2:
        raise ValueError(f"grid must hold at least two times; got {times}")
    if not times[0] >= 0:
        raise ValueError(f"grid must start at a time >= 0; got {times[0]}")
    for k, (earlier, later) in enumerate(pairwise(times)):
        if not earlier < later:
            raise ValueError(
                f"grid must increase from data (0) to noise; got t_{k} = {earlier}, "
                f"t_{k + 1} = {later}; sort the times and drop repeats"
            )
    return times


def _fractions(num_steps: int) -> Tensor:
    check_count("num_steps", num_steps, 1)
    return torch.arange(num_steps + 1, dtype=torch.float64) / num_steps


def _distinct(times: Tensor) -> Tensor:
    """The times, checked to differ in spite of rounding."""
    if not bool((times.diff() > 0).all()):
        last = float(times[-1])
        raise ValueError(f"num_steps must be smaller for times up to {last}; got {len(times) - 1}")
    return times


def uniform_grid(num_steps: int, horizon: float = 1.0, start: float = 0.0) -> Tensor:
    r"""Equispaced times $t_k = t_0 + (T - t_0) k / N$, (N + 1,), float64.

    Raises:
        ValueError: Unless N is at least 1 and 0 <= start < horizon, both finite.
    """
    check_number("horizon", horizon, "(0, inf)")
    check_number("start", start, f"[0, {horizon})", "start before the horizon")
    return _distinct(start + (horizon - start) * _fractions(num_steps))


def quadratic_grid(num_steps: int, horizon: float = 1.0) -> Tensor:
    r"""$t_k = T (k / N)^2$, (N + 1,), float64.

    If $q_0$ has zeros, the error of the uniform grid may be of order log N / N. This grid restores
    the order 1 / N.

    Raises:
        ValueError: Unless N is at least 1 and the horizon is positive and finite.
    """
    check_number("horizon", horizon, "(0, inf)")
    return _distinct(horizon * _fractions(num_steps) ** 2)


def _times_of(schedule: Schedule, complements: Tensor) -> Tensor:
    r"""Times from $1 - \alpha$, with the digits that alpha loses near 1."""
    times = schedule.inverse(1 - complements)
    for _ in range(4):  # Newton's method
        error = schedule.complement(times) - complements
        times = torch.where(complements < 0.5, times + error / schedule.derivative(times), times)
    times[0], times[-1] = 0.0, schedule.horizon  # without rounding
    return _distinct(times)


def alpha_grid(schedule: Schedule, num_steps: int) -> Tensor:
    r"""N + 1 times equispaced in $\alpha$, the best grid for two coordinates under masked noise."""
    return _times_of(schedule, schedule.complement(schedule.horizon) * _fractions(num_steps))


def psi_grid(schedule: Schedule, num_steps: int, theta: float) -> Tensor:
    r"""N + 1 times equispaced in $\psi = \operatorname{artanh}(|\theta|\alpha^2)$.

    This is the best grid for two symmetric spins under uniform noise (`exact.pairs.UniformPair`).

    Args:
        schedule: survival probability of one coordinate; $\alpha = e^{-2rt}$ at flip rate r.
        num_steps: N.
        theta: correlation of the two spins, $0 < |\theta| < 1$.

    Raises:
        ValueError: If theta is out of range.
    """
    check_number("theta", theta, "(-1, 1)", "psi is infinite outside: use uniform_grid")
    if theta == 0:
        raise ValueError("theta must not be 0, where psi is constant; got 0: use uniform_grid")
    theta, last = abs(theta), schedule.complement(schedule.horizon)
    far, lost = 1 - theta, theta * last * (2 - last)  # 1 - w at time 0, and how much w falls
    drop = torch.log1p(2 * lost / (far * (2 - far - lost))) / 2 * _fractions(num_steps)  # of psi
    lost = drop.tanh() * far * (2 - far) / (far + 2 * theta * torch.sigmoid(-2 * drop)) / theta
    return _times_of(schedule, lost / (1 + torch.sqrt((1 - lost).clamp_min(0))))


def phi_grid(schedule: Schedule, num_steps: int, weight: float) -> Tensor:
    r"""N + 1 times equispaced in $\phi = \arctan(\sqrt{a / (1-a)}\,(1 - \alpha))$.

    This is the best grid for two bits that fall to zero (`exact.pairs.AbsorbingPair`).

    Args:
        schedule: survival probability of a one.
        num_steps: N.
        weight: a, the probability of 11 in $(1-a)\delta_{00} + a\,\delta_{11}$, in (0, 1).

    Raises:
        ValueError: If the weight is out of range.
    """
    check_number("weight", weight, "(0, 1)")
    odds = math.sqrt(weight / (1 - weight))
    phi = torch.atan(odds * schedule.complement(schedule.horizon)) * _fractions(num_steps)
    return _times_of(schedule, torch.tan(phi) / odds)
