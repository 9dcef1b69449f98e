r"""What a perfect student gains from several steps under uniform noise, for two symmetric bits.

Write the bits as spins. Their law is $(1 + \theta s_1 s_2) / 4$, and at the time of index n their
correlation is $w_n = \theta \alpha_n^2$. The perfect student (see masked.py) draws x_0 as the
teacher's remaining n steps would, then noises it back. From t_n to t_m a spin has the mean
$A\, s_0 + B\, s_n$ with $A = \alpha_m (1 - \rho^2) / (1 - \alpha_n^2)$ and
$\rho = \alpha_n / \alpha_m$.

A product step gives each spin a mean that is linear in the two spins, so the teacher's mean of one
spin is right after any number of steps. Only the mean of $s_1 s_2$ errs. Let TV_n be the error of
the teacher's n steps from $q_{t_n}$ (uniform_pair.py). For the student's times of indices
$0 = n_0 < n_1 < \dots < n_k$

$$TV(k) = \sum_{j=1}^k A_j^2\, TV_{n_j} \prod_{i<j} \lambda_i, \qquad
  \lambda_i = \frac{\rho_i^2 (1 - w_{n_{i-1}}^2) + 4 |\theta| A_i^2 \alpha_{n_i}^2\, TV_{n_i}}
  {1 - w_{n_i}^2} .$$

Step j errs by $A_j^2\, TV_{n_j}$ and $\lambda_i$ is what step i passes on.

For many steps of the teacher $TV_n$ is proportional to $I(t_n) / N$, $I(t) = \int_0^t \psi'^2$ with
$\psi = \operatorname{artanh} w$, and the ratio TV(k) / TV_teacher tends to

$$R(k) = \sum_{j=1}^k \frac{\alpha_{j-1}^2 (1 - \theta^2)}{1 - w_{j-1}^2}\, A_j^2\,
  \frac{I(\tau_j)}{I(T)} .$$

Near the data $A_j \approx 1/j$ and $I(\tau_j) \approx \psi'(0)^2 \tau_j$ on a uniform grid. So
k R(k) grows like $c \log k$ with $c = T \psi'(0)^2 / I(T)$: as under masks, k calls gain the factor
$k / \log k$, with another constant.
"""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from di4c.exact.pairs import uniform_tv
from theory.claim import Record, claim
from theory.theorem1.pairs.uniform_pair import symmetric_law
from theory.tools import oracle
from theory.tools.oracle import Law, State


@dataclass(frozen=True)
class Spins:
    """Two symmetric spins of correlation theta, and the teacher's alphas from data to noise."""

    theta: Fraction | float
    alphas: Sequence[Fraction | float]

    @property
    def law(self) -> Law:
        """The law of the data."""
        return symmetric_law(self.theta)

    def perfect(self, x: State, n: int) -> Law:
        """The law of x_0 after the teacher's n steps from the state x."""
        kernels = [oracle.uniform_kernel(b / a, 2) for a, b in itertools.pairwise(self.alphas)]
        return oracle.compose(self.law, kernels[:n], {x: Fraction(1)})

    def sampled(self, grid: Sequence[int]) -> Law:
        """The law of the perfect student's steps, by enumeration, from the noised data."""
        now = oracle.noised(self.law, oracle.uniform_kernel(self.alphas[grid[-1]], 2))
        for n, m in zip(reversed(grid[1:]), reversed(grid[:-1]), strict=True):
            early = oracle.uniform_kernel(self.alphas[m], 2)
            late = oracle.uniform_kernel(self.alphas[n] / self.alphas[m], 2)
            then = dict.fromkeys(now, Fraction(0))
            for x, mass in now.items():
                for y, p in self.perfect(x, n).items():
                    rows = [_bridge(early, late, a, b) for a, b in zip(y, x, strict=True)]
                    for z in then:
                        then[z] += mass * p * rows[0][z[0]] * rows[1][z[1]]
            now = then
        return now


def _bridge(
    early: oracle.Kernel, late: oracle.Kernel, first: int, last: int
) -> list[oracle.Number]:
    """The law of a bit between its values at time 0 and at the later time, by Bayes' rule."""
    weights = [early[first][v] * late[v][last] for v in (0, 1)]
    return [w / sum(weights) for w in weights]


def closed_form(spins: Spins, grid: Sequence[int]) -> Fraction | float:
    """TV(k) of the perfect student at these indices of the teacher's times."""
    alphas, size = spins.alphas, abs(spins.theta)
    w = [size * a * a for a in alphas]
    total, passed = 0, 1
    for m, n in itertools.pairwise(grid):
        squared = (alphas[n] / alphas[m]) ** 2
        share = (alphas[m] * (1 - squared) / (1 - alphas[n] ** 2)) ** 2
        teacher = uniform_tv(w[: n + 1])
        total += passed * share * teacher
        passed *= squared * (1 - w[m] ** 2) + 4 * size * share * alphas[n] ** 2 * teacher
        passed /= 1 - w[n] ** 2
    return total


