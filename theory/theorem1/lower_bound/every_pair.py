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
"""

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
    "(sum r_1 r_2 / q_t) (sum 1 / q_t) dt > 0, with d_d the decay of coordinate d.",
    group="sharper",
    source="Theorem 1, lower bound; the constant: this project",
    hypotheses="p_0 > 0; rates of their own for each bit, changing over time; uniform grid, start "
    "q_T",
)
def verify_bound(record: Record) -> None:
    """The limit of N TV_N by extrapolation of dense compositions."""
    for k, (law, noise) in enumerate(cases(0, 12)):
        values = []
        for n in (8, 16, 32):
            chain = dense_chain(noise, law, uniform_grid(n, noise.horizon))
            values.append(n * (chain.generated() - law))
        limit = float(extrapolate(values).abs().sum()) / 2
        bound = lower_bound(law, noise)
        record.at_most(bound, limit, f"#{k}")
        record.exceeds(bound, 0, 0.0, f"positive, #{k}")


@claim(
    "theorem1-lower-every-pair-identity",
    "Two bits: sum_y s(y) V(y) / p_0(y) = -det p_0 int (d_1 d_2)^2 (sum r_1 r_2 / q_t) "
    "(sum 1 / q_t) dt, where nothing cancels.",
    group="sharper",
    source="Theorem 1, lower bound; the identity: this project",
    hypotheses="as theorem1-lower-every-pair; s is the parity sign",
)
def verify_identity(record: Record) -> None:
    """V from Lemma 1, state by state, against the closed form; independent bits give 0."""
    for k, (law, noise) in enumerate(cases(1, 8)):
        left = float((PARITY * limit_direction(noise, law, tolerance=1e-11) / law).sum())
        right = -determinant(law) * integral(law, noise)
        record.equal(left / right, 1, 1e-9, f"#{k}")
    law, noise = cases(1, 1)[0]
    independent_bits = limit_direction(noise, independent(law))
    record.vanishes(independent_bits.abs().sum(), 1e-13, "independent bits")
