r"""Masked pair: the N-step error in closed form, at every N and on every grid.

For any vocabulary, any law $p_0$ on two coordinates, and any $1 = \alpha_0 > \dots > \alpha_N$,

$$TV_N = d_{12} \sum_k (\alpha_{k-1} - \alpha_k)^2, \qquad
  d_{12} = d_{TV}(p_0, p_0^1 \otimes p_0^2),$$

if the sampler starts from the noised data. If it starts from all-mask, the right side is divided by
$(1 - \alpha_N)^2$. Proof: a coordinate is unmasked in step k with probability
$\alpha_{k-1} - \alpha_k$, and the two coordinates are unmasked independently. Their dependence is
lost only when both are unmasked in the same step.

Theorem 1 of the paper states O(1/N) and, for |S| = D = 2, Omega(1/N). The identity is beyond it.
"""

import itertools
import random
from fractions import Fraction

import numpy as np
import torch

from di4c.exact.pairs import MaskedPair, masked_tv
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.pair_cases import (
    SCHEDULES,
    enumerated_tv,
    random_grid,
    rational_alphas,
    rational_weights,
)


def sampler_tv(law: oracle.Law, alphas: list[Fraction], *, all_mask: bool) -> Fraction:
    """Left side: TV_N of the enumerated sampler, in rational arithmetic."""
    num_values = 1 + max(x[0] for x in law)
    ratios = [later / earlier for earlier, later in itertools.pairwise(alphas)]
    kernels = [
        oracle.masked_kernel(ratio, num_values, from_data=k == 0) for k, ratio in enumerate(ratios)
    ]
    start = {(num_values, num_values): Fraction(1)} if all_mask else None
    return oracle.total_variation(oracle.compose(law, kernels, start), law)


def closed_form(law: oracle.Law, alphas: list[Fraction], *, all_mask: bool) -> Fraction:
    """Right side: the closed form, in rational arithmetic."""
    dependence = oracle.total_variation(law, oracle.independent(law))
    return masked_tv(alphas, dependence, "prior" if all_mask else "q_T")


def _verify_exact(record: Record, *, all_mask: bool) -> None:
    draw = random.Random(11)
    for case in range(30):
        num_values, num_steps = 2 + case % 3, 1 + case % 5
        weights = rational_weights(draw, num_values**2)
        law = oracle.law_from(weights, 2, num_values)
        alphas = rational_alphas(draw, num_steps, to_zero=case % 2 == 0)
        left = sampler_tv(law, alphas, all_mask=all_mask)
        right = closed_form(law, alphas, all_mask=all_mask)
        record.equal(left, right, 0, f"V={num_values}, alphas={[str(a) for a in alphas]}")


@claim(
    "masked-pair",
    "Masked pair: TV_N = d_12 sum_k (alpha_{k-1} - alpha_k)^2.",
    group="sharper",
    source="Theorem 1; the identity: this project",
    hypotheses="D = 2; any vocabulary, p_0 and grid; start q_T; exact rationals",
)
def _verify_from_data(record: Record) -> None:
    _verify_exact(record, all_mask=False)


@claim(
    "masked-pair-all-mask",
    "Masked pair, started from all-mask: TV_N is that of masked-pair divided by (1 - alpha_N)^2.",
    group="beyond",
    source="this project",
    hypotheses="D = 2; any vocabulary, p_0 and grid; exact rationals",
)
def _verify_from_all_mask(record: Record) -> None:
    _verify_exact(record, all_mask=True)


@claim(
    "masked-pair-schedules",
    "Masked pair: the closed form is the error of the float64 sampler for five schedules, both "
    "starts and N up to 1024.",
    group="beyond",
    source="this project",
    hypotheses="D = 2; any decreasing alpha, also one of infinite slope (arccos)",
)
def _verify_schedules(record: Record) -> None:
    draw, numbers = random.Random(12), np.random.default_rng(12)
    for schedule in SCHEDULES:
        p_0 = numbers.dirichlet(np.ones(4)).reshape(2, 2)
        for start in ("q_T", "prior"):
            pair = MaskedPair(p_0=torch.from_numpy(p_0), schedule=schedule, start=start)
            grids = [random_grid(draw, num_steps, schedule.horizon) for num_steps in (1, 2, 7, 40)]
            grids += [uniform_grid(n, schedule.horizon).tolist() for n in (1, 16, 1024)]
            for grid in grids:
                what = f"{schedule}, {start}, N={len(grid) - 1}"
                record.equal(enumerated_tv(pair, grid), pair.closed_form(grid), 1e-13, what)
