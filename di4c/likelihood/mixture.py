r"""A mixture of product distributions, through the three statistics that a Di4C loss reads.

$p(x) = \sum_l w_l \prod_d p_l^d(x^d)$: coordinates are independent given the latent, and the one
latent that they share correlates them (Di4C, Section 3.1).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.likelihood.checks import (
    check_log_probs,
    check_not_nan,
    check_shape,
    check_states,
    check_weights,
    checks_values,
)
from di4c.likelihood.logits import LogitsTransform
from di4c.rng import Generator, categorical


@runtime_checkable  # beartype checks arguments against it in tests
class Mixture(Protocol):
    """Per example a law on S^D whose coordinates are independent given the latent."""

    @property
    def log_weights(self) -> Float[Tensor, "latent"]:
        """Log-probabilities of the latents."""
        ...

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        """Log-probability of each coordinate of each atom given each latent."""
        ...

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        """Sum over d of KL(target^d || E_latent p^d); the target is a constant."""
        ...

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        """E_latent of the sum over d of KL(target^d || p^d); the target is a constant."""
        ...


@dataclass(frozen=True)
class DenseMixture:
    """A mixture held as one tensor of log-probabilities.

    Log-probabilities may be -inf, or as low as a network writes in its place (-1e6): with
    0 log 0 = 0, values and gradients stay exact.

    Attributes:
        log_probs: (B, L, D, S), normalised over the last axis; any float type.
        log_weights: (L,), log-probabilities of the latents.
        validate: whether to check values (one pass over log_probs).

    Raises:
        ValueError: If shapes disagree, there is no latent, a row of log_probs is not normalised or
            holds a NaN, or the weights do not sum to 1.
    """

    log_probs: Float[Tensor, "batch latent dim state"]
    log_weights: Float[Tensor, "latent"]
    validate: bool = True

    def __post_init__(self) -> None:
        """Check what arrived."""
        check_shape("log_probs", self.log_probs, (-1, -1, -1, -1), "batch, latent, dim, state")
        check_latent_law(self.log_weights, self.log_probs.shape[1], self.validate)
        if checks_values(self.validate):
            check_log_probs("log_probs", self.log_probs)

    @classmethod
    def from_logits(
        cls,
        logits: Float[Tensor, "batch latent dim state"],
        log_weights: Float[Tensor, "latent"],
        transform: LogitsTransform | None = None,
        validate: bool = True,
    ) -> "DenseMixture":
        """The mixture of a network's outputs: log-softmax after the transform."""
        if checks_values(validate):
            check_not_nan("logits", logits)
        log_probs = (transform or LogitsTransform()).log_probs(logits)
        return cls(log_probs, log_weights, validate)

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        """See Mixture.gather."""
        batch, num_latents, num_dims, num_states = self.log_probs.shape
        check_atoms(x, (batch, -1, num_dims), num_states, self.validate)
        # Indexing along S keeps the backward pass at one (B, L, D, S) tensor; expanding log_probs
        # over atoms instead would multiply it by the number of atoms.
        index = x.transpose(1, 2)[:, None].expand(-1, num_latents, -1, -1)
        return _at_least_float32(self.log_probs.gather(-1, index))

    def log_marginals(self) -> Float[Tensor, "batch dim state"]:
        r"""$\log \sum_l w_l p_l^d(s)$."""
        return log_mixture(_at_least_float32(self.log_probs), self.log_weights)

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        """See Mixture.marginal_kl."""
        check_log_target(log_target, self._shape)
        return kl(log_target, self.log_marginals()).sum(-1)

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        """See Mixture.mean_latent_kl."""
        check_log_target(log_target, self._shape)
        per_latent = kl(log_target[:, None], _at_least_float32(self.log_probs)).sum(-1)  # (B, L)
        weights = self.log_weights.to(per_latent).exp()
        return (weights * per_latent.masked_fill(weights == 0, 0)).sum(-1)

    @torch.no_grad()
    def draw(
        self, generator: Generator | None = None
    ) -> tuple[Int[Tensor, "batch latent dim"], Float[Tensor, "batch dim state"]]:
        """One draw from each latent's product law, and the log-marginals of the mixture.

        What a consistency target is made of. The latent axis may stand for latents that each have
        their own $x_u$. No gradient.
        """
        return categorical(self.log_probs.exp(), generator=generator), self.log_marginals()

    @property
    def _shape(self) -> tuple[int, int, int]:
        batch, _, num_dims, num_states = self.log_probs.shape
        return batch, num_dims, num_states


def log_joint(
    log_probs: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch atom"]:
    r"""$\log p(x) = \log \sum_l w_l \prod_d p_l^d(x^d)$ from gathered log-probabilities."""
    return log_mixture(log_probs.sum(2), log_weights)


def log_product(
    log_probs: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch atom"]:
    r"""$\log \bar p(x) = \sum_d \log \sum_l w_l p_l^d(x^d)$ from gathered log-probabilities."""
    return log_mixture(log_probs, log_weights).sum(1)


def log_mixture(
    log_probs: Float[Tensor, "batch latent *rest"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch *rest"]:
    r"""$\log \sum_l w_l e^{a_l}$ over axis 1; -inf with gradient 0 where every term is -inf."""
    terms = log_probs + log_weights.to(log_probs).view(-1, *(1,) * (log_probs.ndim - 2))
    dead = (terms == -torch.inf).all(1, keepdim=True)
    # logsumexp alone would divide 0 by 0 in its backward pass there.
    return terms.masked_fill(dead, 0).logsumexp(1).masked_fill(dead.squeeze(1), -torch.inf)


def kl(
    log_target: Float[Tensor, "*#batch state"], log_probs: Float[Tensor, "*batch state"]
) -> Float[Tensor, "*batch"]:
    r"""$\sum_s P \log (P / p)$ over the last axis with 0 log 0 = 0; P is a constant."""
    log_target = log_target.detach().to(log_probs)
    target = log_target.exp()
    return torch.where(target > 0, target * (log_target - log_probs), 0).sum(-1)


def check_latent_law(log_weights: Tensor, num_latents: int, validate: bool) -> None:
    """ValueError unless there is one weight per latent and they sum to 1."""
    check_shape("log_weights", log_weights, (num_latents,), "latent")
    if checks_values(validate):
        remedy = "apply log_softmax, or use di4c.latents.uniform_log_weights for sampled latents"
        check_weights("exp(log_weights)", log_weights.exp(), remedy)


def check_atoms(x: Tensor, shape: tuple[int, int, int], num_states: int, validate: bool) -> None:
    """ValueError unless x has the mixture's batch and dimensions and holds states."""
    check_shape("atoms", x, shape, "batch, atom, dim")
    if checks_values(validate):
        remedy = "look for another vocabulary, or an ignored position marked by -100"
        check_states("atoms", x, num_states, remedy)


def check_log_target(log_target: Tensor, shape: tuple[int, int, int]) -> None:
    """ValueError unless the target has the mixture's batch, dimensions and states."""
    remedy = "teacher and student must share batch, dimensions and states"
    check_shape("log_target", log_target, shape, "batch, dim, state", remedy)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
