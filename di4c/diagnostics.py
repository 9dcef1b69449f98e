r"""What a mixture makes of its latent: captured correlation, used components, collapse; and a log.

All numbers come from `Mixture.gather` at atoms drawn from the mixture itself (by its own `draw`, or
by `mixture_atoms` where the (B, L, D, S) tensor is there), or exactly from all of S^D where that
can be enumerated. For a mixture p of components $p_l$ with weights w and product of marginals
$\bar p$,

$\mathrm{TC}(p) = \mathrm{KL}(p \| \bar p) = \mathbb{E}_p[\log p - \log \bar p]$ and
$I(\lambda; x) = \mathbb{E}_p\,\mathrm{KL}(r(x) \| w)$, r the responsibilities of the components,

with $\mathrm{TC} = \sum_d I(\lambda; x^d) - I(\lambda; x) \le (D - 1)\, I(\lambda; x)$: a latent
that x does not tell about captures no correlation. With L sampled latents both numbers are those
of the L-component mixture, and $I \le \log L$. Everything in nats.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.exact import states
from di4c.exact.laws import require_memory
from di4c.likelihood.checks import first_index
from di4c.likelihood.mixture import DenseMixture, log_joint, log_product
from di4c.rng import Generator, categorical, invert, uniform


class Estimate(NamedTuple):
    """A Monte Carlo mean over atoms with its standard error, per example.

    Attributes:
        mean: the estimate.
        standard_error: of the mean, from the spread over atoms; 0 for exact values.
    """

    mean: Float[Tensor, "batch"]
    standard_error: Float[Tensor, "batch"]


def mixture_atoms(
    log_probs: Float[Tensor, "batch latent dim state"],
    log_weights: Float[Tensor, "latent"],
    num_atoms: int,
    *,
    generator: Generator | None = None,
) -> Int[Tensor, "batch atom dim"]:
    """Independent draws from each mixture: one latent for all dimensions of an atom."""
    batch, _, num_dims, _ = log_probs.shape
    weights = log_weights.exp().expand(batch, num_atoms, -1).to(log_probs.device)
    component = categorical(weights, generator=generator)  # (B, N)
    uniforms = uniform((batch, num_atoms, num_dims), generator=generator, device=log_probs.device)
    rows = torch.arange(batch, device=log_probs.device)[:, None]
    return invert(log_probs[rows, component].exp(), uniforms)


def captured_total_correlation(
    gathered: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Estimate:
    r"""$\mathrm{TC}(p) = \mathbb{E}_p[\log p(x) - \log \bar p(x)]$ from atoms drawn from p.

    Unbiased. Compare with the total correlation of the data given $x_t$: what the student lacks of
    it is lost in every step.

    Args:
        gathered: `mixture.gather(atoms)` for atoms drawn from the mixture.
        log_weights: the law of the latents.
    """
    return _mean(log_joint(gathered, log_weights) - log_product(gathered, log_weights))


def exact_total_correlation(
    log_probs: Float[Tensor, "batch latent dim state"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch"]:
    """The total correlation of each mixture by a sum over all of S^D."""
    gathered = _everywhere(log_probs, log_weights)
    joint = log_joint(gathered, log_weights)
    excess = joint - log_product(gathered, log_weights)
    return torch.where(joint > -torch.inf, joint.exp() * excess, 0.0).sum(-1)


def latent_information(
    gathered: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Estimate:
    r"""$I(\lambda; x)$: how much a sample tells of the latent that made it, from atoms of p.

    The mean of $\mathrm{KL}(r(x) \| w)$ over atoms: unbiased, and never negative.

    Args:
        gathered: `mixture.gather(atoms)` for atoms drawn from the mixture.
        log_weights: the law of the latents.
    """
    return _mean(_surprise(gathered, log_weights))


def exact_latent_information(
    log_probs: Float[Tensor, "batch latent dim state"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch"]:
    """The information of each mixture's samples on its latent by a sum over all of S^D."""
    gathered = _everywhere(log_probs, log_weights)
    return (log_joint(gathered, log_weights).exp() * _surprise(gathered, log_weights)).sum(-1)


