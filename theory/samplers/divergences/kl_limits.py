r"""The limits of the divergences of N product steps: right sides of `kl_rates`.

Product steps on the uniform grid, started from $q_T$. With $N (\mathrm{out}_N - q_0) \to T V$
(`theory/limits/any_law.py`) and a data law of full support,

$$N^2\, \mathrm{KL}(q_0 \| \mathrm{out}_N) \to \frac{T^2}{2} \sum_x \frac{V(x)^2}{q_0(x)}.$$

The divergence of the paths, $\sum_k \mathbb{E}\, \mathrm{TC}(x_{t_{k-1}} | x_{t_k})$, times N tends
to another limit:

- Noise with constant rates R(from, to): $T \int_0^T \mathbb{E}_{x \sim q_t} \sum_{d<e} \sum_{u, v}
  [a \log(a/b) - a + b]\, dt$. Here $a = R(u, x_d) R(v, x_e)\, q_t(x^{uv}) / q_t(x)$ is the reverse
  rate of a jump in both coordinates, and
  $b = R(u, x_d) R(v, x_e)\, q_t(x^u) q_t(x^v) / q_t(x)^2$ is that of two independent jumps.
- Masked noise, linear schedule: $\frac12 \sum_i I(X_i; X_{-i})$. The law may have zeros.
"""

import itertools
import math
from fractions import Fraction

from flint import acb, arb
from scipy.integrate import quad
from torch import Tensor

from di4c.exact import forward_law
from di4c.exact.laws import infer_num_dims
from di4c.exact.limits import limit_direction
from di4c.processes import ForwardProcess, RateMatrixProcess
from theory.tools import oracle
from theory.tools.enclosures import ball, integral, precision


def output_limit(process: ForwardProcess, q_0: Tensor) -> float:
    r"""$\frac{T^2}{2} \sum_x V(x)^2 / q_0(x)$, the limit of N^2 times the output's divergence."""
    direction = process.horizon * limit_direction(process, q_0)
    return float((direction**2 / q_0).sum()) / 2


def path_limit(process: RateMatrixProcess, q_0: Tensor) -> float:
    """The limit of N times the divergence of the paths, for noise with constant rates."""
    num_dims = infer_num_dims(len(q_0), process.num_states)
    states = oracle.all_states(num_dims, process.num_states)
    rate = process.rate_matrix.tolist()

    def density(t: float) -> float:
        law = dict(zip(states, forward_law(process, q_0, t).tolist(), strict=True))
        total = 0.0
        for x, p in law.items():
            for d, e in itertools.combinations(range(num_dims), 2):
                for u, v in itertools.product(range(process.num_states), repeat=2):
                    if u != x[d] and v != x[e]:
                        one, other = (*x[:d], u, *x[d + 1 :]), (*x[:e], v, *x[e + 1 :])
                        both = (*one[:e], v, *one[e + 1 :])
                        jumps = rate[u][x[d]] * rate[v][x[e]]
                        a, b = jumps * law[both] / p, jumps * law[one] * law[other] / p**2
                        total += p * (a * math.log(a / b) - a + b)
        return total

    return process.horizon * quad(density, 0, process.horizon, epsrel=1e-10)[0]


def masked_path_limit(q_0: Tensor, num_values: int) -> float:
    r"""$\frac12 \sum_i I(X_i; X_{-i})$, the limit of the paths for linear masked noise."""
    law = oracle.law_from(q_0.tolist(), infer_num_dims(len(q_0), num_values), num_values)
    information = 0.0
    for i, single in enumerate(oracle.marginals(law)):
        rest: dict[oracle.State, float] = {}
        for x, p in law.items():
            others = (*x[:i], *x[i + 1 :])
            rest[others] = rest.get(others, 0.0) + p
        independent = {x: single[x[i]] * rest[(*x[:i], *x[i + 1 :])] for x in law}
        information += oracle.kl(law, independent)
    return information / 2


def pair_path_limit(theta: Fraction, rate: Fraction, horizon: Fraction) -> arb:
    r"""An enclosure of the limit of the paths for a symmetric pair under uniform noise.

    Let $w = \theta e^{-4rt}$ and $\rho = (1 - w) / (1 + w)$. Then $a = r^2$,
    $b = r^2 \rho^{\pm 2}$, and the limit is $T r^2 \int_0^T [\frac{1+w}{2} (\rho^2 - 1 -
    2 \log\rho) + \frac{1-w}{2} (\rho^{-2} - 1 + 2 \log\rho)]\, dt$.
    """

    def density(t: acb) -> acb:
        w = ball(theta) * (-4 * ball(rate) * t).exp()
        ratio = (1 - w) / (1 + w)
        agree = ratio**2 - 1 - 2 * ratio.log()
        differ = ratio**-2 - 1 + 2 * ratio.log()
        return ((1 + w) * agree + (1 - w) * differ) / 2

    with precision():
        return ball(horizon) * ball(rate) ** 2 * integral(density, 0, horizon)


def pair_output_limit(theta: Fraction, rate: Fraction, horizon: Fraction) -> arb:
    r"""An enclosure of the limit of the output for a symmetric pair under uniform noise.

    It is $2 L^2 / (1 - \theta^2)$, where L is the limit of N TV. Output and data differ in their
    correlation only, by $2\,TV$. To second order the divergence of two symmetric pairs is half the
    square of that difference over $1 - \theta^2$.
    """
    with precision():
        decay = (-8 * ball(rate) * ball(horizon)).exp()
        variation = ball(rate * horizon * theta) * (1 - decay) / (1 - ball(theta**2) * decay)
        return 2 * variation**2 / ball(1 - theta**2)
