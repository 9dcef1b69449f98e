r"""Training losses of Di4C: the one definition that theory, toys and full scale share.

A loss compares a student mixture with a `Target`: weighted atoms of a law on S^D and the exact
marginals of the law. With all states of S^D as atoms the loss is exact. With samples of weight 1/N
it is the training loss. Every loss returns one value for each example. The target is a constant;
gradients flow to the student only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        atoms: (B, N, D), all states of S^D or samples of r.
        weights: (B, N), probabilities of the atoms under r, or 1/N for samples.
        log_marginals: (B, D, S), $\log r^d$. None if no loss uses the control variate.
        validate: whether to check values.
        precision: dtype of the numbers from which weights and marginals were computed, if it is
            lower than their own: `mixture.precision` for those of a mixture. The tolerance of the
            checks follows it.

    Raises:
        ValueError: If shapes disagree, weights do not sum to 1, or marginals are not normalised.
    """

    atoms: Int[Tensor, "batch atom dim"]
    weights: Float[Tensor, "batch atom"]
    log_marginals: Float[Tensor, "batch dim state"] | None = None
    validate: bool = True
    precision: torch.dtype | None = None

    def __post_init__(self) -> None:
        check_shape("atoms", self.atoms, (-1, -1, -1), "batch, atom, dim")
        batch, num_atoms, num_dims = self.atoms.shape
        check_shape("weights", self.weights, (batch, num_atoms), "batch, atom")
        if checks_values(self.validate):
            remedy = "divide by the sum, or use 1/N for samples"
            check_weights("weights", self.weights, remedy, self.precision)
        if self.log_marginals is not None:
            axes = "batch, dim, state"
            check_shape("log_marginals", self.log_marginals, (batch, num_dims, -1), axes)
            if checks_values(self.validate):
                remedy = "apply log_softmax over the last axis, or say precision=torch.bfloat16"
                check_log_probs("log_marginals", self.log_marginals, remedy, self.precision)

    @classmethod
    def from_samples(
        cls,
        samples: Int[Tensor, "batch atom dim"],
        log_marginals: Float[Tensor, "batch dim state"] | None = None,
        validate: bool = True,
        precision: torch.dtype | None = None,
    ) -> "Target":
        """The target from N samples of the law, each of weight 1/N.

        Args:
            samples: (B, N, D): the data x_0 with N = 1, or draws from a student.
            log_marginals: (B, D, S), see the class.
            validate: whether to check values.
            precision: see the class.
        """
        check_shape("samples", samples, (-1, -1, -1), "batch, atom, dim")
        weights = samples.new_full(samples.shape[:2], 1 / samples.shape[1], dtype=torch.float64)
        return cls(samples, weights, log_marginals, validate, precision)

    @classmethod
    def from_mixture(
        cls, mixture: DenseMixture | HeadMixture, generator: Generator | None = None
    ) -> "Target":
        r"""The target of consistency training: one draw from the product law of each latent.

        The law is $r = \sum_l w_l \prod_d P_l^d$. Its atoms $\hat x^l \sim P_l$ have weights $w_l$,
        and its marginals $\sum_l w_l P_l^d$ are exact. $P_l$ is the student at time u, with its own
        latent and its own $x_u \sim p^\psi_{u|t}(\cdot \mid x_t)$ for each l.

        Args:
            mixture: the mixture of the laws $P_l$.
            generator: source of randomness.
        """
        samples, log_marginals = mixture.draw(generator)
        weights = mixture.log_weights.exp().expand(samples.shape[:2]).to(log_marginals)
        # The mixture has checked its values at their own precision.
        return cls(samples, weights, log_marginals, False, mixture.precision)


@dataclass(frozen=True)
class LossTerms:
    """The two parts of a cross-entropy that the control variate splits. It unpacks like a pair.

    It is no named tuple, because torch 2.9 cannot compile its properties.

    Attributes:
        correlation: (B,), the part from dependence between coordinates.
        marginal: (B,), the part from the marginals.
    """

    correlation: Float[Tensor, "batch"]
    marginal: Float[Tensor, "batch"]

    def __iter__(self) -> Iterator[Float[Tensor, "batch"]]:
        return iter((self.correlation, self.marginal))

    @property
    def total(self) -> Float[Tensor, "batch"]:
        """Sum of the two parts, (B,)."""
        return self.correlation + self.marginal


def distillation_loss(
    student: Mixture, log_teacher: Float[Tensor, "batch dim state"]
) -> Float[Tensor, "batch"]:
    r"""The convex surrogate of the distillation loss (Di4C, L_distil; Appendix A.1).

    $$\sum_l w_l \sum_d \mathrm{KL}(p^{\psi,d} \| p_l^{\theta,d})
      \;\ge\; \mathrm{KL}(p^\psi \| \textstyle\sum_l w_l p_l^\theta)$$

    The left side is the loss. The inequality holds for a product teacher by convexity of KL, with
    equality if the student ignores the latent. `consistency_loss` with atoms of the teacher gives
    the right side. For a mixture teacher r with these marginals, the loss plus TC(r) bounds
    KL(r || mixture).

    Args:
        student: $p^\theta_{0|\delta}(\cdot \mid x_\delta)$, with L latents for each example.
        log_teacher: $\log p^{\psi,d}_{0|\delta}(\cdot \mid x_\delta)$, (B, D, S); a constant.

    Returns:
        (B,), in nats, at least 0, summed over dimensions. It is inf where the student gives
        probability 0 to a value that the teacher allows.

    Raises:
        ValueError: If the teacher has another B, D or S than the student.

    Example:
        A fair bit as teacher, and a student with two latents that bet on opposite values.

        >>> import torch
        >>> from di4c import DenseMixture, distillation_loss
        >>> bets = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).log()  # (L, S)
        >>> weights = torch.tensor([0.5, 0.5]).log()
        >>> student = DenseMixture(bets[None, :, None], weights)  # (B, L, D, S) = (1, 2, 1, 2)
        >>> distillation_loss(student, torch.tensor([[[0.5, 0.5]]]).log())
        tensor([0.2231])

        The mixture of the two latents is the teacher itself, so the true KL is 0: the surrogate
        is an upper bound.
    """
    return student.mean_latent_kl(log_teacher)


