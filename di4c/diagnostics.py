r"""Diagnostics of a mixture (captured correlation, use of the latent), and a log of losses.

Let p be a mixture of components $p_l$ with weights w, and $\bar p$ the product of its marginals.
The diagnostics are the total correlation and the information of a sample about its latent,

$$\mathrm{TC}(p) = \mathrm{KL}(p \| \bar p) = \mathbb{E}_p[\log p - \log \bar p], \qquad
I(\lambda; x) = \mathbb{E}_p\,\mathrm{KL}(r(x) \| w),$$

where $r(x)$ are the responsibilities of the components. They satisfy
$\mathrm{TC} = \sum_d I(\lambda; x^d) - I(\lambda; x) \le (D - 1)\, I(\lambda; x)$. So a mixture
captures no correlation if its samples carry no information about the latent.

All numbers are in nats. They are computed from `Mixture.gather` at atoms drawn from the mixture
itself. Atoms come from its `draw`, or from `mixture_atoms` if the (B, L, D, S) tensor is at hand.
The `exact_*` functions sum over all states of S^D instead. With L sampled latents both numbers are
those of the mixture of L components, and $I \le \log L$.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_number, first_index, require_tensor
from di4c.exact import states
from di4c.exact.laws import require_memory
from di4c.likelihood.mixture import DenseMixture, at_least_float32, log_joint, log_product
from di4c.network_call import check_gathered, check_mixture
from di4c.rng import Generator, categorical, invert, uniform


class Estimate(NamedTuple):
    """A Monte Carlo mean over atoms for each example, with its standard error.

    Attributes:
        mean: the estimate, (B,).
        standard_error: standard error of the mean, (B,), from the spread over atoms. It is inf for
            a single atom.
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
    """Independent draws from each mixture, with one latent for all dimensions of an atom.

    Args:
        log_probs: log-probabilities of the components, (B, L, D, S).
        log_weights: log-probabilities of the latents, (L,).
        num_atoms: N.
        generator: source of randomness.

    Returns:
        (B, N, D).
    """
    check_mixture("log_probs", log_probs, log_weights, "batch, latent, dim, state")
    check_count("num_atoms", num_atoms)
    batch, _, num_dims, _ = log_probs.shape
    weights = log_weights.exp().expand(batch, num_atoms, -1).to(log_probs.device)
    component = categorical(weights, generator=generator)  # (B, N)
    uniforms = uniform((batch, num_atoms, num_dims), generator=generator, device=log_probs.device)
    rows = torch.arange(batch, device=log_probs.device)[:, None]
    return invert(at_least_float32(log_probs[rows, component]).exp(), uniforms)