def exponential(rate: float, num_steps: int) -> list[float]:
    """alpha = exp(-rate t) at equal steps of [0, 1]."""
    return [math.exp(-rate * k / num_steps) for k in range(num_steps + 1)]


def integral(theta: float, rate: float, t: float) -> float:
    """I(t) for alpha = exp(-rate t): psi'^2 dt is 2 rate w / (1 - w^2)^2 dw."""
    w = theta * math.exp(-2 * rate * t)
    return rate * (1 / (1 - theta**2) - 1 / (1 - w**2))


def limit_ratio(theta: float, rate: float, calls: int) -> float:
    """R(k) for alpha = exp(-rate t) on [0, 1] and k equal steps."""
    alphas, total = exponential(rate, calls), 0.0
    for j, (earlier, later) in enumerate(itertools.pairwise(alphas), start=1):
        share = earlier * (1 - (later / earlier) ** 2) / (1 - later**2)
        passed = earlier**2 * (1 - theta**2) / (1 - (theta * earlier**2) ** 2)
        total += passed * share**2 * integral(theta, rate, j / calls)
    return total / integral(theta, rate, 1.0)


@claim(
    "several-steps-uniform",
    "Uniform pair, perfect student in k steps: TV(k) = sum_j A_j^2 TV_(n_j) prod_{i<j} lambda_i, "
    "with TV_n the error of the teacher's n steps and A_j, lambda_j rational in alpha and theta.",
    group="beyond",
    source="this project",
    hypotheses="two bits, symmetric p_0, theta in [-1, 1]; any grids, the student's within the "
    "teacher's; start q_T; exact rationals",
)
def verify_uniform(record: Record) -> None:
    """The law of the student's steps by enumeration, on uneven grids."""
    rng = random.Random(0)
    for theta, num_steps in itertools.product((Fraction(1, 3), Fraction(-9, 10), 1), (2, 3, 5)):
        cuts = sorted(rng.sample(range(1, 40), num_steps), reverse=True)
        spins = Spins(Fraction(theta), [Fraction(1), *(Fraction(c, 40) for c in cuts)])
        for grid in ((0, num_steps), (0, 1, num_steps), tuple(range(num_steps + 1))):
            left = oracle.total_variation(spins.sampled(grid), spins.law)
            what = f"theta = {theta}, N = {num_steps}, student at {grid}"
            record.equal(left, closed_form(spins, grid), 0, what)


@claim(
    "several-steps-uniform-limit",
    "Uniform pair, many teacher steps: TV(k) / TV_teacher -> R(k), a sum over the student's steps. "
    "k R(k) grows like c log k with c = T psi'(0)^2 / int psi'^2.",
    group="beyond",
    source="this project",
    hypotheses="symmetric p_0, 0 < theta < 1; exponential schedule, uniform grids, k divides N",
)
def verify_limit(record: Record) -> None:
    """The closed form at two N against R(k); increments of k R(k) from k to 2k against c log 2."""
    for theta, rate in ((0.5, 1.0), (0.9, 0.6), (0.9, 2.0)):
        for calls in (2, 4, 6):
            ratios = []
            for num_steps in (1200, 2400):
                spins = Spins(theta, exponential(rate, num_steps))
                grid = range(0, num_steps + 1, num_steps // calls)
                ratios.append(closed_form(spins, grid) / closed_form(spins, (0, num_steps)))
            what = f"theta = {theta}, rate {rate}, k = {calls}"
            extrapolated = 2 * ratios[1] - ratios[0]
            record.equal(extrapolated, limit_ratio(theta, rate, calls), 1e-5, what)
        slope = (2 * rate * theta / (1 - theta**2)) ** 2 / integral(theta, rate, 1.0)
        scaled = [k * limit_ratio(theta, rate, k) for k in (2**14, 2**15)]
        growth = (scaled[1] - scaled[0]) / math.log(2)
        record.equal(growth / slope, 1, 0.02, f"c log k, theta = {theta}, rate {rate}")


@claim(
    "several-steps-uniform-harmonic",
    "False in general: k steps of a perfect student have H_k / k times the error of its teacher. "
    "Under uniform noise the ratio depends on the law and on the schedule, at the same k.",
    group="fails",
    source="this project",
    hypotheses="true for masked pairs, the linear schedule and uniform grids",
)
def verify_not_harmonic(record: Record) -> None:
    """Two steps of the exponential and of the linear schedule: far from 3/4, on both sides."""
    for theta, rate in ((0.5, 0.3), (0.9, 2.0)):
        spins = Spins(theta, exponential(rate, 240))
        found = closed_form(spins, (0, 120, 240)) / closed_form(spins, (0, 240))
        record.exceeds(abs(found - 0.75), 0, 0.01, f"theta = {theta}, rate {rate}: {found:.3f}")
    for theta in (Fraction(1, 5), Fraction(9, 10)):
        spins = Spins(theta, [1 - Fraction(k, 12) for k in range(13)])
        found = closed_form(spins, (0, 6, 12)) / closed_form(spins, (0, 12))
        record.exceeds(abs(found - Fraction(3, 4)), 0, 0.01, f"linear, {theta}: {float(found):.3f}")
