r"""Theorem 1, lower bound, for any S and D: every dependent law errs by order 1/N.

Let q = q_t > 0 be the law at time t and $G_t = -\sum_x q(x)\, \Delta_x$ the mean error of a step
(Lemma 1). For a pair of coordinates and values u, v let
$L = \log [q(x)\, q(x^{uv}) / (q(x^u)\, q(x^v))]$. Then

$$\sum_y G_t(y) \log q(y)
  = -\sum_{d<e} \sum_{x,u,v} R_d(u, x_d) R_e(v, x_e) \frac{q(x^u)\, q(x^v)}{q(x)} (e^L - 1)\, L .$$

No term is positive, because $(e^L - 1) L \ge 0$. If all rates are positive, the sum is 0 only if
all L are 0, and then q is a product. Invertible noise makes q_t a product only if p_0 is one.

So $G_0 \ne 0$ for every dependent p_0 > 0. The limit of $N (\mathrm{out}_N - p_0)$ is
$T V(T)$ with $V(T) = \int_0^T K_{0|t}[G_t]\, dt$. With constant rates V is analytic in T and
$V'(0) = G_0$. Hence $\lim_N N\, TV_N > 0$ for every horizon, up to isolated ones. For two bits
there is no exception (every_pair.py); we know of none for other sizes.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from di4c.exact import forward_law, limit_direction, one_step_defect
from di4c.processes import CoordinateProcesses
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.own_rates import own_rates, random_noise

SIZES = ((2, 2), (2, 3), (3, 2), (2, 4), (4, 2))


def entropy_sum(law: Tensor, rates: Tensor) -> float:
    """The right side of the identity, term by term."""
    num_dims, num_states, _ = rates.shape
    p = dict(zip(oracle.all_states(num_dims, num_states), law.tolist(), strict=True))
    total = 0.0
    for x, (d, e) in itertools.product(p, itertools.combinations(range(num_dims), 2)):
        for u, v in itertools.product(range(num_states), repeat=2):
            if u != x[d] and v != x[e]:
                first = p[(*x[:d], u, *x[d + 1 :])]
                second = p[(*x[:e], v, *x[e + 1 :])]
                both = p[(*x[:d], u, *x[d + 1 : e], v, *x[e + 1 :])]
                ratio = p[x] * both / (first * second)
                speed = float(rates[d, u, x[d]] * rates[e, v, x[e]])
                total -= speed * first * second / p[x] * (ratio - 1) * math.log(ratio)
    return total


def cases(seed: int) -> list[tuple[str, Tensor, CoordinateProcesses]]:
    """Random noise with constant positive rates: three laws for each size."""
    rng = np.random.default_rng(seed)
    sizes = itertools.product(SIZES, range(3))
    return [(f"D = {d}, S = {s}, #{k}", *random_noise(rng, d, s, 1)) for (d, s), k in sizes]


@claim(
    "every-law-entropy",
    "The mean error G_t of a step has sum G_t log q_t < 0 for every dependent law: it is minus a "
    "sum of terms (e^L - 1) L over rectangles of states.",
    group="sharper",
    source="Theorem 1, lower bound; the identity: this project",
    hypotheses="q_t > 0, any S and D; all rates positive, rates of their own for each coordinate",
)
def verify_entropy(record: Record) -> None:
    """The sum with G_t from Lemma 1 against the terms; it vanishes for a product law."""
    for what, law, noise in cases(0):
        q, rates = forward_law(noise, law, 0.3), noise.rates(0.3)
        left = float(one_step_defect(q, rates) @ q.log())
        right = entropy_sum(q, rates)
        record.equal(left / right, 1, 1e-10, what)
        record.exceeds(0, right, 0, f"negative, {what}")
    rates = cases(1)[3][2].rates(0.0)  # of D = 2, S = 3
    product = torch.from_numpy(np.outer([0.3, 0.3, 0.4], [0.2, 0.3, 0.5]).ravel())
    record.vanishes(one_step_defect(product, rates).abs().sum(), 1e-13, "a product law")


@claim(
    "every-law-lower",
    "Every dependent law, any S and D: lim N TV_N > 0 for all horizons T but isolated ones, "
    "because V(T) / T -> G_0, which is not 0.",
    group="sharper",
    source="Theorem 1, lower bound; any S and D: this project",
    hypotheses="p_0 > 0, constant positive rates, uniform grid, start q_T; no exception is known",
)
def verify_lower(record: Record) -> None:
    """V(T) / T against G_0 for a short horizon; V(1) is not 0 either."""
    for what, law, noise in cases(2):
        rates = noise.rates(0.0)
        start = one_step_defect(law, rates)
        short = limit_direction(own_rates([rates], 1e-4), law, tolerance=1e-4) / 1e-4
        error = (short - start).abs().sum() / start.abs().sum()
        record.at_most(error, 0.01, f"V(T) / T at T = 1e-4, {what}")
        limit = noise.horizon / 2 * limit_direction(noise, law, tolerance=1e-4).abs().sum()
        record.exceeds(limit, 0, 1e-3, f"limit of N TV_N, T = {noise.horizon:.2f}, {what}")
