r"""Theorem 2 for the Hellinger distance, with the same right side.

Let $H^2(p, q) = 1 - \sum \sqrt{p q}$. The losses of Theorem 2 also bound the distance

$$\sqrt{\mathbb{E}_{x \sim r_{t_N}} H^2(\cdot \mid x)} \le \tfrac{1}{\sqrt2} \Big[
  \sqrt{L_{distil}} + \sum_{n=2}^N \sqrt{L_{consis,n}} \Big].$$

Proof: the left side is a norm of differences of square roots, so it obeys the triangle inequality
along the telescoping sum. A common kernel does not increase H. And KL >= 2 H^2. The constant is
sharp for every N: let all students but the last be exact and the teacher sure of one state.

H^2 <= TV, so the statement for H does not follow from that for TV.
"""

import math

import torch
from torch import Tensor

from theory.claim import Record, claim
from theory.theorem2.bound import Chains, bound, random_chains


def hellinger(chains: Chains) -> Tensor:
    """The left side, (B,)."""
    composed = chains.teacher[0]
    for kernel in chains.teacher[1:]:
        composed = kernel @ composed
    affinity = (composed * chains.student[-1]).sqrt().sum(-1)
    return (1 - (chains.start * affinity).sum(-1)).clamp_min(0).sqrt()


def last_student_off(num_steps: int, share: float) -> Chains:
    """A teacher that always goes to state 0; the last student misses it with a small share."""
    sure = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
    off = torch.tensor([[[1 - share, share]] * 2], dtype=torch.float64)
    start = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    return Chains(start, [sure] * num_steps, [*[sure] * (num_steps - 1), off])


@claim(
    "theorem2-hellinger",
    "The losses of Theorem 2 bound the Hellinger distance too: sqrt(E_x H^2(.|x)) <= (sqrt "
    "L_distil + sum sqrt L_consis,n) / sqrt2.",
    group="sharper",
    source="Theorem 2; the Hellinger distance: this project",
    hypotheses="as theorem2-bound; H^2 = 1 - sum sqrt(p q); x is drawn from r_{t_N}",
)
def _verify_hellinger(record: Record) -> None:
    """Random teachers and students of all kinds."""
    for what, chains in random_chains(batch=4, seed=2):
        for left, right in zip(hellinger(chains).tolist(), bound(chains).tolist(), strict=True):
            if right < 1:  # every Hellinger distance is at most 1
                record.at_most(left, right, what, rounding=1e-7)


@claim(
    "theorem2-hellinger-sharp",
    "The constant 1/sqrt2 is sharp for the Hellinger distance, too: in a family left / right is at "
    "least sqrt(1 - e).",
    group="sharper",
    source="Theorem 2; the sharpness: this project",
    hypotheses="a teacher that is sure of one state; only the last student is off, by e",
)
def _verify_hellinger_sharp(record: Record) -> None:
    """Left over right between sqrt(1 - e) and 1."""
    for num_steps in (1, 2, 5):
        for share in (0.1, 1e-2, 1e-3, 1e-4):
            chains = last_student_off(num_steps, share)
            ratio = hellinger(chains).item() / bound(chains).item()
            what = f"N = {num_steps}, e = {share}"
            record.at_most(ratio, 1, f"ratio, {what}")
            record.at_most(math.sqrt(1 - share), ratio, f"sharp, {what}")