def consistency_loss(student: Mixture, target: Target, control_variate: bool = True) -> LossTerms:
    r"""The consistency loss (Di4C, L_consis) up to a constant in the student.

    With the control variate $\bar p = \prod_d \sum_l w_l p_l^d$ it has the two parts

    $$-\mathbb{E}_{x \sim r} [\log p(x) - \log \bar p(x)] \quad\text{(correlation)}, \qquad
      \sum_d \mathrm{KL}(r^d \| \bar p^d) \quad\text{(marginal)}.$$

    Their sum is $\mathrm{KL}(r \| p) - \mathrm{TC}(r)$. The total correlation of the target does
    not depend on the student, so the gradient is that of L_consis. The correlation part is an
    average over atoms, the marginal part is in closed form.

    Without the control variate the correlation part is the cross-entropy $-\mathbb{E}_r \log p(x)$
    and the marginal part is 0. The gradient then has the same mean and usually more variance;
    `theory/losses/control_variate/variance.py` has laws where it has less.

    For sampled latents the mean of $-\log p$ is too large (Jensen's inequality).

    Args:
        student: p, the law $p^\theta_{s|t}(\cdot \mid x_t)$ for each example.
        target: r, the law $p^\theta_{s|u} \circ p^\psi_{u|t}(\cdot \mid x_t)$, without gradient.
        control_variate: whether to split the loss.

    Returns:
        The two parts, (B,) each, in nats, summed over dimensions. The correlation part may be
        negative, the marginal part is at least 0. An atom of weight 0 counts as 0 whatever its
        likelihood. An atom that the student excludes makes the loss inf; the marginal part is inf
        if every latent excludes the same coordinate of it.

    Raises:
        ValueError: If the target has another B, D or S than the student, or no marginals although
            the control variate needs them.

    Example:
        Two bits that always agree as target, and a student whose latent tells their value.

        >>> import torch
        >>> from di4c import DenseMixture, Target, consistency_loss
        >>> values = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log()  # (L, S)
        >>> weights = torch.tensor([0.5, 0.5]).log()
        >>> student = DenseMixture(values[None, :, None].repeat(1, 1, 2, 1), weights)
        >>> atoms = torch.tensor([[[0, 0], [1, 1]]])  # (B, N, D)
        >>> target = Target.from_samples(atoms, torch.full((1, 2, 2), 0.5).log())
        >>> consistency_loss(student, target).correlation  # minus log 2; the marginal part is 0
        tensor([-0.6931])
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
    # Where both are -inf the marginal part is inf already, and -inf + inf would be NaN.
    gain = torch.where(product == -torch.inf, 0, joint - product)
    return LossTerms(-_mean(weights, gain), student.marginal_kl(target.log_marginals))


def data_loss(student: Mixture, target: Target, control_variate: bool = True) -> LossTerms:
    r"""The data-prediction loss (Di4C, L_datapred), split into L_corr and L_marginal.

    $$-\log p(x_0) + \sum_d \log \bar p^d(x_0^d) \quad\text{(correlation)}, \qquad
      \sum_d \mathrm{KL}(p^{\psi,d}_{0|t} \| \bar p^d) \quad\text{(marginal)}.$$

    This is `consistency_loss` for the law of the data given $x_t$. The sample of that law is x_0,
    and the teacher replaces its marginals. Recipes multiply the correlation part by alpha_t.

    Args:
        student: p, the law $p^\theta_{0|t}(\cdot \mid x_t)$ for each example.
        target: `Target.from_samples(x_0[:, None], log_teacher)`.
        control_variate: whether to split the loss. Without it the correlation part is
            $-\log p(x_0)$ and the marginal part is 0.

    Returns:
        The two parts, (B,) each, in nats, summed over dimensions.

    Raises:
        ValueError: As `consistency_loss`.
    """
    return consistency_loss(student, target, control_variate)


def prefetch(
    student: Mixture,
    targets: Sequence[Target] = (),
    log_teachers: Sequence[Float[Tensor, "batch dim state"]] = (),
) -> Mixture:
    """The same student with the statistics of its losses computed in advance.

    For a `HeadMixture` this takes one sweep over the head instead of one for each loss. A
    `DenseMixture` holds its log-probabilities and is returned as it is.

    Args:
        student: any mixture.
        targets: targets that `consistency_loss` and `data_loss` will receive.
        log_teachers: log-probabilities (B, D, S) that `distillation_loss` will receive.
    """
    if not isinstance(student, HeadMixture):
        return student
    marginals = [t.log_marginals for t in targets if t.log_marginals is not None]
    return student.prefetch([t.atoms for t in targets], marginals, log_teachers)


def _mean(
    weights: Float[Tensor, "batch atom"], values: Float[Tensor, "batch atom"]
) -> Float[Tensor, "batch"]:
    """Weighted sum over atoms, where 0 * inf = 0: (B,)."""
    return (weights * values.masked_fill(weights == 0, 0)).sum(-1)
