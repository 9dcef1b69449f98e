"""What a conjecture may ask for: laws, noise, grids, kernels and numbers.

The annotation of a parameter says what it is. Each class here knows how to draw it, how to compute
it from free parameters (so that gradients can move it), and how to round it to simple rationals.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from flint import arb, fmpq
from torch import Tensor

from theory.lab import random_laws
from theory.lab.arithmetic import Array
from theory.lab.sampling import Noise, uniform_grid

Rounding = Callable[[float], Fraction]

NOISES = ("masked", "uniform", "absorbing", "any")
SCHEDULES = ("linear", "cosine", "exponential")
GRIDS = ("uniform", "any")
LAWS = ("any", "positive", "exchangeable")

SMALL = 27  # states; a product law on more is shown by its marginals


@dataclass(frozen=True)
class Setting:
    """One choice from the ranges of a conjecture.

    Attributes:
        num_states: S, the number of values of a coordinate.
        num_dims: D.
        num_steps: N.
        noise: "masked", "uniform", "absorbing" (values fall to 0) or "any" (to a random law).
        schedule: see `Noise`.
        grid: "uniform" or "any".
        laws: "any", "positive" (no zeros) or "exchangeable".
    """

    num_states: int
    num_dims: int
    num_steps: int
    noise: str
    schedule: str
    grid: str
    laws: str

    @property
    def noisy_states(self) -> int:
        """Number of states of a coordinate with the mask."""
        return self.num_states + (self.noise == "masked")

    def __str__(self) -> str:
        return (
            f"S = {self.num_states}, D = {self.num_dims}, N = {self.num_steps}, {self.noise} "
            f"noise, {self.schedule} schedule"
        )


class Input:
    """One parameter of a conjecture."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        """Random free parameters, a vector."""
        raise NotImplementedError

    def value(self, setting: Setting, free: Tensor) -> Any:
        """The object as tensors, differentiable in the free parameters."""
        raise NotImplementedError

    def rounded(self, setting: Setting, value: Any, rounding: Rounding) -> Any:
        """The object in exact numbers, or None if the rounding leaves nothing valid."""
        raise NotImplementedError

    def shown(self, exact: Any) -> str:
        """The exact object as Python that one can paste."""
        return literal(exact)


class Law(Input):
    """A law on S^D, shape (S,) * D."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        draw = {"exchangeable": _exchangeable, "positive": _positive}.get(setting.laws, _any_law)
        return draw(setting, generator)

    def value(self, setting: Setting, free: Tensor) -> Tensor:
        if setting.laws == "exchangeable":
            free = free[random_laws.orbits(setting.num_states, setting.num_dims)]
        return torch.softmax(free, 0).reshape((setting.num_states,) * setting.num_dims)

    def rounded(self, setting: Setting, value: Tensor, rounding: Rounding) -> Array | None:
        return simplex(value, rounding, positive=setting.laws == "positive")

    def shown(self, exact: Array) -> str:
        entries = (f"{x}: {literal(exact[x])}" for x in np.ndindex(exact.shape) if exact[x] != 0)
        return f"{{{', '.join(entries)}}}"


class Product(Law):
    """A law on S^D of independent coordinates, shape (S,) * D."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        rows = [random_laws.dense(setting.num_states, generator) for _ in range(setting.num_dims)]
        return torch.cat(rows)

    def value(self, setting: Setting, free: Tensor) -> Tensor:
        rows = torch.softmax(free.reshape(setting.num_dims, -1), 1)
        return _product(rows)

    def rounded(self, setting: Setting, value: Tensor, rounding: Rounding) -> Array | None:
        axes = range(setting.num_dims)
        rows = [value.sum([e for e in axes if e != d]) if len(axes) > 1 else value for d in axes]
        exact = [simplex(row, rounding) for row in rows]
        return None if any(row is None for row in exact) else _product(exact)

    def shown(self, exact: Array) -> str:
        if exact.size <= SMALL:
            return super().shown(exact)
        axes = range(exact.ndim)
        rows = [exact.sum(axis=tuple(e for e in axes if e != d)) for d in axes]
        return "[" + ", ".join(map(literal, rows)) + "]  # the marginals"


class Kernel(Input):
    """For every noisy state a law on S^D; a matrix of shape (number of noisy states, S^D)."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        rows = setting.noisy_states**setting.num_dims
        return random_laws.dense(rows * setting.num_states**setting.num_dims, generator)

    def value(self, setting: Setting, free: Tensor) -> Tensor:
        return torch.softmax(free.reshape(-1, setting.num_states**setting.num_dims), 1)

    def rounded(self, setting: Setting, value: Tensor, rounding: Rounding) -> Array | None:
        rows = [simplex(row, rounding) for row in value]
        return None if any(row is None for row in rows) else np.stack(rows)

    def shown(self, exact: Array) -> str:
        return "[" + ", ".join(literal(row) for row in exact) + "]"


