r"""Training losses of Di4C; the one definition that theory, toys and full scale share.

A loss compares a student mixture with a `Target`: weighted atoms of a law on S^D and the law's
exact marginals. With all of S^D as atoms it is exact; with samples, weighted 1/N, it is the
training loss. Every loss is per example; a law is a constant, gradients flow to the student alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.likelihood.checks import check_log_probs, check_shape, check_weights, checks_values
from di4c.likelihood.head import HeadMixture
from di4c.likelihood.mixture import DenseMixture, Mixture, log_joint, log_product
from di4c.rng import Generator


@dataclass(frozen=True)
class Target:
    r"""A law r on S^D for each example: weighted atoms and its exact marginals.

    Attributes:
        atoms: (B, N, D), all of S^D or samples of r.
        weights: (B, N), their probabilities under r, or 1/N.
        log_marginals: (B, D, S), $\log r^d$; None if no loss is to use the control variate.
        validate: whether to check values.

    Raises:
        ValueError: If shapes disagree, weights do not sum to 1, or marginals are not normalised.
    """

    atoms: Int[Tensor, "batch atom dim"]
    weights: Float[Tensor, "batch atom"]
    log_marginals: Float[Tensor, "batch dim state"] | None = None
    validate: bool = True

    def __post_init__(self) -> None:
        """Check what arrived."""
        check_shape("atoms", self.atoms, (-1, -1, -1), "batch, atom, dim")
        batch, num_atoms, num_dims = self.atoms.shape
        check_shape("weights", self.weights, (batch, num_atoms), "batch, atom")
        if checks_values(self.validate):
            check_weights("weights", self.weights, "divide by the sum, or use 1/N for samples")
        if self.log_marginals is not None:
            axes = "batch, dim, state"
            check_shape("log_marginals", self.log_marginals, (batch, num_dims, -1), axes)
            if checks_values(self.validate):
                check_log_probs("log_marginals", self.log_marginals)

    @classmethod
    def from_samples(
        cls,
        samples: Int[Tensor, "batch atom dim"],
        log_marginals: Float[Tensor, "batch dim state"] | None = None,
        validate: bool = True,
    ) -> "Target":
        """N samples of the law, weighted 1/N: the data x_0 (N = 1), or draws of a student."""
        check_shape("samples", samples, (-1, -1, -1), "batch, atom, dim")
        weights = samples.new_full(samples.shape[:2], 1 / samples.shape[1], dtype=torch.float64)
        return cls(samples, weights, log_marginals, validate)

    @classmethod
    def from_mixture(
        cls, mixture: DenseMixture | HeadMixture, generator: Generator | None = None
    ) -> "Target":
        r"""The target of consistency training: one draw of each latent's product law.

        $r = \sum_l w_l \prod_d P_l^d$ with atoms $\hat x^l \sim P_l$ weighted $w_l$, and the
        marginals $\sum_l w_l P_l^d$ in closed form. $P_l$ is the student at time u, with a latent
        and an $x_u \sim p^\psi_{u|t}(\cdot \mid x_t)$ of its own for each l.
        """
        samples, log_marginals = mixture.draw(generator)
        weights = mixture.log_weights.exp().expand(samples.shape[:2]).to(log_marginals)
        return cls(samples, weights, log_marginals, mixture.validate)


class LossTerms(NamedTuple):
    """The two parts of a cross-entropy split by the control variate, each per example."""

    correlation: Float[Tensor, "batch"]
    marginal: Float[Tensor, "batch"]

    @property
    def total(self) -> Float[Tensor, "batch"]:
        """Their sum."""
        return self.correlation + self.marginal


def distillation_loss(
    student: Mixture, log_teacher: Float[Tensor, "batch dim state"]
) -> Float[Tensor, "batch"]:
    r"""The convex surrogate of the distillation loss (Di4C, L_distil; Appendix A.1).

    $$\sum_l w_l \sum_d \mathrm{KL}(p^{\psi,d} \| p_l^{\theta,d})
      \;\ge\; \mathrm{KL}(p^\psi \| \textstyle\sum_l w_l p_l^\theta)$$

    for a product teacher, by convexity of KL; equal if the latent is ignored. `consistency_loss`
    with atoms of the teacher gives the right side itself. For a mixture teacher r with these
    marginals the left side plus TC(r) bounds KL(r || mixture).

    Args:
        student: $p^\theta_{0|\delta}(\cdot \mid x_\delta)$, L latents for each example.
        log_teacher: (B, D, S), $\log p^{\psi,d}_{0|\delta}(\cdot \mid x_\delta)$; a constant.

    Returns:
        (B,), in nats, summed over dimensions; inf where the student excludes what the teacher
        does not.

    Raises:
        ValueError: If the teacher has another B, D or S than the student.
    """
    return student.mean_latent_kl(log_teacher)


def consistency_loss(student: Mixture, target: Target, control_variate: bool = True) -> LossTerms:
    r"""The consistency loss (Di4C, L_consis) up to a constant in the student.

    With the control variate $\bar p = \prod_d \sum_l w_l p_l^d$,

    $$-\mathbb{E}_{x \sim r} [\log p(x) - \log \bar p(x)] \quad\text{(correlation)}, \qquad
      \sum_d \mathrm{KL}(r^d \| \bar p^d) \quad\text{(marginal)}.$$

    Their sum is $\mathrm{KL}(r \| p) - \mathrm{TC}(r)$: the target's total correlation is constant
    in the student, so gradients are those of L_consis. The first part is an average over atoms,
    the second is in closed form. Without the control variate the correlation part is
    $-\mathbb{E}_r \log p(x)$, cross-entropy, and the marginal part is 0; the gradient has the same
    mean and usually more variance (`theory/losses/control_variate_variance.py`: laws with less).
    For sampled latents $-\log p$ is biased up (Jensen).

    Atoms of weight 0 count as 0 whatever their likelihood. An atom that the student excludes costs
    inf, carried by the marginal part if every latent excludes one of its coordinates.

    Args:
        student: $p^\theta_{s|t}(\cdot \mid x_t)$ for each example.
        target: $r = p^\theta_{s|u} \circ p^\psi_{u|t}(\cdot \mid x_t)$, without gradient.
        control_variate: whether to split.

    Returns:
        (B,) each, in nats, summed over dimensions.

    Raises:
        ValueError: If the target has another B, D or S than the student, or no marginals although
            the control variate needs them.
    """
    log_probs = student.gather(target.atoms)  # (B, L, D, N)
    log_weights = student.log_weights.to(log_probs)
    weights = target.weights.detach().to(log_probs)
    joint = log_joint(log_probs, log_weights)  # (B, N)
    if not control_variate:
        correlation = -_mean(weights, joint)
        return LossTerms(correlation, torch.zeros_like(correlation))
    if target.log_marginals is None:
        raise ValueError(
            "log_marginals of the target is None: give the target its marginals, or set "
            "control_variate=False"
        )
    product = log_product(log_probs, log_weights)  # (B, N)
    # Impossible under both: the marginal part is inf already, and inf - inf would be NaN.
    gain = torch.where(product == -torch.inf, 0, joint - product)
    return LossTerms(-_mean(weights, gain), student.marginal_kl(target.log_marginals))


def data_loss(student: Mixture, target: Target, control_variate: bool = True) -> LossTerms:
    r"""The data-prediction loss (Di4C, L_datapred) split into L_corr and L_marginal.

    $$-\log p(x_0) + \sum_d \log \bar p^d(x_0^d) \quad\text{(correlation)}, \qquad
      \sum_d \mathrm{KL}(p^{\psi,d}_{0|t} \| \bar p^d) \quad\text{(marginal)},$$

    the formula of `consistency_loss` for the law of the data given $x_t$: its sample is x_0 and the
    teacher stands for its marginals. Recipes weigh the correlation part by alpha_t.

    Args:
        student: $p^\theta_{0|t}(\cdot \mid x_t)$ for each example.
        target: `Target.from_samples(x_0[:, None], log_teacher)`.
        control_variate: whether to split; without it the correlation part is $-\log p(x_0)$ and
            the marginal part is 0.

    Returns:
        (B,) each, in nats, summed over dimensions.

    Raises:
        ValueError: As `consistency_loss`.
    """
    return consistency_loss(student, target, control_variate)


def prefetch(
    student: Mixture,
    targets: Sequence[Target] = (),
    log_teachers: Sequence[Float[Tensor, "batch dim state"]] = (),
) -> Mixture:
    """The same student, ready for its losses: a `HeadMixture` sweeps over its head once for all.

    Args:
        student: any mixture; one that holds its log-probabilities is returned as it is.
        targets: what `consistency_loss` and `data_loss` will be asked for.
        log_teachers: what `distillation_loss` will be asked for.
    """
    if not isinstance(student, HeadMixture):
        return student
    marginals = [t.log_marginals for t in targets if t.log_marginals is not None]
    return student.prefetch([t.atoms for t in targets], marginals, log_teachers)


def _mean(
    weights: Float[Tensor, "batch atom"], values: Float[Tensor, "batch atom"]
) -> Float[Tensor, "batch"]:
    """Weighted sum over atoms with 0 * inf = 0."""
    return (weights * values.masked_fill(weights == 0, 0)).sum(-1)
