"""Mixtures of product laws with finitely many latents, and random laws."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from di4c import exact
from di4c.likelihood import DenseMixture
from di4c.losses import Target
from theory.tools import oracle


@dataclass(frozen=True)
class FiniteMixture:
    r"""$p(x) = \sum_l w_l \prod_d p^d_l(x^d)$ on $S^D$, float64.

    Attributes:
        weights: $w$, the law of the latent, (L,).
        probs: $p^d_l$, (L, D, S).
    """

    weights: Tensor
    probs: Tensor

    def components(self) -> Tensor:
        """The product law of each latent, (L, S^D)."""
        return exact.product_law(self.probs)

    def law(self) -> Tensor:
        """p over all states, (S^D,)."""
        return self.weights @ self.components()

    def marginals(self) -> Tensor:
        """The law of each coordinate, (D, S)."""
        return torch.tensordot(self.weights, self.probs, 1)

    def as_student(self) -> DenseMixture:
        """The mixture as an input of the library's losses, a batch of one."""
        return DenseMixture(self.probs.log()[None], self.weights.log())

    def literal(self) -> oracle.Law:
        """The law p by its definition in plain Python, independent of the library."""
        weights, probs = self.weights.tolist(), self.probs.tolist()
        return {
            x: math.fsum(
                weight * math.prod(row[v] for row, v in zip(rows, x, strict=True))
                for weight, rows in zip(weights, probs, strict=True)
            )
            for x in oracle.all_states(self.probs.shape[1], self.probs.shape[2])
        }


def random_law(generator: torch.Generator, *shape: int, spread: float = 1.0) -> Tensor:
    """Random laws over the last axis with log-normal weights; a larger spread: more uneven."""
    weights = torch.exp(spread * torch.randn(shape, dtype=torch.float64, generator=generator))
    return weights / weights.sum(-1, keepdim=True)


def random_mixture(
    generator: torch.Generator,
    num_latents: int,
    num_dims: int,
    num_states: int,
    spread: float = 1.5,
) -> FiniteMixture:
    """A mixture with random weights and components."""
    return FiniteMixture(
        random_law(generator, num_latents, spread=0.5),
        random_law(generator, num_latents, num_dims, num_states, spread=spread),
    )


def as_dict(law: Tensor, num_dims: int, num_states: int) -> oracle.Law:
    """A law over all states as a dictionary of the oracle."""
    return oracle.law_from(law.tolist(), num_dims, num_states)


def as_target(law: Tensor, num_dims: int, num_states: int, batch: int = 1) -> Target:
    """A target with all of S^D as weighted atoms, the same for each example of a batch.

    With this target a loss has no sampling error.
    """
    log_marginals = exact.marginals(law, num_dims, num_states).log()
    atoms = exact.states(num_dims, num_states)
    return Target(
        atoms.expand(batch, -1, -1), law.expand(batch, -1), log_marginals.expand(batch, -1, -1)
    )
