r"""The convex surrogate of the distillation loss: when it is tight, and when it is no bound.

For a product teacher $p^\psi$ and a mixture student $\bar p = \sum_l w_l \prod_d p_l^d$
(Appendix A.1 of the paper),

$$\mathrm{KL}(p^\psi \| \bar p) \le \sum_l w_l \sum_d \mathrm{KL}(p^{\psi,d} \| p_l^d).$$

Beyond the paper, the gap is what the surrogate cannot see. With the posterior of the latent
$w(l \mid x) = w_l \prod_d p_l^d(x^d) / \bar p(x)$,

$$\mathrm{gap} = \mathbb{E}_{x \sim p^\psi} \mathrm{KL}(w \,\|\, w(\cdot \mid x))
\ge \tfrac12\, \mathbb{E}_{x \sim p^\psi} \| w - w(\cdot \mid x) \|_1^2,$$

so that the surrogate is exact iff $x \sim p^\psi$ tells nothing about the latent: for a teacher of
full support, iff the latent is ignored. Minimising it asks the student to ignore its latent at
$t_1$, rightly so where the target is a product.

Two places where the usual statement fails. Without full support a latent can be used and the gap
be 0. For a correlated target r (a distilled mixture as the next teacher) the surrogate of its
marginals is no bound at all: HALF against independent fair bits gives $\log 2 \le 0$. What holds is
$\mathrm{KL}(r \| \bar p) \le \mathrm{surrogate} + \mathrm{TC}(r)$.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from di4c import exact
from di4c.losses import distillation_loss
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import FiniteMixture, as_dict, random_law, random_mixture


def surrogate(marginals: Tensor, student: FiniteMixture) -> float:
    """Right side, by the library's loss; marginals of the target, (D, S)."""
    return distillation_loss(student.as_student(), marginals.log()[None]).item()


def divergence(target: Tensor, student: FiniteMixture) -> float:
    """Left side KL(target || student), summed state by state in plain Python."""
    _, num_dims, num_states = student.probs.shape
    return oracle.kl(as_dict(target, num_dims, num_states), student.literal())


def latent_posterior(student: FiniteMixture) -> Tensor:
    """Law of the latent given each state, (S^D, L)."""
    joint = student.weights[:, None] * student.components()
    return (joint / joint.sum(0)).T


def expected_latent_divergence(target: Tensor, student: FiniteMixture) -> tuple[float, float]:
    r"""$\mathbb{E}_x \mathrm{KL}(w \| w(\cdot|x))$ and $\tfrac12 \mathbb{E}_x \|\cdot\|_1^2$."""
    posterior = latent_posterior(student)
    divergences = exact.kl(student.weights.expand_as(posterior), posterior)
    squares = (student.weights - posterior).abs().sum(-1) ** 2 / 2
    seen = target > 0
    return (target @ divergences.where(seen, 0.0)).item(), (
        target @ squares.where(seen, 0.0)
    ).item()


SHAPES = [(2, 2, 2), (3, 2, 2), (2, 3, 2), (2, 2, 4), (4, 3, 3), (5, 4, 2)]


def instances(count: int, seed: int) -> Iterator[tuple[str, Tensor, FiniteMixture]]:
    """(what, teacher marginals (D, S), student) over several numbers of latents, D and S."""
    generator = torch.Generator().manual_seed(seed)
    for num_latents, num_dims, num_states in SHAPES:
        for k in range(count):
            spread = (0.05, 0.5, 2.0)[k % 3]  # from a nearly ignored latent to a dominant one
            student = random_mixture(generator, num_latents, num_dims, num_states, spread)
            teacher = random_law(generator, num_dims, num_states)
            yield f"L={num_latents}, D={num_dims}, S={num_states}, #{k}", teacher, student


@claim(
    "convexity-surrogate",
    "KL(teacher || E p_l) <= E_l sum_d KL(teacher^d || p_l^d)",
    group="paper",
    source="Surrogate loss (Appendix A.1)",
    hypotheses="product teacher; any finite latent law",
)
def _verify_bound(record: Record) -> None:
    for what, teacher, student in instances(count=30, seed=0):
        left = divergence(exact.product_law(teacher), student)
        record.at_most(left, surrogate(teacher, student), what, rounding=1e-14)


