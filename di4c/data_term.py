"""The data term of a recipe: -log p(x_0), split by a control variate or not."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.likelihood import Mixture
from di4c.losses import Target, data_loss
from di4c.recipes import Recipe


def data_targets(
    recipe: Recipe, x_0: Int[Tensor, "batch dim"], log_teacher: Float[Tensor, "batch dim state"]
) -> list[Target]:
    """The target of the data loss; none if both of its weights are 0.

    The data and the mixture of the teacher have been checked before.

    Args:
        recipe: weights of the data loss, and whether it is split.
        x_0: data.
        log_teacher: log-probabilities of the teacher's marginals at x_t.
    """
    if not (recipe.data_weight.scale or recipe.data_marginal_weight):
        return []
    split = recipe.data_control_variate or recipe.data_marginal_weight > 0
    return [Target.from_samples(x_0[:, None], log_teacher if split else None, validate=False)]


def data_terms(
    recipe: Recipe, student: Mixture, target: Target, t: Float[Tensor, "batch"]
) -> dict[str, Float[Tensor, "batch"]]:
    r"""Both weighted parts of the data loss, each (B,).

    With the control variate they are $\alpha_t [-\log p(x_0) + \log \bar p(x_0)]$ and
    $\beta \sum_d \mathrm{KL}(p^{\psi,d} \| \bar p^d)$, without it $\alpha_t [-\log p(x_0)]$ and the
    same marginal part. Here beta is `data_marginal_weight`.

    Args:
        recipe: weights of the data loss, and whether it is split.
        student: the mixture at x_t.
        target: from `data_targets`.
        t: times of the examples.
    """
    part, marginal = data_loss(student, target, recipe.data_control_variate)
    weight = recipe.data_weight(t).to(part)
    # With weight 0 the term counts as 0, even if it is infinite because x_t is not from x_0.
    terms = {"data_correlation": torch.where(weight > 0, weight * part, 0.0)}
    if recipe.data_marginal_weight and target.log_marginals is not None:
        if not recipe.data_control_variate:
            marginal = student.marginal_kl(target.log_marginals)
        terms["data_marginal"] = recipe.data_marginal_weight * marginal
    return terms
