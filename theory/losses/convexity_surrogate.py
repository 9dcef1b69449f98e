r"""The convex surrogate of the distillation loss: when it is tight, and when it is no bound.

Let $p^\psi$ be a product teacher and $p = \sum_l w_l \prod_d p_l^d$ a mixture student. Then
(Appendix A.1 of the paper)

$$\mathrm{KL}(p^\psi \| p) \le \sum_l w_l \sum_d \mathrm{KL}(p^{\psi,d} \| p_l^d).$$

The size of the gap is not in the paper. Let
$w(l \mid x) = w_l \prod_d p_l^d(x^d) / p(x)$ be the posterior of the latent. Then

$$\mathrm{gap} = \mathbb{E}_{x \sim p^\psi} \mathrm{KL}(w \,\|\, w(\cdot \mid x))
\ge \tfrac12\, \mathbb{E}_{x \sim p^\psi} \| w - w(\cdot \mid x) \|_1^2.$$

The surrogate is exact if and only if $x \sim p^\psi$ says nothing about the latent. If the teacher
has full support, this means that the student ignores its latent. Minimising the surrogate thus asks
the student to ignore its latent at $t_1$. This is right, because the target there is a product.

Two usual statements fail:

* Without full support the student can use its latent although the gap is 0.
* For a correlated target r, such as a distilled mixture that teaches the next student, the
  surrogate of the marginals is no bound. Let the target be two bits that always agree and the
  student independent fair bits: KL is log 2 and the surrogate is 0. What holds is
  $\mathrm{KL}(r \| p) \le \mathrm{surrogate} + \mathrm{TC}(r)$.
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
    """The right side by the library's loss; the target's marginals are (D, S)."""
    return distillation_loss(student.as_student(), marginals.log()[None]).item()


def divergence(target: Tensor, student: FiniteMixture) -> float:
    """The left side KL(target || student), summed state by state in plain Python."""
    _, num_dims, num_states = student.probs.shape
    return oracle.kl(as_dict(target, num_dims, num_states), student.literal())


def latent_posterior(student: FiniteMixture) -> Tensor:
    """The law of the latent given each state, (S^D, L)."""
    joint = student.weights[:, None] * student.components()
    return (joint / joint.sum(0)).T


def expected_latent_divergence(target: Tensor, student: FiniteMixture) -> tuple[float, float]:
    r"""The gap $\mathbb{E}_x \mathrm{KL}(w \| w(\cdot|x))$ and its lower bound.

    The lower bound is $\tfrac12 \mathbb{E}_x \|w - w(\cdot|x)\|_1^2$.
    """
    posterior = latent_posterior(student)
    divergences = exact.kl(student.weights.expand_as(posterior), posterior)
    squares = (student.weights - posterior).abs().sum(-1) ** 2 / 2
    seen = target > 0
    return (target @ divergences.where(seen, 0.0)).item(), (
        target @ squares.where(seen, 0.0)
    ).item()


SHAPES = [(2, 2, 2), (3, 2, 2), (2, 3, 2), (2, 2, 4), (4, 3, 3), (5, 4, 2)]


def instances(count: int, seed: int) -> Iterator[tuple[str, Tensor, FiniteMixture]]:
    """(what, teacher's marginals (D, S), student) for several numbers of latents, D and S."""
    generator = torch.Generator().manual_seed(seed)
    for num_latents, num_dims, num_states in SHAPES:
        for k in range(count):
            spread = (0.05, 0.5, 2.0)[k % 3]  # the latent is nearly ignored, or matters, or decides
            student = random_mixture(generator, num_latents, num_dims, num_states, spread)
            teacher = random_law(generator, num_dims, num_states)
            yield f"L={num_latents}, D={num_dims}, S={num_states}, #{k}", teacher, student


@claim(
    "convexity-surrogate",
    "KL(teacher || mixture) <= E_l sum_d KL(teacher^d || p_l^d), the mean over the latents.",
    group="paper",
    source="Surrogate loss (Appendix A.1)",
    hypotheses="product teacher; student a mixture with any finite latent law",
)
def verify_bound(record: Record) -> None:
    for what, teacher, student in instances(count=30, seed=0):
        left = divergence(exact.product_law(teacher), student)
        record.at_most(left, surrogate(teacher, student), what, rounding=1e-14)


@claim(
    "convexity-surrogate-gap",
    "The surrogate exceeds the divergence by exactly E_x KL(w || w(.|x)) >= E_x |w - w(.|x)|_1^2 / "
    "2.",
    group="sharper",
    source="Surrogate loss (Appendix A.1); the gap: this project",
    hypotheses="product teacher; w is the law of the latent, w(.|x) its posterior under the "
    "student",
)
def verify_gap(record: Record) -> None:
    for what, teacher, student in instances(count=30, seed=1):
        law = exact.product_law(teacher)
        gap = surrogate(teacher, student) - divergence(law, student)
        expected, squares = expected_latent_divergence(law, student)
        record.equal(gap, expected, 1e-12, what)
        record.at_most(squares, expected, f"Pinsker, {what}")
        record.exceeds(squares, 0.0, 1e-6, f"positive gap of a latent in use, {what}")


@claim(
    "convexity-surrogate-equality",
    "The surrogate is exact if the student ignores its latent; plus TC(r) it bounds KL for any "
    "target r.",
    group="sharper",
    source="Surrogate loss (Appendix A.1); correlated targets: this project",
    hypotheses="any target, correlated ones included",
)
def verify_equality(record: Record) -> None:
    generator = torch.Generator().manual_seed(2)
    for what, teacher, student in instances(count=10, seed=2):
        ignored = FiniteMixture(student.weights, student.probs[:1].expand_as(student.probs))
        left = divergence(exact.product_law(teacher), ignored)
        record.equal(surrogate(teacher, ignored), left, 1e-13, f"ignored latent, {what}")
        # A correlated target: surrogate + TC exceeds the divergence by the same gap.
        _, num_dims, num_states = student.probs.shape
        target = random_law(generator, num_states**num_dims)
        right = surrogate(exact.marginals(target, num_dims, num_states), student)
        right += oracle.total_correlation(as_dict(target, num_dims, num_states))
        gap, _ = expected_latent_divergence(target, student)
        record.equal(right - divergence(target, student), gap, 1e-12, f"any target, {what}")
        record.at_most(0.0, gap, f"any target, {what}")


@claim(
    "convexity-surrogate-support",
    "False in general: the gap is 0 only if the student ignores its latent. It is 0 for a teacher "
    "at one point and a student whose latent carries correlation.",
    group="fails",
    source="this project",
    hypotheses="the teacher has no full support; with full support the statement is true",
)
def verify_used_latent_without_gap(record: Record) -> None:
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
    "False in general: the surrogate of the target's marginals bounds KL. For two bits that always "
    "agree and independent fair bits, KL is log 2 and the surrogate is 0.",
    group="fails",
    source="this project",
    hypotheses="the target is correlated; with its total correlation added the bound holds",
)
def verify_correlated_target_fails(record: Record) -> None:
    half = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    fair = torch.full((1, 2, 2), 0.5, dtype=torch.float64)
    student = FiniteMixture(torch.ones(1, dtype=torch.float64), fair)
    left, right = divergence(half, student), surrogate(exact.marginals(half, 2, 2), student)
    record.equal(left, math.log(2), 1e-15, "KL(two equal bits || independent fair bits)")
    record.vanishes(right, 0, "surrogate of the marginals")
    record.exceeds(left, right, 0.6, "KL above the surrogate")
    record.at_most(left, right + exact.total_correlation(half, 2, 2).item(), "with TC", 1e-15)
