r"""Theorem 2: the two losses of Di4C bound the distance to the many-step teacher.

Let the reference laws be what the teacher generates:
$r_{t_{n-1}} = p^\psi_{t_{n-1}|t_n} \circ r_{t_n}$. Then

$$d_{TV}\big(p^\psi_{0|t_1} \circ \dots \circ p^\psi_{t_{N-1}|t_N} \circ r_{t_N},\;
p^\theta_{0|t_N} \circ r_{t_N}\big) \le \tfrac{1}{\sqrt2} \Big[ \sqrt{L_{distil}(r_{t_1})}
+ \sum_{n=2}^N \sqrt{L_{consis}(r_{t_n}, 0, t_{n-1}, t_n)} \Big].$$

The proof uses the inequalities of Pinsker and Jensen on each term of a telescoping sum.

Beyond the paper:

* The same bound holds for $\mathbb{E}_{x \sim r_{t_N}} d_{TV}(\cdot \mid x)$, which is larger.
* The teacher may be any Markov chain, so a distilled mixture can be the next teacher. The state
  spaces and the student are arbitrary.
* The constant $1/\sqrt2$ is sharp for every N. Take the teacher Bern(1/2) and the students
  $\mathrm{Bern}(1/2 + n\varepsilon)$. Since $\mathrm{KL}(a \| b) = \int_a^b (x-a)/(x(1-x))\,dx$,

$$\sqrt{1 - 4 N^2 \varepsilon^2} \le \mathrm{left} / \mathrm{right} \le 1.$$
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from flint import arb, ctx
from torch import Tensor

from di4c import exact
from theory.claim import Record, claim
from theory.tools.finite_mixture import random_law


@dataclass(frozen=True)
class Chains:
    r"""A batch of B teachers and students on n states.

    Attributes:
        start: $r_{t_N}$, (B, n).
        teacher: entry k is $p^\psi_{t_k|t_{k+1}}$, (B, n, n), [x at t_(k+1), x at t_k].
        student: entry k is $p^\theta_{0|t_{k+1}}$, (B, n, n), [x at t_(k+1), x at 0].
    """

    start: Tensor
    teacher: list[Tensor]
    student: list[Tensor]


def apply(law: Tensor, kernel: Tensor) -> Tensor:
    """The law after one step with the kernel, batched."""
    return (law[..., None, :] @ kernel).squeeze(-2)


def distance(chains: Chains) -> Tensor:
    """Left side: total variation between the laws that teacher and student generate, (B,)."""
    law = chains.start
    for kernel in reversed(chains.teacher):
        law = apply(law, kernel)
    return exact.total_variation(law, apply(chains.start, chains.student[-1]))


def expected_distance(chains: Chains) -> Tensor:
    r"""The stronger left side $\mathbb{E}_{x \sim r_{t_N}} d_{TV}(\cdot \mid x)$, (B,)."""
    composed = chains.teacher[0]
    for kernel in chains.teacher[1:]:
        composed = kernel @ composed
    rows = exact.total_variation(composed, chains.student[-1])
    return (chains.start * rows).sum(-1)


def generated_laws(chains: Chains) -> list[Tensor]:
    r"""The reference laws $r_{t_1}, \dots, r_{t_N}$ of the theorem: what the teacher generates."""
    laws = [chains.start]
    for kernel in reversed(chains.teacher[1:]):
        laws.insert(0, apply(laws[0], kernel))
    return laws


def losses(chains: Chains, laws: list[Tensor]) -> list[Tensor]:
    r"""$L_{distil}(r_{t_1})$ and $L_{consis}(r_{t_n}, 0, t_{n-1}, t_n)$, n = 2..N, each (B,)."""
    result = []
    for n, (law, kernel, student) in enumerate(
        zip(laws, chains.teacher, chains.student, strict=True)
    ):
        target = kernel if n == 0 else kernel @ chains.student[n - 1]
        divergence = exact.kl(target, student).clamp_min(0.0)  # rounding may leave -1e-17
        result.append(torch.where(law > 0, law * divergence, 0.0).sum(-1))
    return result


def bound(chains: Chains, laws: list[Tensor] | None = None) -> Tensor:
    """Right side, (B,), with the reference laws of the theorem or with the given ones."""
    terms = losses(chains, generated_laws(chains) if laws is None else laws)
    return torch.stack(terms).sqrt().sum(0) / math.sqrt(2)


def random_kernels(
    kind: str, generator: torch.Generator, shape: tuple[int, ...], num_dims: int, num_states: int
) -> Tensor:
    """Random kernels on S^D, (*shape, n, n).

    A kind is "product" (independent coordinates), "mixture" (of three products), "dense" (any) or
    "sparse" (two states in each row).
    """
    size = num_states**num_dims
    if kind == "product":
        rows = random_law(generator, *shape, size, num_dims, num_states, spread=2.0)
        return exact.product_law(rows)
    if kind == "mixture":
        rows = random_law(generator, *shape, 3, size, num_dims, num_states, spread=3.0)
        weights = random_law(generator, *shape, 3)
        return (weights[..., None, None] * exact.product_law(rows)).sum(-3)
    dense = random_law(generator, *shape, size, size, spread=3.0)
    if kind == "dense":
        return dense
    largest = dense.topk(2, -1)
    kept = torch.zeros_like(dense).scatter(-1, largest.indices, largest.values)
    return kept / kept.sum(-1, keepdim=True)


def near_students(
    generator: torch.Generator, teacher: list[Tensor], largest: float = 0.5
) -> list[Tensor]:
    """Students close to the teacher: each probability is multiplied by exp(epsilon * noise).

    They start from the teacher's composition from each time to 0. Epsilon is log-uniform over four
    decades up to `largest`, one for each chain and time. The zeros of the teacher stay zero, so
    that every divergence is finite.
    """
    composed = [teacher[0]]
    for kernel in teacher[1:]:
        composed.append(kernel @ composed[-1])
    stacked = torch.stack(composed)
    decades = torch.rand(stacked.shape[:2], dtype=torch.float64, generator=generator)
    epsilon = largest * 10 ** (-4 * decades)
    noise = torch.randn(stacked.shape, dtype=torch.float64, generator=generator)
    tilted = stacked * torch.exp(epsilon[..., None, None] * noise)
    return list(tilted / tilted.sum(-1, keepdim=True))


SIZES = [(1, 2), (2, 2), (3, 2), (4, 2), (2, 3), (2, 4)]
TEACHERS = ["product", "mixture", "dense", "sparse"]
STUDENTS = ["product", "mixture", "dense", "near", "exact"]


def random_chains(batch: int, seed: int) -> Iterator[tuple[str, Chains]]:
    """Batches over every size, number of steps, kind of teacher and kind of student."""
    generator = torch.Generator().manual_seed(seed)
    for shape, teacher_kind, student_kind in itertools.product(SIZES, TEACHERS, STUDENTS):
        teacher = list(random_kernels(teacher_kind, generator, (5, batch), *shape))
        if student_kind in ("near", "exact"):
            student = near_students(generator, teacher, 0.5 * (student_kind == "near"))
        else:
            student = list(random_kernels(student_kind, generator, (5, batch), *shape))
        for num_steps in (1, 2, 3, 5):
            start = random_law(generator, batch, shape[1] ** shape[0], spread=2.0)
            what = f"(D, S) = {shape}, N={num_steps}, {teacher_kind} teacher, "
            what += f"{student_kind} student"
            yield what, Chains(start, teacher[:num_steps], student[:num_steps])


def coin_chain(num_steps: int, epsilon: float) -> Chains:
    r"""The family where the bound is sharp: teacher Bern(1/2), students Bern(1/2 + n epsilon)."""

    def coin(p: float) -> Tensor:
        return torch.tensor([[[1 - p, p]] * 2], dtype=torch.float64)

    students = [coin(0.5 + n * epsilon) for n in range(1, num_steps + 1)]
    return Chains(coin(0.5)[:, 0], [coin(0.5)] * num_steps, students)


def coin_ratio(num_steps: int, epsilon: arb) -> arb:
    """Left side over right side of the sharp family, with rigorous bounds."""

    def divergence(p: arb, q: arb) -> arb:
        return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()

    half = arb(1) / 2
    terms = [
        divergence(half + n * epsilon, half + (n + 1) * epsilon).sqrt() for n in range(num_steps)
    ]
    return num_steps * epsilon / (sum(terms, arb(0)) / arb(2).sqrt())


def coin_defect(num_steps: int) -> float:
    r"""Limit of $(1 - \mathrm{ratio}) / \varepsilon^2$, from the expansion of the divergence."""
    terms = (n**2 / 2 + 2 * n / 3 + 1 / 4 for n in range(num_steps))
    return 4 * sum(terms) / num_steps


@claim(
    "theorem2-bound",
    "The two losses bound the distance to the many-step teacher: TV(N-step teacher, one-step "
    "student) <= (sqrt L_distil + sum_{n=2}^N sqrt L_consis,n) / sqrt2.",
    group="paper",
    source="Theorem 2",
    hypotheses="the losses are taken at states that the teacher generates; any teacher, student, "
    "S, D and N",
)
def _verify_bound(record: Record) -> None:
    for what, chains in random_chains(batch=16, seed=0):
        for left, right in zip(distance(chains).tolist(), bound(chains).tolist(), strict=True):
            if right < 1:  # every distance is at most 1
                record.at_most(left, right, what, rounding=1e-12)


@claim(
    "theorem2-expected",
    "The bound of Theorem 2 also holds for the mean of TV(.|x) over the start x, which is at "
    "least the TV of the laws.",
    group="sharper",
    source="Theorem 2; the mean distance: this project",
    hypotheses="as theorem2-bound; x is drawn from r_{t_N}",
)
def _verify_stronger(record: Record) -> None:
    for what, chains in random_chains(batch=16, seed=1):
        sides = distance(chains), expected_distance(chains), bound(chains)
        for weaker, left, right in zip(*(side.tolist() for side in sides), strict=True):
            what_first = f"TV of the laws <= mean TV, {what}"
            record.at_most(weaker, left, what_first, rounding=1e-12, largest=1)
            if right < 1:
                record.at_most(left, right, what, rounding=1e-12)


@claim(
    "theorem2-sharp",
    "The constant 1/sqrt2 of Theorem 2 is sharp for every N: sqrt(1 - 4 N^2 e^2) <= left side / "
    "right side <= 1 with e -> 0.",
    group="sharper",
    source="Theorem 2; the sharpness: this project",
    hypotheses="teacher Bern(1/2), students Bern(1/2 + n e); N = 1, ..., 8; rigorous error bounds",
)
def _verify_sharp(record: Record) -> None:
    with ctx.workprec(400):
        for num_steps in range(1, 9):
            for k in range(5, 61, 5):
                epsilon = arb(2) ** -k
                defect = (1 - coin_ratio(num_steps, epsilon)) / epsilon**2
                # sqrt(1 - 4 N^2 e^2) <= ratio <= 1 shows the limit 1 without extrapolation.
                allowed = (1 - (1 - (2 * num_steps * epsilon) ** 2).sqrt()) / epsilon**2
                what = f"N={num_steps}, epsilon=2^-{k}"
                record.at_most(0.0, float(defect.lower()), f"ratio <= 1, {what}")
                record.at_most(float(defect.upper()), float(allowed.lower()), f"ratio, {what}")
                if k >= 30:
                    record.equal(float(defect), coin_defect(num_steps), 1e-9, f"defect, {what}")
                if k <= 10:  # both sides in float64, which loses 2 k bits
                    chains = coin_chain(num_steps, 2.0**-k)
                    ratio = distance(chains).item() / bound(chains).item()
                    record.equal(ratio, float(coin_ratio(num_steps, epsilon)), 1e-8, what)
