"""Masked pair: two coordinates of any law under masked noise."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_count
from di4c.exact.laws import marginals, product_law, total_variation
from di4c.exact.pairs.base import Grid, Number, Pair, uniform_end
from di4c.probabilities import as_probabilities
from di4c.processes import ForwardProcess, MaskedProcess
from di4c.schedules import alpha_grid


def masked_tv(alphas: Sequence[Number], dependence: Number, start: str = "q_T") -> Number:
    r"""$TV_N$ of the masked pair: $d_{12} \sum_k (\alpha_{k-1} - \alpha_k)^2$ from q_T.

    From the prior (both masked) it is divided by $(1 - \alpha_N)^2$. The reason for the formula:
    the sampler draws the two coordinates independently if and only if it unmasks both in the same
    step.

    Args:
        alphas: $\alpha_0 = 1 > \dots > \alpha_N$, probabilities that a coordinate is unmasked.
        dependence: $d_{12} = d_{TV}(p_0, p_0^1 \otimes p_0^2)$.
        start: "q_T" or "prior".
    """
    return _masked_tv([1 - alpha for alpha in alphas], dependence, start)


def _masked_tv(complements: Sequence[Number], dependence: Number, start: str) -> Number:
    r"""`masked_tv` from $1 - \alpha$, which keeps its digits where alpha rounds to 1."""
    norm = complements[-1] if start == "prior" else 1
    return dependence * sum(((b - a) / norm) ** 2 for a, b in itertools.pairwise(complements))


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedPair(Pair):
    r"""Masked pair: two coordinates of any law, with any vocabulary, under masked noise.

    $TV_N = d_{12} \sum_k (\alpha_{k-1} - \alpha_k)^2$ with the dependence
    $d_{12} = d_{TV}(p_0, p_0^1 \otimes p_0^2)$. From the prior (both masked) the error and its
    bounds are divided by $(1 - \alpha_N)^2$.

    Attributes:
        p_0: data law, (V, V).

    Raises:
        ValueError: If p_0 is no law on pairs.
    """

    p_0: Float[Tensor, "first second"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p_0.ndim != 2 or self.p_0.shape[0] != self.p_0.shape[1]:
            raise ValueError(f"p_0 must be a (V, V) table; got shape {tuple(self.p_0.shape)}")
        as_probabilities("p_0", self.p_0.reshape(-1))

    @property
    def data_law(self) -> Float[Tensor, "value value"]:
        return as_probabilities("p_0", self.p_0.reshape(-1)).reshape(self.p_0.shape)

    @property
    def process(self) -> ForwardProcess:
        return MaskedProcess(len(self.p_0), self.schedule)

    @property
    def dependence(self) -> float:
        r"""$d_{12}$, the total variation between $p_0$ and the product of its marginals."""
        law, num_values = self.data_law.reshape(-1), len(self.p_0)
        return float(total_variation(law, product_law(marginals(law, 2, num_values))))

    def closed_form(self, grid: Grid) -> float:
        return float(_masked_tv(self._complements(grid), self.dependence, self.start))

    def lower_bound(self, grid: Grid) -> float:
        r"""$d_{12} (1 - \alpha_N)^2 / N$, on every grid."""
        complements = self._complements(grid)
        return self._scaled(complements[-1] ** 2 / (len(complements) - 1), complements[-1])

    def upper_bound(self, grid: Grid) -> float | None:
        r"""$d_{12}\, t_N \int \alpha'^2 / N$ (the limit divided by N), on the uniform grid only."""
        end, complements = uniform_end(grid), self._complements(grid)
        energy = None if end is None else self._energy(end, torch.ones_like)
        if end is None or energy is None:
            return None
        return self._scaled(energy / (len(complements) - 1), complements[-1])

    def limit(self) -> float | None:
        r"""$d_{12}\, T \int_0^T \alpha'^2 dt$."""
        energy = self._energy(self.schedule.horizon, torch.ones_like)
        return None if energy is None else self._scaled(energy, self._last)

    def best_grid(self, num_steps: int) -> Float[Tensor, "time"]:
        r"""The grid that is equispaced in $\alpha$."""
        return alpha_grid(self.schedule, num_steps)

    def best_tv(self, num_steps: int) -> float:
        r"""$d_{12} (1 - \alpha_T)^2 / N$."""
        check_count("num_steps", num_steps)
        return self._scaled(self._last**2 / num_steps, self._last)

    def _scaled(self, squares: float, last: float) -> float:
        norm = last**2 if self.start == "prior" else 1.0
        return self.dependence * squares / norm