def effective_components(information: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""$e^{I(\lambda; x)}$, from 1 (the latent is ignored) to L (components do not overlap).

    L equally likely components in k groups of equals count as k.
    """
    return information.exp()


class Collapse(NamedTuple):
    """Whether the latent is in use, over a batch.

    Attributes:
        collapsed: the alarm.
        information: mean over the batch of I(latent; x).
        standard_error: of that mean, from the spread over the batch and its atoms.
        effective_components: `effective_components` of it.
    """

    collapsed: bool
    information: float
    standard_error: float
    effective_components: float


def collapse_alarm(
    gathered: Float[Tensor, "batch latent dim atom"],
    log_weights: Float[Tensor, "latent"],
    *,
    threshold: float = 0.01,
) -> Collapse:
    r"""Raise the alarm if samples tell nearly nothing of the latent.

    The rule: collapsed if the mean of $I(\lambda; x)$ over the batch plus three standard errors
    lies below `threshold` nats. Total correlation is then below (D - 1) times it, and the mixture
    is a product model at the cost of a mixture. A single latent has no information: always an
    alarm.

    Args:
        gathered: `mixture.gather(atoms)` for atoms drawn from the mixture.
        log_weights: the law of the latents.
        threshold: in nats.

    Raises:
        ValueError: If the threshold is not positive.
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, in nats; got {threshold}")
    values = _surprise(gathered, log_weights).double().flatten()
    mean = float(values.mean())
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.inf
    alarm = gathered.shape[1] == 1 or mean + 3 * error < threshold
    return Collapse(alarm, mean, error, math.exp(mean))


def _surprise(gathered: Tensor, log_weights: Tensor) -> Float[Tensor, "batch atom"]:
    """KL(responsibilities || weights) at each atom; 0 at an atom without probability."""
    log_ratio = gathered.sum(2) - log_joint(gathered, log_weights)[:, None]  # log r - log w
    share = log_weights.to(gathered)[:, None] + log_ratio  # log r
    # 0 log 0 = 0, and -inf - -inf at an atom without probability counts as 0 too.
    return torch.where(share > -torch.inf, share.exp() * log_ratio, 0.0).sum(1)


def _mean(values: Float[Tensor, "batch atom"]) -> Estimate:
    values, count = values.double(), values.shape[1]
    error = values.std(1) if count > 1 else torch.full_like(values[:, 0], torch.inf)
    return Estimate(values.mean(1), error / math.sqrt(count))


def _everywhere(log_probs: Tensor, log_weights: Tensor) -> Tensor:
    """The log-probabilities (B, L, D, S^D) at every state."""
    batch, num_latents, num_dims, num_states = log_probs.shape
    size = 8 * batch * num_latents * num_dims * num_states**num_dims
    require_memory(2 * size, f"the log-probabilities of {num_states}^{num_dims} states")
    atoms = states(num_dims, num_states).to(log_probs.device).expand(batch, -1, -1)
    return DenseMixture(log_probs, log_weights).gather(atoms)


class TermSummary(NamedTuple):
    """Mean and spread of one loss term over the examples seen.

    Attributes:
        examples: how many.
        mean: over them.
        variance: of one example, unbiased; nan for a single one.
        standard_error: of the mean.
    """

    examples: int
    mean: float
    variance: float
    standard_error: float


class LossLog:
    """Running count, mean and variance of each named term over examples.

    Batches are merged by their moments (Chan, Golub, LeVeque 1979), in float64: nothing is kept but
    three numbers a term, and logs of several processes merge into the log of all their examples.
    """

    def __init__(self) -> None:
        self._moments: dict[str, tuple[int, float, float]] = {}

    def update(self, terms: Mapping[str, Tensor]) -> None:
        """Add the values of each term, one an example (any shape).

        Raises:
            ValueError: If a value is not finite; says which term and where. Nothing is added then.
        """
        moments = {}
        for name, values in terms.items():
            values = values.detach()
            if not bool(values.isfinite().all()):
                index = first_index(~values.isfinite())
                raise ValueError(
                    f"term {name!r} is {float(values[index])} at index {list(index)}: look at the "
                    "batch and the log-probabilities that made it"
                )
            flat = values.double().flatten()
            if len(flat):
                mean = flat.mean()
                moments[name] = (len(flat), float(mean), float(((flat - mean) ** 2).sum()))
        for name, added in moments.items():
            self._moments[name] = _merge(self._moments.get(name, (0, 0.0, 0.0)), added)

    def merge(self, other: "LossLog") -> None:
        """Add all that another log has seen."""
        for name, added in other._moments.items():
            self._moments[name] = _merge(self._moments.get(name, (0, 0.0, 0.0)), added)

    def summary(self) -> dict[str, TermSummary]:
        """What was seen of each term, in the order of first appearance."""
        return {
            name: TermSummary(
                count,
                mean,
                squares / (count - 1) if count > 1 else math.nan,
                math.sqrt(squares / (count - 1) / count) if count > 1 else math.nan,
            )
            for name, (count, mean, squares) in self._moments.items()
        }


def _merge(
    one: tuple[int, float, float], other: tuple[int, float, float]
) -> tuple[int, float, float]:
    """Count, mean and sum of squared deviations of two groups together."""
    count = one[0] + other[0]
    gap = other[1] - one[1]
    mean = one[1] + gap * other[0] / count
    return count, mean, one[2] + other[2] + gap**2 * one[0] * other[0] / count