class Grid(Input):
    """The times 0 = t_0 < ... < t_N = 1."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        if setting.grid == "uniform":
            return torch.zeros(0, dtype=torch.float64)
        return random_laws.dense(setting.num_steps, generator)

    def value(self, setting: Setting, free: Tensor) -> Tensor:
        if setting.grid == "uniform":
            return uniform_grid(free, setting.num_steps)
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        return torch.cat([ends[:1], torch.softmax(free, 0).cumsum(0)[:-1], ends[1:]])

    def rounded(self, setting: Setting, value: Tensor, rounding: Rounding) -> Array | None:
        if setting.grid == "uniform":
            return uniform_grid(np.array([fmpq(0)]), setting.num_steps)
        steps = simplex(value.diff(), rounding, positive=True)
        if steps is None:
            return None
        return np.array([sum(steps[:k], fmpq(0)) for k in range(len(steps) + 1)], dtype=object)


class Share(Input):
    """A number between 0 and 1."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        return 2 * torch.randn(1, generator=generator, dtype=torch.float64)

    def value(self, setting: Setting, free: Tensor) -> Tensor:
        return torch.sigmoid(free[0])

    def rounded(self, setting: Setting, value: Tensor, rounding: Rounding) -> fmpq:
        return rational(rounding(float(value)))


class Positive(Share):
    """A positive number."""

    def value(self, setting: Setting, free: Tensor) -> Tensor:
        return torch.exp(free[0])

    def rounded(self, setting: Setting, value: Tensor, rounding: Rounding) -> fmpq | None:
        number = rounding(float(value))
        return rational(number) if number > 0 else None


class NoiseInput(Input):
    """The noise: its stationary law where it is free, and the rate of an exponential schedule."""

    def draw(self, setting: Setting, generator: torch.Generator) -> Tensor:
        parts = [torch.zeros(0, dtype=torch.float64)]
        if setting.schedule == "exponential":
            parts.append(torch.randn(1, generator=generator, dtype=torch.float64))
        if setting.noise == "any":
            parts.append(random_laws.dense(setting.num_states, generator))
        return torch.cat(parts)

    def value(self, setting: Setting, free: Tensor) -> Noise:
        exponential = setting.schedule == "exponential"
        rate = torch.exp(free[0]) if exponential else 1
        if setting.noise == "any":
            return Noise(torch.softmax(free[exponential:], 0), setting.schedule, rate)
        weights = _stationary_weights(setting)
        law = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        return Noise(law, setting.schedule, rate, setting.noise == "masked")

    def rounded(self, setting: Setting, value: Noise, rounding: Rounding) -> Noise | None:
        rate: Any = 1
        if setting.schedule == "exponential":
            rate = Positive().rounded(setting, value.rate, rounding)
        if setting.noise == "any":
            law = simplex(value.stationary, rounding)
        else:
            weights = _stationary_weights(setting)
            law = np.array([fmpq(w, sum(weights)) for w in weights], dtype=object)
        if rate is None or law is None:
            return None
        return replace(value, stationary=law, rate=rate)

    def shown(self, exact: Noise) -> str:
        rate = f", rate={literal(exact.rate)}" if exact.schedule == "exponential" else ""
        masked = ", masked=True" if exact.masked else ""
        return f"Noise({literal(exact.stationary)}, {exact.schedule!r}{rate}{masked})"


INPUTS: dict[type, Input] = {
    kind: kind() for kind in (Law, Product, Kernel, Grid, Share, Positive)
} | {Noise: NoiseInput()}
"""The annotations that a parameter of a conjecture may have."""


def rational(number: Fraction) -> fmpq:
    """The same number in the type of exact arithmetic."""
    return fmpq(number.numerator, number.denominator)


def simplex(values: Tensor, rounding: Rounding, positive: bool = False) -> Array | None:
    """Rounded weights divided by their sum; None if all are 0, or if one is and must not be."""
    weights = [rational(rounding(float(v))) for v in values.flatten()]
    total = sum(weights, fmpq(0))
    if total == 0 or (positive and any(w == 0 for w in weights)):
        return None
    return np.array([w / total for w in weights], dtype=object).reshape(tuple(values.shape))


def as_balls(exact: Any) -> Any:
    """The same object with intervals in place of rationals."""
    if isinstance(exact, Noise):
        return replace(exact, stationary=as_balls(exact.stationary), rate=arb(exact.rate))
    return np.frompyfunc(arb, 1, 1)(exact) if isinstance(exact, np.ndarray) else arb(exact)


def literal(exact: Any) -> str:
    """An exact number, or a row of them, as Python."""
    if isinstance(exact, np.ndarray):
        return "[" + ", ".join(map(literal, exact)) + "]"
    number = Fraction(str(exact))
    return str(number) if number.denominator == 1 else f"Fraction({str(number).replace('/', ', ')})"


def _stationary_weights(setting: Setting) -> list[int]:
    last, first = setting.noise == "masked", setting.noise == "absorbing"
    if not (last or first):
        return [1] * setting.num_states
    weights = [0] * setting.noisy_states
    weights[-1 if last else 0] = 1
    return weights


def _product(rows: Any) -> Any:
    """The outer product of the rows, of tensors or of exact numbers."""
    law = rows[0]
    for row in rows[1:]:
        law = law[..., None] * row
    return law


def _any_law(setting: Setting, generator: torch.Generator) -> Tensor:
    return random_laws.random_law(setting.num_states, setting.num_dims, generator)


def _positive(setting: Setting, generator: torch.Generator) -> Tensor:
    """As any law, without states of vanishing probability."""
    return _any_law(setting, generator).clamp_min(-10.0)


def _exchangeable(setting: Setting, generator: torch.Generator) -> Tensor:
    count = int(random_laws.orbits(setting.num_states, setting.num_dims).max()) + 1
    return (random_laws.dense, random_laws.sparse)[int(torch.randint(2, (), generator=generator))](
        count, generator
    )
