"""Uniform pair: two symmetric spins under uniform noise."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_count, check_number
from di4c.exact.pairs.base import Grid, Number, Pair, uniform_end
from di4c.processes import ForwardProcess, UniformProcess
from di4c.schedules import ExponentialSchedule, psi_grid, uniform_grid


def uniform_tv(correlations: Sequence[Number], start: str = "q_T") -> Number:
    r"""$TV_N$ of the uniform pair, as a rational function of the correlations.

    $$TV_N = \frac{\prod_k \cosh 2(\psi_{k-1} - \psi_k) - 1}{2 \sinh 2\psi_0}, \qquad
    \psi = \operatorname{artanh} w.$$

    The identity $\cosh 2(\psi - \psi') = 1 + 2 (w - w')^2 / ((1 - w^2)(1 - w'^2))$ avoids
    cancellation. At $w_0 = \pm 1$, with all mass on two states, the value is the limit. A start
    from the uniform prior adds one step, from correlation 0.

    Args:
        correlations: $w_k = \theta \alpha_k^2$ on the grid, with $w_0 = \theta$ in [-1, 1].
        start: "q_T" or "prior".
    """
    w = [abs(value) for value in correlations]
    drops = [a - b for a, b in itertools.pairwise(w)]
    return _uniform_tv(w, [1 - value for value in w], drops, start)


def _uniform_tv(
    w: Sequence[Number], far: Sequence[Number], drops: Sequence[Number], start: str
) -> Number:
    """`uniform_tv` from all w, from all 1 - w and from the differences of w."""
    if w[0] == 0:
        return w[0]
    if start == "prior":
        far, drops = [*far, 1], [*drops, w[-1]]
    rest = [a * (2 - a) for a in far]  # 1 - w^2
    excess = 0 * w[0]  # the product over all steps but the last (k = 1), minus 1
    for drop, a, b in zip(drops[1:], rest[1:-1], rest[2:], strict=True):
        gap = 2 * drop**2 / (a * b)
        excess = excess * (1 + gap) + gap
    last = drops[0] * (drops[0] / rest[1]) / (2 * w[0])
    return excess * rest[0] / (4 * w[0]) + last * (1 + excess)


@dataclass(frozen=True, eq=False, kw_only=True)
class UniformPair(Pair):
    r"""Uniform pair: two symmetric spins $s_1, s_2 = \pm 1$ under uniform noise.

    The data law is $p_0(s_1, s_2) = (1 + \theta s_1 s_2) / 4$. With
    $\psi = \operatorname{artanh} w$ and $w = |\theta| \alpha^2$ the error from q_T is

    $$TV_N = \frac{\prod_k \cosh 2(\psi_{k-1} - \psi_k) - 1}{2 \sinh 2\psi_0}.$$

    From the uniform prior the product has one more factor, $\cosh 2\psi_N$. At $|\theta| = 1$,
    where $\psi_0 = \infty$, the error is
    $TV_N = \tfrac12 f_1 \prod_{k \ge 2} \cosh 2(\psi_{k-1} - \psi_k)$ with
    $f = (1 - w) / (1 + w)$. A constant flip rate r is `ExponentialSchedule(rate=2 * r)`.

    Attributes:
        theta: correlation $\mathbb{E}[s_1 s_2]$ in [-1, 1]. The error does not depend on its sign.

    Raises:
        ValueError: If theta is out of range.
    """

    theta: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("theta", self.theta, "[-1, 1]", "it is a correlation")

    @property
    def data_law(self) -> Float[Tensor, "value value"]:
        same, different = (1 + self.theta) / 4, (1 - self.theta) / 4
        return torch.tensor([[same, different], [different, same]], dtype=torch.float64)

    @property
    def process(self) -> ForwardProcess:
        return UniformProcess(2, self.schedule)

    def closed_form(self, grid: Grid) -> float:
        lost, theta = self._complements(grid), abs(self.theta)
        # The difference of two squares of alpha keeps its digits near alpha = 1.
        drops = [theta * (b - a) * (2 - a - b) for a, b in itertools.pairwise(lost)]
        w, far = [self._w(x) for x in lost], [self._far(x) for x in lost]
        return float(_uniform_tv(w, far, drops, self.start))

    def lower_bound(self, grid: Grid) -> float:
        r"""$(\psi_0 - \psi_N)^2 / (N \sinh 2\psi_0)$, on every grid.

        From the prior the factor $\cosh 2\psi_N$ enters as in the closed form. At $|\theta| = 1$
        the bound is $\tfrac12 f_1$. It is of order 1/N only if the first step is, and other grids
        may have a smaller error.
        """
        lost = self._complements(grid)
        if abs(self.theta) == 1:
            return self._extreme(lost[1], lost[-1])
        return self._bounded(2 * self._psi_drop(lost[-1]) ** 2 / (len(lost) - 1), lost[-1])

    def upper_bound(self, grid: Grid) -> float | None:
        r"""$[e^{2 t_N J / N} - 1] / (2 \sinh 2\psi_0)$ with $J = \int \psi'^2$, and at most 1.

        The bound is for the uniform grid. At $|\theta| = 1$ a bound is known for the exponential
        schedule only. There it is $\tfrac12 f_1 \prod_{k=2}^N [1 + 1 / 2k(k-1)]$, because
        $f = \tanh 2rt$ is concave. It never exceeds limit / N.
        """
        end, lost = uniform_end(grid), self._complements(grid)
        num_steps = len(lost) - 1
        if end is None:
            return None
        if abs(self.theta) == 1:
            if not isinstance(self.schedule, ExponentialSchedule):
                return None
            growth = math.prod(1 + 1 / (2 * k * (k - 1)) for k in range(2, num_steps + 1))
            return self._extreme(lost[1], lost[-1]) * growth
        energy = self._energy(end, self._slope)
        if energy is None:
            return None
        # Cut at e^700 to avoid an overflow. A bound above 1 says nothing about a total variation.
        excess = math.expm1(min(2 * energy / num_steps, 700.0))
        return min(1.0, self._bounded(excess, lost[-1]))

    def limit(self) -> float | None:
        r"""$T \int \psi'^2 / \sinh 2\psi_0$; $T |\alpha'(0)| \cosh(\pi/2) / \pi$ at $|\theta| = 1$.

        At a constant flip rate r the two are $r T \theta (1 - e^{-8rT}) / (1 - \theta^2 e^{-8rT})$
        and $2 \cosh(\pi/2)\, r T / \pi$. From the prior at $|\theta| < 1$ the limit exists only if
        $\alpha_T = 0$; otherwise the error does not vanish as N grows.
        """
        horizon, last = self.schedule.horizon, self._last
        if abs(self.theta) == 1:
            speed = -float(self.schedule.derivative(0.0))
            limit = (
                horizon * speed * math.cosh(math.pi / 2) / math.pi * (1 + self._prior_excess(last))
            )
            return limit if math.isfinite(limit) else None
        if self.theta == 0:
            return 0.0
        energy = self._energy(horizon, self._slope)
        if energy is None or self._prior_excess(last) > 1e-16:
            return None
        return self._bounded(2 * energy, last)

    def best_grid(self, num_steps: int) -> Float[Tensor, "time"]:
        r"""The grid that is equispaced in $\psi$.

        Raises:
            ValueError: If $|\theta|$ is 0 or 1 and N > 1; there is no best grid then.
        """
        if num_steps == 1:
            return uniform_grid(1, self.schedule.horizon)
        return psi_grid(self.schedule, num_steps, self.theta)

    def best_tv(self, num_steps: int) -> float:
        r"""$[\cosh^N(2(\psi_0 - \psi_T) / N) - 1] / (2 \sinh 2\psi_0)$.

        At $|\theta| = 1$ it is $2^{-N} f_T$, an infimum that no grid of N > 1 steps attains. So
        the error over all grids is not bounded below by a multiple of 1 / N.
        """
        check_count("num_steps", num_steps)
        last = self._last
        if abs(self.theta) == 1:
            return self._extreme(last, last) * 2.0 ** (1 - num_steps)
        half_gap = self._psi_drop(last) / num_steps
        log_product = num_steps * math.log1p(2 * math.sinh(half_gap) ** 2)
        return self._bounded(math.expm1(log_product), last)

    def _w(self, complement: float) -> float:
        return abs(self.theta) * (1 - complement) ** 2

    def _far(self, complement: float) -> float:
        """1 - w without cancellation, from 1 - alpha."""
        theta = abs(self.theta)
        return (1 - theta) + theta * complement * (2 - complement)

    def _psi_drop(self, complement: float) -> float:
        """How much psi has fallen since alpha = 1, without cancellation, from 1 - alpha."""
        theta = abs(self.theta)
        lost = theta * complement * (2 - complement)
        return math.log1p(2 * lost / ((1 - theta) * (2 - self._far(complement)))) / 2

    def _slope(self, complement: Tensor) -> Tensor:
        """Derivative of psi with respect to alpha, from 1 - alpha; 1 - w without cancellation."""
        theta, alpha = abs(self.theta), 1 - complement
        far = (1 - theta) + theta * complement * (2 - complement)
        return 2 * theta * alpha / (far * (1 + theta * alpha**2))

    def _prior_excess(self, last: float) -> float:
        r"""$\cosh 2\psi - 1$ from 1 - alpha at the last time; 0 for the start from q_T."""
        far = self._far(last)
        return 2 * self._w(last) ** 2 / (far * (2 - far)) if self.start == "prior" else 0.0

    def _bounded(self, excess: float, last: float) -> float:
        """(product - 1) / (2 sinh 2 psi_0), where the product from q_T is 1 + excess."""
        theta = abs(self.theta)
        if theta == 0:
            return 0.0
        more = self._prior_excess(last)
        return (excess * (1 + more) + more) * (1 - theta) * (1 + theta) / (4 * theta)

    def _extreme(self, complement: float, last: float) -> float:
        """Value of f / 2 at 1 - alpha, for |theta| = 1, times the factor of the prior."""
        far = self._far(complement)
        return far / (2 - far) / 2 * (1 + self._prior_excess(last))
