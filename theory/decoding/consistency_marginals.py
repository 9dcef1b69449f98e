r"""Consistency for each position apart teaches the marginals, not the joint law.

The training of CDLM compares, position by position, the student's law of $x_0$ at $x_t$ with a
target's law at a later point of the same path (arXiv 2605.00161, as stated in the abstract):

$$\mathbb{E}_{x_s \mid x_t} \sum_d
\mathrm{KL}\big(r^d(\cdot \mid x_s) \,\|\, p^d(\cdot \mid x_t)\big).$$

It is least at $p^d = \mathbb{E}_{x_s \mid x_t}\, r^d$, the marginals of the target. A student whose
coordinates are correlated and the product of its marginals have the same loss. Di4C's consistency
loss compares joint laws. It separates the two by the total correlation.
"""

import itertools

import torch
from torch import Tensor

from di4c import exact
from di4c.losses import consistency_loss
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import (
    FiniteMixture,
    as_dict,
    as_target,
    random_law,
    random_mixture,
)

SOURCE = "arXiv 2605.00161, as stated in the abstract"
SIZES = ((2, 2), (3, 2), (2, 3))


def path_targets(law: oracle.Law, reveal: float) -> list[tuple[float, list[dict[int, float]]]]:
    """Probability and target marginals of each x_s, if all of x_t is masked."""
    num_dims = len(next(iter(law)))
    result = []
    for shown in itertools.product((False, True), repeat=num_dims):
        chance = 1.0
        for flag in shown:
            chance *= reveal if flag else 1 - reveal
        known = [d for d in range(num_dims) if shown[d]]
        for values in {tuple(x[d] for d in known) for x in law}:
            fits = {x: p for x, p in law.items() if tuple(x[d] for d in known) == values}
            mass = sum(fits.values())
            rows = oracle.marginals({x: p / mass for x, p in fits.items()})
            result.append((chance * mass, rows))
    return result


def position_loss(targets: list[tuple[float, list[dict[int, float]]]], rows: Tensor) -> float:
    """The loss position by position of a student with marginals `rows`, (D, S)."""
    return sum(
        weight * oracle.kl({(v,): p for v, p in target.items()}, {(v,): row[v] for v in target})
        for weight, targets_at in targets
        for target, row in zip(targets_at, rows.tolist(), strict=True)
    )


@claim(
    "consistency-by-position",
    "Consistency for each position apart is least at the marginals of the target. There a "
    "correlated student and the product of its marginals have the same loss.",
    group="beyond",
    source=SOURCE,
    hypotheses="exact target, all of x_t masked, any share of revealed positions at s",
)
def verify_marginals(record: Record) -> None:
    """Random students lose to the marginals by exactly the KL divergence of the marginals."""
    generator = torch.Generator().manual_seed(0)
    for (num_dims, num_states), reveal in itertools.product(SIZES, (0.3, 0.5, 1.0)):
        law = random_law(generator, num_states**num_dims)
        targets = path_targets(as_dict(law, num_dims, num_states), reveal)
        truth = exact.marginals(law, num_dims, num_states)
        best = position_loss(targets, truth)
        for k in range(3):
            other = random_law(generator, num_dims, num_states)
            what = f"D = {num_dims}, S = {num_states}, revealed {reveal}, #{k}"
            gap = exact.kl(truth, other).sum().item()
            record.equal(position_loss(targets, other) - best, gap, 1e-12, what)
            record.exceeds(gap, 0, 1e-4, f"the minimum is unique, {what}")


@claim(
    "consistency-by-position-joint",
    "False in general: path consistency teaches the joint law. For each position apart a student "
    "and the product of its marginals have the same loss; Di4C's loss differs by the total "
    "correlation.",
    group="fails",
    source="this project",
    hypotheses="the student is the target law itself, a mixture of 2 to 4 products",
)
def verify_joint(record: Record) -> None:
    """The same two students under both losses."""
    generator = torch.Generator().manual_seed(1)
    for (num_dims, num_states), count in itertools.product(SIZES, (2, 4)):
        student = random_mixture(generator, count, num_dims, num_states)
        rows = student.marginals()
        product = FiniteMixture(torch.ones(1, dtype=torch.float64), rows[None])
        law = torch.tensor(list(student.literal().values()), dtype=torch.float64)
        targets = path_targets(student.literal(), 0.5)
        what = f"D = {num_dims}, S = {num_states}, {count} components"
        by_position = [position_loss(targets, s.marginals()) for s in (student, product)]
        record.equal(by_position[0], by_position[1], 1e-12, f"by position, {what}")
        target = as_target(law, num_dims, num_states)
        joint = [consistency_loss(s.as_student(), target).total.item() for s in (student, product)]
        correlation = oracle.total_correlation(student.literal())
        record.equal(joint[1] - joint[0], correlation, 1e-12, f"Di4C, {what}")
        record.exceeds(correlation, 0, 1e-4, f"total correlation, {what}")
