"""Absorbing pair: two bits that fall to zero, the absorbing chain on {0, 1} without a mask."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_count, check_number
from di4c.exact.pairs.base import Grid, Number, Pair, uniform_end
from di4c.processes import ForwardProcess, absorbing_process
from di4c.schedules import phi_grid


def absorbing_tv(alphas: Sequence[Number], weight: Number, start: str = "q_T") -> Number:
    r"""$TV_N$ of the absorbing pair: the chain 1 -> 0 from $(1-a)\delta_{00} + a\,\delta_{11}$.

    With $\phi = \arctan(\sqrt{a/(1-a)}\,(1-\alpha))$ the sampler has the probabilities
    $P(00) = (1-a) \prod_k \cos^2(\phi_k - \phi_{k-1})$ and $P(01) = P(10) =
    (1-a) \sin^2\phi_1 \prod_{k \ge 2} \cos^2(\phi_k - \phi_{k-1})$. The error from q_T is
    $TV_N = \max\{1 - a - P(00),\ 2 P(01)\}$. From the prior (both bits zero) these probabilities
    are divided by $q_T(00) = (1-a)/\cos^2\phi_N$.

    Args:
        alphas: $\alpha_0 = 1 > \dots > \alpha_N$, probabilities that a one survives until $t_k$.
        weight: a in (0, 1), the probability of 11.
        start: "q_T" or "prior".
    """
    return _absorbing_tv([1 - alpha for alpha in alphas], weight, start)


def _absorbing_tv(complements: Sequence[Number], weight: Number, start: str) -> Number:
    r"""`absorbing_tv` from $1 - \alpha$, which keeps its digits where alpha rounds to 1."""
    _, mixed, lost = _probabilities(complements, weight, start)
    return max(lost, 2 * mixed, 2 * mixed - lost)


def absorbing_probabilities(
    alphas: Sequence[Number], weight: Number, start: str = "q_T"
) -> tuple[Number, Number]:
    """The probabilities P(00) and P(01) = P(10) of the sampler; arguments as in `absorbing_tv`."""
    stay, mixed, _ = _probabilities([1 - alpha for alpha in alphas], weight, start)
    return stay, mixed


def _probabilities(
    complements: Sequence[Number], weight: Number, start: str
) -> tuple[Number, Number, Number]:
    """P(00), P(01) and 1 - a - P(00), which is small, without cancellation."""
    odds, mass = weight / (1 - weight), 1 - weight
    sines = [  # sin^2 of the differences of phi
        odds * (y - x) ** 2 / ((1 + odds * x * x) * (1 + odds * y * y))
        for x, y in itertools.pairwise(complements)
    ]
    lost = 0 * mass
    if start == "prior":
        last = complements[-1]
        mass = 1 / (1 + odds * last**2)
        lost = -weight * (1 - last) * (1 + last) * mass
    before = mass  # of 00 before the last step
    for sine in sines[1:]:
        lost, before = lost + before * sine, before * (1 - sine)
    mixed = before * sines[0]
    return before - mixed, mixed, lost + mixed


@dataclass(frozen=True, eq=False, kw_only=True)
class AbsorbingPair(Pair):
    r"""Absorbing pair: two bits of law $(1-a)\delta_{00} + a\,\delta_{11}$ that fall to zero.

    The noise is the absorbing chain 1 -> 0. Let $\phi = \arctan(\sqrt{a/(1-a)}\, (1-\alpha))$ and
    $c_k = \cos^2(\phi_k - \phi_{k-1})$. Then, from q_T,

    $$TV_N = (1-a) \max\{1 - \prod_k c_k,\ 2 (1 - c_1) \prod_{k \ge 2} c_k\}.$$

    Bounds, limit and best grid are those from q_T. From the prior (both bits zero) they are known
    only if $\alpha_N = 0$, and then they are the same.

    Attributes:
        weight: a in (0, 1), the probability of 11.

    Raises:
        ValueError: If the weight is out of range.
    """

    weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("weight", self.weight, "(0, 1)", "it is the probability of 11")

    @property
    def data_law(self) -> Float[Tensor, "value value"]:
        return torch.tensor([[1 - self.weight, 0.0], [0.0, self.weight]], dtype=torch.float64)

    @property
    def process(self) -> ForwardProcess:
        return absorbing_process(self.schedule)

    def closed_form(self, grid: Grid) -> float:
        return float(_absorbing_tv(self._complements(grid), self.weight, self.start))

    def lower_bound(self, grid: Grid) -> float | None:
        r"""$(1-a) (1 - e^{-\phi_N^2 / N})$, on every grid."""
        lost = self._complements(grid)
        if self._floored(grid[-1]):
            return None
        return (1 - self.weight) * -math.expm1(-(self._phi(lost[-1]) ** 2) / (len(lost) - 1))

    def upper_bound(self, grid: Grid) -> float | None:
        r"""$(1-a) \max\{t_N \int \phi'^2 / N,\ 2 \sin^2 \phi_1\}$, on the uniform grid."""
        end, lost = uniform_end(grid), self._complements(grid)
        energy = None if end is None else self._energy(end, self._slope)
        if end is None or energy is None or self._floored(end):
            return None
        first = 2 * math.sin(self._phi(lost[1])) ** 2
        return (1 - self.weight) * max(energy / (len(lost) - 1), first)

    def limit(self) -> float | None:
        r"""$(1-a)\, T \int_0^T \phi'^2 dt$."""
        energy = self._energy(self.schedule.horizon, self._slope)
        if energy is None or self._floored(self.schedule.horizon):
            return None
        return (1 - self.weight) * energy

    def best_grid(self, num_steps: int) -> Float[Tensor, "time"]:
        r"""The grid that is equispaced in $\phi$; it is the best one from q_T."""
        return phi_grid(self.schedule, num_steps, self.weight)

    def best_tv(self, num_steps: int) -> float | None:
        r"""$(1-a) (1 - \cos^{2N}(\phi_T / N))$ for N >= 2; $2 (1-a) \sin^2 \phi_T$ for N = 1."""
        check_count("num_steps", num_steps)
        if self._floored(self.schedule.horizon):
            return None
        sine = math.sin(self._phi(self._last) / num_steps) ** 2
        lost = 2 * sine if num_steps == 1 else -math.expm1(num_steps * math.log1p(-sine))
        return (1 - self.weight) * lost

    def _phi(self, complement: float) -> float:
        return math.atan(math.sqrt(self.weight / (1 - self.weight)) * complement)

    def _slope(self, complement: Tensor) -> Tensor:
        """Derivative of phi with respect to 1 - alpha."""
        odds = self.weight / (1 - self.weight)
        return math.sqrt(odds) / (1 + odds * complement**2)

    def _floored(self, end: float | Tensor) -> bool:
        """Whether the error does not vanish: start from the prior with ones left at the end."""
        return self.start == "prior" and float(self.schedule.alpha(end)) > 0
