r"""Better time grids for the product teacher: by dynamic programming, and by direct search.

Each step from t to s < t has a cost, the conditional total correlation
$\mathbb{E}\, \mathrm{TC}(x_s \mid x_t)$. The sum of the costs bounds the KL divergence of the
output (Park et al., Jump Your Steps, ICLR 2025). From the costs for all pairs of candidate times,
`best_grids` finds the cheapest grid of N steps, for every N at once. `least_tv_grid` starts from
such a grid and lowers the total variation itself.
"""

import itertools
import math

import numpy as np
import scipy.optimize
import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact import (
    entropy,
    forward_law,
    marginals,
    posterior_marginals,
    product_composition,
    push_forward,
    total_variation,
)
from di4c.exact.laws import as_law, infer_num_dims
from di4c.processes import ForwardProcess
from toys.teachers.exact import marginalise


def candidate_times(num_times: int, horizon: float = 1.0) -> Float[Tensor, "time"]:
    r"""Equispaced times and their squares.

    The squares are dense near 0, where laws with zeros need small steps.
    """
    fractions = torch.arange(num_times + 1, dtype=torch.float64) / num_times
    return horizon * torch.cat([fractions, fractions**2]).unique()


def best_grids(
    times: Float[Tensor, "time"], costs: Float[Tensor, "time time"], max_steps: int
) -> list[Float[Tensor, "..."]]:
    """For N = 1, ..., max_steps the grid of N steps with the least sum of costs.

    Args:
        times: candidates, increasing; every grid runs from the first to the last.
        costs: [s, t], the cost of a step from times[t] to times[s]; only s < t is read.
        max_steps: at most the number of candidates less one.

    Raises:
        ValueError: If max_steps is out of range.
    """
    count = len(times)
    if not 1 <= max_steps < count:
        raise ValueError(f"max_steps must be 1 to {count - 1}, the candidates; got {max_steps}")
    allowed = torch.ones(count, count, dtype=torch.bool).triu(1)
    costs = costs.masked_fill(~allowed, math.inf)
    value = costs[0]  # least cost from times[t] to 0 in one step
    choices, grids = [], []
    for n in range(1, max_steps + 1):
        if n > 1:
            value, choice = (value[:, None] + costs).min(0)
            choices.append(choice)
        path = [count - 1]
        for choice in reversed(choices):
            path.append(int(choice[path[-1]]))
        grids.append(times[[0, *reversed(path)]])
    return grids


def correlation_costs(
    process: ForwardProcess, q_0: Tensor, times: Float[Tensor, "time"]
) -> Float[Tensor, "time time"]:
    r"""$\mathbb{E}\, \mathrm{TC}(x_s \mid x_t)$ in nats for all pairs, [s, t].

    The cost is $\sum_d H(x_s^d \mid x_t) - H(x_s \mid x_t)$ with
    $H(x_s \mid x_t) = H(x_s) + H(x_t \mid x_s) - H(x_t)$. Given $x_s$, the coordinates of $x_t$ are
    independent.

    Masked noise has a closed form. Let $h(\alpha)$ be the mean entropy of the seen coordinates if
    each is seen with probability $\alpha$. The cost is the Bregman divergence
    $h'(\alpha_t) (\alpha_s - \alpha_t) - [h(\alpha_s) - h(\alpha_t)]$.
    """
    law, num_dims = as_law(q_0, process.num_values)
    if process.mask_state is not None:
        alphas = process.transition(0.0, times)[:, 0, 0]
        value, slope = seen_entropy(law, process.num_values, alphas)
        costs = slope * (alphas[:, None] - alphas) - (value[:, None] - value)
        return costs.clamp_min(0.0)  # rounding errors may be negative
    costs = torch.zeros(len(times), len(times), dtype=torch.float64)
    laws = [forward_law(process, law, float(t)) for t in times]
    joint = torch.stack([entropy(p) for p in laws])
    for s, t in itertools.combinations(range(len(times)), 2):
        kernel = process.transition(times[s], times[t])
        noise = (marginals(laws[s], num_dims, len(kernel)) @ entropy(kernel)).sum()
        probs = posterior_marginals(process, law, float(times[s]), float(times[t]))
        each = laws[t] @ entropy(probs).sum(1)
        costs[s, t] = each - (joint[s] + noise - joint[t])
    return costs.clamp_min(0.0)


def seen_entropy(
    q_0: Float[Tensor, "atom"], num_values: int, alphas: Float[Tensor, "time"]
) -> tuple[Float[Tensor, "time"], Float[Tensor, "time"]]:
    r"""$h(\alpha) = \sum_m \binom{D}{m} \alpha^m (1-\alpha)^{D-m} \bar H_m$ and its derivative.

    $\bar H_m$ is the mean entropy of m coordinates over all choices of them, in nats.
    """
    num_dims = infer_num_dims(len(q_0), num_values)
    mass = push_forward(q_0, marginalise(num_values))
    one_more = torch.cat([torch.ones(num_values), torch.zeros(1)])
    seen = torch.zeros(1)
    for _ in range(num_dims):
        seen = (seen[:, None] + one_more).flatten()
    total = torch.zeros(num_dims + 1, dtype=torch.float64)
    total.index_add_(0, seen.long(), torch.special.entr(mass))
    power = torch.arange(num_dims + 1, dtype=torch.float64)
    fewer = power[:-1]
    # `total` sums over all subsets of a size, so it holds the binomials of h. The coefficients of
    # h' are D binom(D - 1, m).
    binomials = torch.tensor([float(math.comb(num_dims, m)) for m in range(num_dims + 1)])
    rise = (total / binomials).diff() * (num_dims - fewer) * binomials[:-1]
    seen_by, hidden = alphas[:, None], 1 - alphas[:, None]
    value = (seen_by**power * hidden ** (num_dims - power)) @ total
    return value, (seen_by**fewer * hidden ** (num_dims - 1 - fewer)) @ rise


def least_tv_grid(
    process: ForwardProcess, q_0: Tensor, start: Float[Tensor, "time"], max_evaluations: int
) -> Float[Tensor, "time"]:
    """The grid of least exact total variation that a simplex search finds from a first grid.

    The search moves the logarithms of the gaps between times, so every grid it tries is valid. It
    finds a local optimum, and returns the first grid if it finds nothing better.

    Args:
        process: forward process.
        q_0: data law, (S^D,).
        start: the first grid, N + 1 times from 0 to the horizon.
        max_evaluations: how many laws of N steps may be computed.
    """
    if len(start) < 3:
        return start

    def grid(gaps: np.ndarray) -> Tensor:
        shares = torch.from_numpy(gaps).softmax(0)
        times = torch.cat([shares.new_zeros(1), shares.cumsum(0)]) * process.horizon
        times[-1] = process.horizon
        return times

    def tv(gaps: np.ndarray) -> float:
        times = grid(gaps)
        if not bool((times.diff() > 1e-12).all()):
            return 1.0  # two times coincide up to rounding
        return float(total_variation(q_0, product_composition(process, q_0, times)))

    first = start.diff().log().numpy()
    options = {"maxfev": max_evaluations, "fatol": 1e-7, "xatol": 1e-4, "adaptive": True}
    found = scipy.optimize.minimize(tv, first, method="Nelder-Mead", options=options)
    return grid(found.x) if found.fun < tv(first) else start