def captured_total_correlation(
    gathered: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Estimate:
    r"""$\mathrm{TC}(p) = \mathbb{E}_p[\log p(x) - \log \bar p(x)]$ from atoms drawn from p.

    The estimate is unbiased. Compare it with the total correlation of the data given $x_t$: every
    sampling step loses the correlation that the student does not capture.

    Args:
        gathered: `mixture.gather(atoms)` for atoms drawn from the mixture, (B, L, D, N).
        log_weights: log-probabilities of the latents, (L,).
    """
    check_gathered(gathered, log_weights)
    return _mean(log_joint(gathered, log_weights) - log_product(gathered, log_weights))


def exact_total_correlation(
    log_probs: Float[Tensor, "batch latent dim state"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch"]:
    """Total correlation of each mixture, (B,), by a sum over all states of S^D."""
    gathered = _everywhere(log_probs, log_weights)
    joint = log_joint(gathered, log_weights)
    excess = joint - log_product(gathered, log_weights)
    return torch.where(joint > -torch.inf, joint.exp() * excess, 0.0).sum(-1)


def latent_information(
    gathered: Float[Tensor, "batch latent dim atom"], log_weights: Float[Tensor, "latent"]
) -> Estimate:
    r"""$I(\lambda; x)$: the information of a sample about its latent, from atoms drawn from p.

    The estimate is the mean of $\mathrm{KL}(r(x) \| w)$ over atoms. It is unbiased and never
    negative.

    Args:
        gathered: `mixture.gather(atoms)` for atoms drawn from the mixture, (B, L, D, N).
        log_weights: log-probabilities of the latents, (L,).
    """
    check_gathered(gathered, log_weights)
    return _mean(_surprise(gathered, log_weights))


def exact_latent_information(
    log_probs: Float[Tensor, "batch latent dim state"], log_weights: Float[Tensor, "latent"]
) -> Float[Tensor, "batch"]:
    r"""$I(\lambda; x)$ of each mixture, (B,), by a sum over all states of S^D."""
    gathered = _everywhere(log_probs, log_weights)
    return (log_joint(gathered, log_weights).exp() * _surprise(gathered, log_weights)).sum(-1)


def effective_components(information: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""Effective number of components $e^{I(\lambda; x)}$.

    It is 1 if the latent is ignored and L if the L components do not overlap. If equally likely
    components form k groups of equal size, with equal components in a group and no overlap between
    groups, it is k.
    """
    return information.exp()


class Collapse(NamedTuple):
    """Whether the student has stopped using its latent, measured on a batch.

    Attributes:
        collapsed: True if the latent is not used.
        information: mean of I(latent; x) over the batch, in nats.
        standard_error: standard error of this mean, from the spread over the batch and its atoms.
        effective_components: exponential of the mean, see `effective_components`.
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
    r"""Test whether the samples of a mixture carry nearly no information about the latent.

    The mixture counts as collapsed if the mean of $I(\lambda; x)$ over the batch plus three
    standard errors is below the threshold. Its total correlation is then below (D - 1) times the
    threshold, so it is nearly a product model. A mixture with a single latent always counts as
    collapsed.

    Args:
        gathered: `mixture.gather(atoms)` for atoms drawn from the mixture, (B, L, D, N).
        log_weights: log-probabilities of the latents, (L,).
        threshold: in nats.

    Raises:
        ValueError: If the threshold is not positive, or the mixture cannot have drawn the atoms.
    """
    check_number("threshold", threshold, "(0, inf)")
    check_gathered(gathered, log_weights)
    values = _surprise(gathered, log_weights).double().flatten()
    mean = float(values.mean())
    error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.inf
    alarm = gathered.shape[1] == 1 or mean + 3 * error < threshold
    return Collapse(alarm, mean, error, math.exp(mean))


def _surprise(gathered: Tensor, log_weights: Tensor) -> Float[Tensor, "batch atom"]:
    """KL(responsibilities || weights) at each atom, (B, N); 0 at an atom of probability 0."""
    log_ratio = gathered.sum(2) - log_joint(gathered, log_weights)[:, None]  # log r - log w
    share = log_weights.to(gathered)[:, None] + log_ratio  # log r
    # 0 log 0 = 0. At an atom of probability 0 the ratio is NaN, which counts as 0, too.
    return torch.where(share > -torch.inf, share.exp() * log_ratio, 0.0).sum(1)


def _mean(values: Float[Tensor, "batch atom"]) -> Estimate:
    values, count = values.double(), values.shape[1]
    error = values.std(1) if count > 1 else torch.full_like(values[:, 0], torch.inf)
    return Estimate(values.mean(1), error / math.sqrt(count))


def _everywhere(log_probs: Tensor, log_weights: Tensor) -> Tensor:
    """Log-probabilities (B, L, D, S^D) of the coordinates of every state."""
    check_mixture("log_probs", log_probs, log_weights, "batch, latent, dim, state")
    batch, num_latents, num_dims, num_states = log_probs.shape
    size = 8 * batch * num_latents * num_dims * num_states**num_dims
    require_memory(2 * size, f"the log-probabilities of {num_states}^{num_dims} states")
    atoms = states(num_dims, num_states).to(log_probs.device).expand(batch, -1, -1)
    return DenseMixture(log_probs, log_weights).gather(atoms)


class TermSummary(NamedTuple):
    """Mean and spread of one loss term over examples.

    Attributes:
        examples: number of examples.
        mean: mean over the examples.
        variance: unbiased variance of one example; NaN for a single example.
        standard_error: standard error of the mean; NaN for a single example.
    """

    examples: int
    mean: float
    variance: float
    standard_error: float


class LossLog:
    """Running count, mean and variance of each loss term over examples.

    Batches are merged by their moments (Chan, Golub, LeVeque 1979) in float64, so a log keeps three
    numbers for each term. Logs of several processes merge into the log of all their examples.
    """

    def __init__(self) -> None:
        self._moments: dict[str, tuple[int, float, float]] = {}

    def update(self, terms: Mapping[str, Tensor]) -> None:
        """Add the values of each term.

        Args:
            terms: values by name, one for each example, in any shape.

        Raises:
            ValueError: If a value is not finite. Nothing is added then.
        """
        moments = {}
        for name, values in terms.items():
            require_tensor(f"term {name!r}", values)
            values = values.detach()
            if not bool(values.isfinite().all()):
                index = first_index(~values.isfinite())
                raise ValueError(
                    f"term {name!r} is {float(values[index])} at index {list(index)}: look at the "
                    "batch and at the log-probabilities that made it"
                )
            flat = values.double().flatten()
            if len(flat):
                mean = flat.mean()
                moments[name] = (len(flat), float(mean), float(((flat - mean) ** 2).sum()))
        for name, added in moments.items():
            self._moments[name] = _merge(self._moments.get(name, (0, 0.0, 0.0)), added)

    def merge(self, other: "LossLog") -> None:
        """Add all examples of another log."""
        for name, added in other._moments.items():
            self._moments[name] = _merge(self._moments.get(name, (0, 0.0, 0.0)), added)

    def summary(self) -> dict[str, TermSummary]:
        """Summary of each term, in the order in which the terms first appeared."""
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
    """Count, mean and sum of squared deviations of the union of two groups."""
    count = one[0] + other[0]
    gap = other[1] - one[1]
    mean = one[1] + gap * other[0] / count
    return count, mean, one[2] + other[2] + gap**2 * one[0] * other[0] / count
