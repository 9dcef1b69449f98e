"""The interface of the three families of pairs with a known few-step error."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from di4c.processes import ForwardProcess
from di4c.schedules import Schedule, check_grid, uniform_grid

Number = float | Fraction
Grid = Sequence[float] | Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair(ABC):
    r"""A data law on two coordinates whose few-step error is known in closed form.

    $TV_N$ is the total variation between the data law and the law of the samples after N product
    steps. A grid runs from $t_0 = 0$ to any $t_N \le T$. A bound holds for the given grid; None
    means that no bound is known for it.

    Attributes:
        schedule: survival probability alpha of one coordinate, and the horizon T.
        start: law from which generation starts: "q_T" (noised data) or "prior".

    Raises:
        ValueError: If start is neither of the two.
    """

    schedule: Schedule
    start: str = "q_T"

    def __post_init__(self) -> None:
        if self.start not in ("q_T", "prior"):
            raise ValueError(f'start must be "q_T" or "prior"; got {self.start!r}')

    @property
    @abstractmethod
    def data_law(self) -> Float[Tensor, "value value"]:
        """$p_0$, a table (V, V)."""

    @property
    @abstractmethod
    def process(self) -> ForwardProcess:
        """The forward process of one coordinate."""

    @abstractmethod
    def closed_form(self, grid: Grid) -> float:
        """$TV_N$ on this grid."""

    @abstractmethod
    def lower_bound(self, grid: Grid) -> float | None:
        """Lower bound of $TV_N$ on this grid; None if none is known."""

    @abstractmethod
    def upper_bound(self, grid: Grid) -> float | None:
        """Upper bound of $TV_N$ on this grid; None if none is known, as for non-uniform grids."""

    @abstractmethod
    def limit(self) -> float | None:
        r"""$\lim N \cdot TV_N$ on the uniform grid of [0, T]; None if it is infinite."""

    @abstractmethod
    def best_grid(self, num_steps: int) -> Float[Tensor, "time"]:
        """The grid of [0, T] with N steps that minimises $TV_N$."""

    @abstractmethod
    def best_tv(self, num_steps: int) -> float | None:
        r"""$\inf TV_N$ over all grids of [0, T] with N steps; None if it is not known.

        Raises:
            ValueError: If there is no step.
        """

    def _complements(self, grid: Grid) -> list[float]:
        r"""$1 - \alpha$ on the grid; it keeps its digits where alpha rounds to 1."""
        times = check_grid(grid)
        if times[0] != 0 or times[-1] > self.schedule.horizon * (1 + 1e-12):
            raise ValueError(
                f"grid must run from 0 to at most the horizon {self.schedule.horizon}; "
                f"got {times[0]} to {times[-1]}"
            )
        return self.schedule.complement(torch.tensor(times, dtype=torch.float64)).tolist()

    def _energy(self, end: float, slope: Callable[[Tensor], Tensor]) -> float | None:
        r"""$end \int_0^{end} (\alpha'(t)\, slope(1 - \alpha))^2 dt$.

        Gauss-Legendre quadrature on intervals that halve towards 0, where the integrand may peak,
        until the shortest is less than the rounding error of $1 / |\alpha'(0)|$. The variable is
        t / end.

        Returns:
            None if $\alpha'(0)$ is infinite.
        """
        fastest = -float(self.schedule.derivative(0.0))
        if not math.isfinite(fastest):
            return None
        halvings = 64 + max(0, math.frexp(end)[1] + math.frexp(fastest)[1])
        nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(20))
        last = 0.5 ** torch.arange(halvings, dtype=torch.float64)
        first = torch.cat([last[1:], torch.zeros(1, dtype=torch.float64)])
        half = ((last - first) / 2)[:, None]
        t = (first[:, None] + half * (1 + nodes)) * end
        speed = self.schedule.derivative(t) * end * slope(self.schedule.complement(t))
        return float((half * weights * speed**2).sum())

    @property
    def _last(self) -> float:
        r"""$1 - \alpha$ at the horizon."""
        return float(self.schedule.complement(self.schedule.horizon))


def uniform_end(grid: Grid) -> float | None:
    """The last time of a uniform grid; None for any other grid."""
    times = check_grid(grid)
    end, num_steps = times[-1], len(times) - 1
    ideal = uniform_grid(num_steps, end).tolist()
    good = all(abs(t - u) <= 1e-9 * end for t, u in zip(times, ideal, strict=True))
    return end if good else None