@claim(
    "convexity-surrogate-gap",
    "gap = E_x KL(w || w(.|x)) >= E_x |w - w(.|x)|_1^2 / 2",
    group="beyond",
    source="this project",
    hypotheses="product teacher; posterior w(.|x) of the latent under the student",
)
def _verify_gap(record: Record) -> None:
    for what, teacher, student in instances(count=30, seed=1):
        law = exact.product_law(teacher)
        gap = surrogate(teacher, student) - divergence(law, student)
        expected, squares = expected_latent_divergence(law, student)
        record.equal(gap, expected, 1e-12, what)
        record.at_most(squares, expected, f"Pinsker, {what}")
        record.exceeds(squares, 0.0, 1e-6, f"a latent that matters costs, {what}")


@claim(
    "convexity-surrogate-equality",
    "equality if the latent is ignored; + TC(r) makes it valid for any target r",
    group="beyond",
    source="this project",
    hypotheses="any target, correlated ones included",
)
def _verify_equality(record: Record) -> None:
    generator = torch.Generator().manual_seed(2)
    for what, teacher, student in instances(count=10, seed=2):
        ignored = FiniteMixture(student.weights, student.probs[:1].expand_as(student.probs))
        left = divergence(exact.product_law(teacher), ignored)
        record.equal(surrogate(teacher, ignored), left, 1e-13, f"ignored latent, {what}")
        # Correlated targets: exact once their total correlation is added.
        _, num_dims, num_states = student.probs.shape
        target = random_law(generator, num_states**num_dims)
        right = surrogate(exact.marginals(target, num_dims, num_states), student)
        right += oracle.total_correlation(as_dict(target, num_dims, num_states))
        gap, _ = expected_latent_divergence(target, student)
        record.equal(right - divergence(target, student), gap, 1e-12, f"any target, {what}")
        record.at_most(0.0, gap, f"any target, {what}")


@claim(
    "convexity-surrogate-support",
    "False in general: no gap only if the latent is ignored",
    group="fails",
    source="this project",
    hypotheses="fails without full support of the teacher: point mass, latent in use, gap 0",
)
def _verify_used_latent_without_gap(record: Record) -> None:
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    probs = [[[0.25, 0.75], [1.0, 0.0]], [[1.0, 0.0], [0.25, 0.75]]]
    student = FiniteMixture(
        torch.full((2,), 0.5, dtype=torch.float64), torch.tensor(probs, dtype=torch.float64)
    )
    law = exact.product_law(teacher)
    right = surrogate(teacher, student)
    record.equal(right, 2 * math.log(2), 1e-15, "surrogate")
    record.equal(divergence(law, student), right, 1e-15, "teacher at one point, latent in use")
    correlation = exact.total_correlation(student.law(), 2, 2).item()
    record.exceeds(correlation, 0.0, 0.2, "correlation that the latent carries")


@claim(
    "convexity-surrogate-correlated",
    "False in general: the surrogate of the marginals bounds KL for any target",
    group="fails",
    source="this project",
    hypotheses="fails for a correlated target: HALF, independent student, log 2 against 0",
)
def _verify_correlated_target_fails(record: Record) -> None:
    half = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    fair = torch.full((1, 2, 2), 0.5, dtype=torch.float64)
    student = FiniteMixture(torch.ones(1, dtype=torch.float64), fair)
    left, right = divergence(half, student), surrogate(exact.marginals(half, 2, 2), student)
    record.equal(left, math.log(2), 1e-15, "KL(HALF || independent fair bits)")
    record.equal(right, 0.0, 0, "surrogate of the marginals")
    record.exceeds(left, right, 0.6, "the naive bound")
    record.at_most(left, right + exact.total_correlation(half, 2, 2).item(), "with TC", 1e-15)
