r"""Mixtures of product distributions, and the three statistics that a Di4C loss reads.

$$p(x) = \sum_l w_l \prod_d p_l^d(x^d).$$

Given the latent l the coordinates are independent. They are correlated because all of them share
the same latent (Di4C, Section 3.1).
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_floating, check_states, may_be_read
from di4c.likelihood.checks import (
    check_log_probs,
    check_not_nan,
    check_shape,
    check_weights,
    checks_values,
    coarsest,
)
from di4c.likelihood.logits import LogitsTransform, log_point_mass
from di4c.rng import Generator, categorical


@runtime_checkable  # beartype checks arguments against it in tests
class Mixture(Protocol):
    """A law on S^D for each example, whose coordinates are independent given the latent."""

    @property
    def log_weights(self) -> Float[Tensor, "latent"]:
        """Log-probabilities of the latents, (L,)."""
        ...

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        """Log-probability of each coordinate of each atom, given each latent.

        Args:
            x: N atoms for each example, (B, N, D).

        Returns:
            (B, L, D, N), in float32 or wider.
        """
        ...

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        r"""$\sum_d \mathrm{KL}(P^d \| \sum_l w_l p_l^d)$, in nats, (B,).

        Args:
            log_target: log-probabilities of the target P, (B, D, S); a constant.
        """
        ...

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        r"""$\sum_l w_l \sum_d \mathrm{KL}(P^d \| p_l^d)$, in nats, (B,).

        Args:
            log_target: log-probabilities of the target P, (B, D, S); a constant.
        """
        ...


@dataclass(frozen=True)
class DenseMixture:
    """A mixture held as one tensor of log-probabilities.

    Log-probabilities may be -inf, or a very low number that a network returns instead (-1e6).
    Values and gradients are exact then, with 0 log 0 = 0.

    Attributes:
        log_probs: (B, L, D, S), normalised over the last axis; any float type.
        log_weights: (L,), log-probabilities of the latents.
        validate: whether to check values, which takes one pass over log_probs.

    Raises:
        ValueError: If shapes disagree, there is no latent, a row of log_probs is not normalised or
            holds a NaN, or the weights do not sum to 1.
    """

    log_probs: Float[Tensor, "batch latent dim state"]
    log_weights: Float[Tensor, "latent"]
    validate: bool = True

    def __post_init__(self) -> None:
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
        """The mixture of the outputs of a network: log-softmax after the transform."""
        log_probs = (transform or LogitsTransform()).log_probs(logits)
        if checks_values(validate):
            check_not_nan("logits", logits)
        return cls(log_probs, log_weights, validate)

    def with_known(self, known: Int[Tensor, "batch dim"]) -> "DenseMixture":
        """The same mixture with point masses at coordinates that are known.

        Args:
            known: the state of each known coordinate, -1 for the others, (B, D).
        """
        batch, num_dims, num_states = self._shape
        check_shape("known", known, (batch, num_dims), "batch, dim")
        points = log_point_mass(known, num_states).to(self.log_probs)[:, None]
        open_ = (known < 0)[:, None, :, None]
        return replace(self, log_probs=torch.where(open_, self.log_probs, points))

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        batch, num_latents, num_dims, num_states = self.log_probs.shape
        check_atoms(x, (batch, -1, num_dims), num_states, self.validate)
        # The index runs along S, so the backward pass needs one (B, L, D, S) tensor. Expanding
        # log_probs over atoms would need one for each atom.
        index = x.transpose(1, 2)[:, None].expand(-1, num_latents, -1, -1)
        return at_least_float32(self.log_probs.gather(-1, index))

    def log_marginals(self) -> Float[Tensor, "batch dim state"]:
        r"""$\log \sum_l w_l p_l^d(s)$, (B, D, S)."""
        return log_mixture(at_least_float32(self.log_probs), self.log_weights)

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        check_log_target(log_target, self._shape, self.validate)
        return kl(log_target, self.log_marginals()).sum(-1)

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        check_log_target(log_target, self._shape, self.validate)
        per_latent = kl(log_target[:, None], at_least_float32(self.log_probs)).sum(-1)  # (B, L)
        weights = self.log_weights.to(per_latent).exp()
        return (weights * per_latent.masked_fill(weights == 0, 0)).sum(-1)

    @torch.no_grad()
    def draw(
        self, generator: Generator | None = None
    ) -> tuple[Int[Tensor, "batch latent dim"], Float[Tensor, "batch dim state"]]:
        """One draw from the product law of each latent, and the log-marginals of the mixture.

        A consistency target consists of these two. Each latent may have its own $x_u$. No gradient.

        Returns:
            Samples (B, L, D) and log-marginals (B, D, S).
        """
        probs = at_least_float32(self.log_probs).exp()  # half precision would lose the tails
        return categorical(probs, generator=generator), self.log_marginals()

    @property
    def precision(self) -> torch.dtype:
        """Dtype of the least precise numbers that the statistics are computed from."""
        return coarsest(self.log_probs.dtype, self.log_weights.dtype)

    @property
    def _shape(self) -> tuple[int, int, int]:
        batch, _, num_dims, num_states = self.log_probs.shape
        return batch, num_dims, num_states


def log_joint(
    log_probs: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch atom"]:
    r"""$\log p(x) = \log \sum_l w_l \prod_d p_l^d(x^d)$ from gathered log-probabilities, (B, N)."""
    return log_mixture(log_probs.sum(2), log_weights)


def log_product(
    log_probs: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch atom"]:
    r"""$\log \bar p(x) = \sum_d \log \sum_l w_l p_l^d(x^d)$, the product of marginals, (B, N)."""
    return log_mixture(log_probs, log_weights).sum(1)


def log_mixture(
    log_probs: Float[Tensor, "batch latent *rest"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch *rest"]:
    r"""$\log \sum_l w_l e^{a_l}$ over axis 1. Where every term is -inf: -inf, with gradient 0."""
    terms = log_probs + log_weights.to(log_probs).view(-1, *(1,) * (log_probs.ndim - 2))
    dead = (terms == -torch.inf).all(1, keepdim=True)
    # There the backward pass of logsumexp alone would divide 0 by 0.
    return terms.masked_fill(dead, 0).logsumexp(1).masked_fill(dead.squeeze(1), -torch.inf)


def kl(
    log_target: Float[Tensor, "*#batch state"], log_probs: Float[Tensor, "*batch state"]
) -> Float[Tensor, "*batch"]:
    r"""$\sum_s P \log (P / p)$ over the last axis with 0 log 0 = 0. P is a constant."""
    log_target = log_target.detach().to(log_probs)
    target = log_target.exp()
    return torch.where(target == 0, 0, target * (log_target - log_probs)).sum(-1)


def check_latent_law(log_weights: Tensor, num_latents: int, validate: bool) -> None:
    """Raise ValueError unless there is one weight for each latent and they sum to 1."""
    check_shape("log_weights", log_weights, (num_latents,), "latent")
    if checks_values(validate):
        remedy = "apply log_softmax, or use di4c.latents.uniform_log_weights for sampled latents"
        check_weights("exp(log_weights)", log_weights.exp(), remedy)


def check_atoms(x: Tensor, shape: tuple[int, int, int], num_states: int, validate: bool) -> None:
    """Raise ValueError unless x has the batch and dimensions of the mixture and holds states."""
    check_shape("atoms", x, shape, "batch, atom, dim")
    if checks_values(validate):
        remedy = "look for tokens of another vocabulary, or for ignored positions marked by -100"
        check_states("atoms", x, num_states, remedy)


def check_log_target(log_target: Tensor, shape: tuple[int, int, int], validate: bool) -> None:
    """Raise ValueError unless the target has the shape (B, D, S) of the mixture and holds laws.

    Values are checked with the tolerance of half precision, which a target may come from. Those on
    a GPU are not checked, because that would wait for the device; a NaN makes the loss NaN there.
    """
    remedy = "teacher and student must have the same batch, dimensions and states"
    check_shape("log_target", log_target, shape, "batch, dim, state", remedy)
    check_floating("log_target", log_target)
    if validate and may_be_read(log_target):
        check_log_probs("log_target", log_target, precision=torch.bfloat16)


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32 or wider. Below 6e-8, exp is 0 in float16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
