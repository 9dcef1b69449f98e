r"""Theorem 1, lower bound: it holds for every dependent law of two bits, with a constant.

Let p_0 > 0 on two bits. Each bit has its own rates, which may change over time;
$\delta_d(t) = \exp(-\int_0^t (a_d + b_d))$, $s(x) = \pm 1$ is the parity of x, and $r_d(x)$ the
rate into $x_d$. By Lemma 1 $G_t(y) = -s(y) \det q_t \sum_x r_1 r_2 / q_t(x)$. The determinant
and the parity are eigenfunctions: $\det q_t = \delta_1\delta_2 \det p_0$ and
$\sum_y s(y)\, q_{t|0}(x \mid y) = \delta_1\delta_2\, s(x)$. Hence

$$\sum_y \frac{s(y) V(y)}{p_0(y)} = -\det p_0 \int_0^T (\delta_1\delta_2)^2
  \Big(\sum_x \frac{r_1 r_2}{q_t(x)}\Big) \Big(\sum_x \frac{1}{q_t(x)}\Big) dt .$$

Nothing cancels, so that

$$\lim_N N\, TV_N = \tfrac T2 |V|_1
  \ge \tfrac T2 \min p_0\, |\det p_0| \int_0^T (\ldots)\, dt > 0 .$$

The lower bound of the theorem is thus no matter of a good example. Independent bits have det = 0.

The same holds at every N, on every grid. In the step from t to s let k be the forward kernels and
$m(x) = k_1(0, x_1)\, k_1(1, x_1)\, k_2(0, x_2)\, k_2(1, x_2)$. Given x, the product step differs
from the true one by $-s(y)\, \delta_1\delta_2(s) \det p_0\, m(x) / q_t(x)^2$ at y, and the true
kernels carry $s \delta_1\delta_2 / q$ to itself. With out_t the law that the sampler has at time t,

$$\sum_y \frac{s(y)\, \mathrm{out}(y)}{p_0(y)} = -\det p_0 \sum_k (\delta_1\delta_2)^2(t_{k-1})
  \Big(\sum_y \frac{1}{q_{t_{k-1}}(y)}\Big) \Big(\sum_x \mathrm{out}_{t_k}(x)
  \frac{m_k(x)}{q_{t_k}(x)^2}\Big) .$$

Here $\mathrm{out}_{t_k} \ge (1 - \eta_k)\, q_{t_k}$ with $\eta_N = 0$: a step lowers the least
ratio $\mathrm{out} / q$ by at most $\delta_1\delta_2(s)\, |\det p_0| \max_x m / q_t^2$ over
the least $q_s(y)$ with $s(y) \det p_0 > 0$. So all terms are known, and they add up to order 1/N.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from di4c.exact import forward_law, limit_direction, marginals, product_law
from di4c.processes import CoordinateProcesses
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.tools.dense_chain import dense_chain
from theory.tools.extrapolation import extrapolate
from theory.tools.own_rates import over_time, random_noise

PARITY = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
Case = tuple[Tensor, CoordinateProcesses]


def determinant(law: Tensor) -> float:
    """p(00) p(11) - p(01) p(10)."""
    return float(law[0] * law[3] - law[1] * law[2])


def independent(law: Tensor) -> Tensor:
    """The product of the marginals."""
    return product_law(marginals(law, 2, 2))


def integral(law: Tensor, noise: CoordinateProcesses) -> float:
    """The integral over time of the closed form."""
    total = 0.0
    for t, weight in over_time(noise):
        q, rates = forward_law(noise, law, t), noise.rates(t)
        # The second eigenvalue of a stochastic 2 x 2 kernel is its determinant.
        decay = torch.linalg.det(noise.transition(0.0, t)).prod()
        into = torch.outer(*(rates[d].flip(0).diagonal() for d in (0, 1))).flatten()
        total += weight * float(decay**2 * (into / q).sum() * (1 / q).sum())
    return total


def lower_bound(law: Tensor, noise: CoordinateProcesses) -> float:
    """The lower bound of the limit of N TV_N."""
    size = abs(determinant(law))
    return noise.horizon / 2 * float(law.min()) * size * integral(law, noise)


@dataclass(frozen=True)
class Steps:
    """The steps of a grid from 0 to T; step k goes from t_{k+1} to t_k.

    Attributes:
        weights: (d_1 d_2)^2 at t_k times the sum of 1 / q there, (N,).
        errors: m / q^2 with q at t_{k+1}, (N, 4).
        laws: q at t_{k+1}, (N, 4).
        lost: how much the least ratio of the generated law and q may fall, (N,).
    """

    weights: Tensor
    errors: Tensor
    laws: Tensor
    lost: Tensor

    def ratios(self) -> Tensor:
        """The least ratios 1 - eta of the generated law and q at the start of each step, (N,)."""
        later = self.lost.flip(0).cumsum(0).flip(0) - self.lost
        return 1 - later


def steps(law: Tensor, noise: CoordinateProcesses, grid: Tensor) -> Steps:
    """What the identity of N steps needs."""
    since_0, moves = (
        torch.stack([each.transition(first, grid[k:]) for each in noise.processes])
        for k, first in ((0, 0 * grid), (1, grid[:-1]))
    )
    laws = torch.einsum("ab,nax,nby->nxy", law.reshape(2, 2), *since_0).flatten(1)
    decay = torch.linalg.det(since_0).prod(0)[:-1]
    ways = torch.einsum("nx,ny->nxy", *moves.prod(2)).flatten(1)
    errors = ways / laws[1:] ** 2
    least = laws[:-1, PARITY * determinant(law) > 0].amin(1)
    lost = decay * abs(determinant(law)) * errors.amax(1) / least
    return Steps(decay**2 * (1 / laws[:-1]).sum(1), errors, laws[1:], lost)


def bound_at(law: Tensor, noise: CoordinateProcesses, grid: Tensor) -> float:
    """The lower bound of TV_N on a grid from 0 to T."""
    each = steps(law, noise, grid)
    terms = each.ratios().clamp_min(0) * each.weights * (each.laws * each.errors).sum(1)
    return float(law.min()) / 2 * abs(determinant(law)) * float(terms.sum())


def cases(seed: int, count: int) -> list[Case]:
    """Random laws of two bits under noise of their own, every second one nearly independent."""
    rng, result = np.random.default_rng(seed), []
    for k in range(count):
        law, noise = random_noise(rng, 2, 2)
        if k % 2:
            law = independent(law) + 0.02 * (law - independent(law))
        result.append((law, noise))
    return result


@claim(
    "theorem1-lower-every-pair",
    "Every dependent law of two bits: lim N TV_N >= (T/2) min p_0 |det p_0| int (d_1 d_2)^2 "
    "(sum r_1 r_2 / q_t) (sum 1 / q_t) dt > 0, with d_d the decay of coordinate d. At every N, "
    "TV_N is at least a sum over the steps that tends to it.",
    group="sharper",
    source="Theorem 1, lower bound; the constant: this project",
    hypotheses="p_0 > 0; rates of their own for each bit, changing over time; uniform grid, start "
    "q_T",
)
def verify_bound(record: Record) -> None:
    """TV_N by dense compositions, and its limit by extrapolation."""
    for k, (law, noise) in enumerate(cases(0, 12)):
        values, bound = [], lower_bound(law, noise)
        for n in (1, 8, 16, 32):
            grid = uniform_grid(n, noise.horizon)
            values.append(n * (dense_chain(noise, law, grid).generated() - law))
            size = float(values[-1].abs().sum()) / 2
            record.at_most(n * bound_at(law, noise, grid), size, f"N = {n}, #{k}")
        limit = float(extrapolate(values[1:]).abs().sum()) / 2
        record.at_most(bound, limit, f"#{k}")
        record.exceeds(bound, 0, 0.0, f"positive, #{k}")
        ratio = 128 * bound_at(law, noise, uniform_grid(128, noise.horizon)) / bound
        record.equal(ratio, 1, 0.02, f"the sum over 128 steps tends to the integral, #{k}")


@claim(
    "theorem1-lower-every-pair-identity",
    "Two bits: sum_y s(y) V(y) / p_0(y) = -det p_0 int (d_1 d_2)^2 (sum r_1 r_2 / q_t) "
    "(sum 1 / q_t) dt, where nothing cancels.",
    group="sharper",
    source="Theorem 1, lower bound; the identity: this project",
    hypotheses="as theorem1-lower-every-pair; s is the parity sign",
)
def verify_identity(record: Record) -> None:
    """V from Lemma 1, state by state, against the closed form; independent bits give 0.

    The identity of N steps on uneven grids as well, with the laws of dense compositions.
    """
    for k, (law, noise) in enumerate(cases(1, 8)):
        left = float((PARITY * limit_direction(noise, law, tolerance=1e-11) / law).sum())
        right = -determinant(law) * integral(law, noise)
        record.equal(left / right, 1, 1e-9, f"#{k}")
        grid = noise.horizon * torch.tensor([0.0, 0.1, 0.25, 0.6, 1.0], dtype=torch.float64)
        chain, each = dense_chain(noise, law, grid), steps(law, noise, grid)
        made, total = chain.laws[-1], 0.0
        for n in reversed(range(len(each.weights))):
            ratio = float((made / each.laws[n]).min())
            record.at_most(float(each.ratios()[n]), ratio, f"out / q, #{k}", rounding=1e-14)
            total += float(each.weights[n] * (made @ each.errors[n]))
            made = made @ chain.product[n]
        left = float((PARITY * made / law).sum())
        record.equal(-left / (determinant(law) * total), 1, 1e-9, f"four steps, #{k}")
    law, noise = cases(1, 1)[0]
    independent_bits = limit_direction(noise, independent(law))
    record.vanishes(independent_bits.abs().sum(), 1e-13, "independent bits")
