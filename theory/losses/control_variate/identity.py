r"""The control variate of Di4C: an identity, and no bias given the latents.

Let r be a target with marginals $r^d$, let $p = \sum_l w_l \prod_d p_l^d$ be the student, and let
$\bar p$ be the product of its marginals. Then (Hayakawa et al. 2025)

$$\mathbb{E}_r[\log p] = \mathbb{E}_r[\log p - \log \bar p]
  + \sum_d \sum_{x^d} r^d(x^d) \log \bar p^d(x^d),$$

The first part is estimated from samples, the second is a closed form. The two parts of the
library's loss add up to KL(r || p) - TC(r).

Given the latents, the sampled loss is unbiased if the draws of r are independent. The target of
consistency training is itself a mixture with equal weights. One draw of each of its components is
unbiased too and never has more variance; this is not in the paper. With a finite batch of latents
the whole loss is biased up; see `jensen_bias`.
"""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from di4c import exact
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import (
    FiniteMixture,
    as_dict,
    as_target,
    random_law,
    random_mixture,
)


def loss_of_draws(
    draws: Tensor, marginals: Tensor, student: FiniteMixture, control_variate: bool
) -> Tensor:
    """The library's sampled loss for B batches of N draws (B, N, D), one value each, (B,)."""
    batch = len(draws)
    mixture = DenseMixture(
        student.probs.log().expand(batch, -1, -1, -1), student.weights.log(), validate=False
    )
    target = Target.from_samples(draws, marginals.log().expand(batch, -1, -1), validate=False)
    return consistency_loss(mixture, target, control_variate).total


def mean_and_variance(values: Tensor, probs: Tensor) -> tuple[float, float]:
    """Mean and variance under a law; values of probability 0 may be infinite."""
    values = torch.where(probs > 0, values, 0.0)
    mean = (probs @ values).item()
    return mean, (probs @ (values - mean) ** 2).item()


SHAPES = [(2, 2, 2), (3, 3, 2), (4, 2, 3)]


def instances(count: int, seed: int) -> Iterator[tuple[str, Tensor, FiniteMixture]]:
    """(what, target law, student)."""
    generator = torch.Generator().manual_seed(seed)
    for (num_latents, num_dims, num_states), k in itertools.product(SHAPES, range(count)):
        student = random_mixture(
            generator, num_latents, num_dims, num_states, (0.2, 1.0, 3.0)[k % 3]
        )
        law = random_law(generator, num_states**num_dims)
        yield f"L={num_latents}, D={num_dims}, S={num_states}, #{k}", law, student


@claim(
    "control-variate-identity",
    "E_r log p = E_r[log p - log pbar] + sum_d E_r log pbar^d, pbar the product of p's marginals.",
    group="paper",
    source="Control variate",
    hypotheses="any target r and finite mixture p. The library's loss, KL(r || p) - TC(r), is "
    "compared with loops",
)
def verify_identity(record: Record) -> None:
    for what, law, student in instances(count=40, seed=0):
        _, num_dims, num_states = student.probs.shape
        r, p = as_dict(law, num_dims, num_states), student.literal()
        terms = consistency_loss(student.as_student(), as_target(law, num_dims, num_states))
        total = oracle.kl(r, p) - oracle.total_correlation(r)
        record.equal(terms.total.item(), total, 1e-12, f"whole loss, {what}")
        correlation = oracle.kl(r, p) - oracle.kl(r, oracle.independent(p))
        record.equal(terms.correlation.item(), correlation, 1e-12, f"correlation part, {what}")


@claim(
    "control-variate-unbiased",
    "The loss of N draws is unbiased, with and without the control variate.",
    group="paper",
    source="Control variate",
    hypotheses="given the latents; N = 2, all batches of two states are enumerated",
)
def verify_unbiased(record: Record) -> None:
    for what, law, student in instances(count=4, seed=1):
        _, num_dims, num_states = student.probs.shape
        table = exact.states(num_dims, num_states)
        pairs = torch.cartesian_prod(torch.arange(len(table)), torch.arange(len(table)))
        probs = law[pairs].prod(1)
        marginals = exact.marginals(law, num_dims, num_states)
        r, p = as_dict(law, num_dims, num_states), student.literal()
        cross_entropy = oracle.kl(r, p) + oracle.entropy(r)
        with_cv, without = (
            mean_and_variance(loss_of_draws(table[pairs], marginals, student, cv), probs)[0]
            for cv in (True, False)
        )
        record.equal(without, cross_entropy, 1e-12, f"without control variate, {what}")
        split = oracle.kl(r, p) - oracle.total_correlation(r)
        record.equal(with_cv, split, 1e-12, f"with control variate, {what}")


@claim(
    "control-variate-one-draw-each",
    "One draw of each component of the target has the same mean as independent draws and no more "
    "variance.",
    group="beyond",
    source="this project",
    hypotheses="the target is a mixture with equal weights, as in consistency training",
)
def verify_one_draw_a_component(record: Record) -> None:
    generator = torch.Generator().manual_seed(2)
    for k in range(10):
        weights = torch.full((2,), 0.5, dtype=torch.float64)
        source = FiniteMixture(weights, random_law(generator, 2, 2, 2, spread=2.0))
        student = random_mixture(generator, 3, 2, 2)
        table = exact.states(2, 2)
        pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        first, second = source.components()
        values = loss_of_draws(table[pairs], source.marginals(), student, True)
        stratified = mean_and_variance(values, first[pairs[:, 0]] * second[pairs[:, 1]])
        independent = mean_and_variance(values, source.law()[pairs].prod(1))
        record.equal(stratified[0], independent[0], 1e-13, f"mean, #{k}")
        record.at_most(stratified[1], independent[1], f"variance, #{k}", rounding=1e-14)
