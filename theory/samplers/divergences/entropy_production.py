r"""Entropy production bounds how far a chain can move its law, in Wasserstein distance.

A chain on states joined by jumps has the flows a = p_x R(x, y) and b = p_y R(y, x) on each edge,
the entropy production rate $\sigma = \sum (a - b) \log (a / b)$ and the activity
$A = \sum (a + b)$. For the distance of states in numbers of jumps,

$$W_1(p_s, p_t) \le \int_s^t \sum |a - b|\, du \le \int_s^t \sqrt{\sigma A / 2}\; du .$$

The first step holds because transport along edges costs one for each unit of net flow. The second
is the inequality of Cauchy and Schwarz with $(a - b) \log (a/b) \ge 2 (a-b)^2 / (a+b)$. The noise
of a diffusion and its exact reverse chain have the same net flows up to sign, the same activity and
the same entropy production, so the bound is the same for generation.

For absorbing noise b = 0 and the entropy production is infinite. The bound says nothing there.

arXiv 2602.06849 relates entropy production of discrete diffusion and Wasserstein distance; we know
its abstract only. The proof here is ours, after known bounds of stochastic thermodynamics.
"""

import itertools
import math

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from di4c.exact import forward_law
from di4c.processes import CoordinateProcesses
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.own_rates import over_time, own_rates, random_rates

SOURCE = "arXiv 2602.06849, as stated in the abstract; the proof: this project"


def edges(num_dims: int, num_states: int) -> list[tuple[int, int, int, int, int]]:
    """Pairs of states that differ in one coordinate: (x, y, coordinate, value of x, value of y)."""
    states = oracle.all_states(num_dims, num_states)
    result = []
    for (i, x), (j, y) in itertools.combinations(enumerate(states), 2):
        changed = [d for d in range(num_dims) if x[d] != y[d]]
        if len(changed) == 1:
            (d,) = changed
            result.append((i, j, d, x[d], y[d]))
    return result


def bounds(law: Tensor, noise: CoordinateProcesses) -> tuple[float, float]:
    """The integral of the net flow, and that of sqrt(sigma A / 2)."""
    net_flow = thermodynamic = 0.0
    links = edges(len(noise.processes), noise.num_states)
    for t, weight in over_time(noise):
        q, rates = forward_law(noise, law, t).numpy(), noise.rates(t).numpy()
        pairs = [(q[i] * rates[d, u, v], q[j] * rates[d, v, u]) for i, j, d, u, v in links]
        production = math.fsum((a - b) * math.log(a / b) for a, b in pairs)
        activity = math.fsum(a + b for a, b in pairs)
        net_flow += weight * math.fsum(abs(a - b) for a, b in pairs)
        thermodynamic += weight * math.sqrt(production * activity / 2)
    return net_flow, thermodynamic


def wasserstein(p: np.ndarray, q: np.ndarray, num_dims: int, num_states: int) -> float:
    """W_1 for the number of coordinates that differ, as a transport problem."""
    states = oracle.all_states(num_dims, num_states)
    cost = [sum(a != b for a, b in zip(x, y, strict=True)) for x in states for y in states]
    size = len(states)
    rows = np.kron(np.eye(size), np.ones(size))
    columns = np.kron(np.ones(size), np.eye(size))
    found = linprog(cost, A_eq=np.vstack([rows, columns]), b_eq=[*p, *q], method="highs")
    assert found.success, found.message
    return found.fun


@claim(
    "entropy-production",
    "W_1(p_0, q_T) <= int sum |net flow| dt <= int sqrt(sigma A / 2) dt, with the entropy "
    "production rate sigma and the activity A.",
    group="beyond",
    source=SOURCE,
    hypotheses="full support, all jumps can be reversed; W_1 counts the coordinates that differ",
)
def verify_bound(record: Record) -> None:
    """W_1 by linear programming on 4, 8 and 9 states; laws far from equilibrium."""
    rng = np.random.default_rng(0)
    for num_dims, num_states in ((2, 2), (3, 2), (2, 3)):
        for k in range(3):
            pieces = [random_rates(rng, num_dims, num_states) for _ in range(2)]
            noise = own_rates(pieces, 0.2 + 0.3 * k)
            law = torch.from_numpy(rng.dirichlet(np.full(num_states**num_dims, 0.5)) + 1e-3)
            law /= law.sum()
            end = forward_law(noise, law, noise.horizon)
            distance = wasserstein(law.numpy(), end.numpy(), num_dims, num_states)
            net_flow, thermodynamic = bounds(law, noise)
            what = f"D = {num_dims}, S = {num_states}, T = {noise.horizon:.1f}"
            record.at_most(distance, net_flow, f"net flow, {what}", rounding=1e-6)
            record.at_most(net_flow, thermodynamic, f"entropy production, {what}", rounding=1e-6)
