r"""Masked diffusion on a time grid: the path divergence is an integral minus a left Riemann sum.

Let $1 = a_0 > a_1 > \dots > a_N \ge 0$ be the survival probabilities $\alpha_{t_k}$. The sampler
starts from $q_T$, and every step is the product of the marginals of the true reverse kernel. A
coordinate is revealed in the step from $t_k$ to $t_{k-1}$ with probability $a_{k-1} - a_k$,
independently of all others. Each of the others is then known with probability $a_k$. Let $Z_m$ be
the information curve (`information_curve.py`) and z its Bernstein polynomial,

$$z(x) = \sum_{m=0}^{D-1} \binom{D-1}{m} x^m (1-x)^{D-1-m} Z_m.$$

Then

$$\sum_{k=1}^N \mathbb{E}\, \mathrm{TC}(x_{t_{k-1}} \mid x_{t_k})
  = D \Big[ \int_{a_N}^1 z(x)\, dx - \sum_{k=1}^N (a_{k-1} - a_k)\, z(a_k) \Big].$$

The integral comes first, because z increases and $a_k$ is the left end of its cell. Conditional
entropies $h_m = \mathbb{E}\, H(X_i \mid X_S)$, $|S| = m$, decrease. With them the same number is
$D [ \sum_k (a_{k-1} - a_k)\, h(a_k) - \int_{a_N}^1 h ]$, the sum first.

The integral is a rational combination of the curve,
$\int_a^1 z = \frac1D \sum_m Z_m\, P(\mathrm{Bin}(D, a) \le m)$, hence
$\int_0^1 z = \frac1D \sum_m Z_m$.

Since z increases, the gap is at most $\max_k (a_{k-1} - a_k) \cdot \sum_i I(X_i; X_{-i})$. On the
equispaced grid this is of order 1/N for every law. The gap is the divergence of the paths, an upper
bound of $\mathrm{KL}(q_0 \| \mathrm{out}_N)$ (`jump_your_steps.py`).

Source: Chen, Cong and Li (COLT 2026), in the form for time grids. Hypotheses: any law, zeros
included, any grid, start $q_T$ (which is the all-mask state if $a_N = 0$).
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch

from di4c import exact
from di4c.processes import MaskedProcess
from theory.claim import Record, claim
from theory.samplers.unmasking.information_curve import Value, information_curve
from theory.tools import oracle
from theory.tools.exact_logs import LogSum, entropy, kl, restrict, total
from theory.tools.laws import rational_law
from theory.tools.oracle import Law

Survivals = Sequence[Fraction]


def path_divergence(law: Law, survivals: Survivals) -> LogSum:
    """The left side by its definition: the sum of E KL(true row || product of its marginals)."""
    num_values = 1 + max(map(max, law))
    laws, kernels = [law], []
    for k, (earlier, later) in enumerate(itertools.pairwise(survivals)):
        kernels.append(oracle.masked_kernel(later / earlier, num_values, from_data=k == 0))
        laws.append(oracle.noised(laws[-1], kernels[-1]))
    terms = []
    for law_s, law_t, kernel in zip(laws, laws[1:], kernels, strict=False):
        for x_t, p in law_t.items():
            if p:
                row = oracle.reverse_row(law_s, kernel, x_t)
                terms.append(p * kl(row, oracle.independent(row)))
    return total(terms)


def bernstein(curve: Sequence[Value], x: Fraction) -> Value:
    """The Bernstein polynomial z of the curve at x."""
    n = len(curve) - 1
    weights = (math.comb(n, m) * x**m * (1 - x) ** (n - m) for m in range(n + 1))
    return sum((w * value for w, value in zip(weights, curve, strict=True)), 0 * curve[0])


def bernstein_integral(curve: Sequence[Value], first: Fraction = Fraction(0)) -> Value:
    r"""$\int_a^1 z = \frac1D \sum_m Z_m\, P(\mathrm{Bin}(D, a) \le m)$."""
    num_dims = len(curve)
    result, at_most = 0 * curve[0], Fraction(0)
    for m, value in enumerate(curve):
        at_most += math.comb(num_dims, m) * first**m * (1 - first) ** (num_dims - m)
        result = result + at_most / num_dims * value
    return result


def monomials(curve: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients of z in powers of x."""
    n = len(curve) - 1
    coefficients = [Fraction(0)] * (n + 1)
    for m, value in enumerate(curve):
        for j in range(n - m + 1):
            coefficients[m + j] += (-1) ** j * math.comb(n, m) * math.comb(n - m, j) * value
    return coefficients


def time_grid_form(curve: Sequence[Value], survivals: Survivals) -> Value:
    """The right side: D times (the integral minus the left Riemann sum)."""
    gap = bernstein_integral(curve, survivals[-1])
    for earlier, later in itertools.pairwise(survivals):
        gap = gap - (earlier - later) * bernstein(curve, later)
    return len(curve) * gap


def entropy_curve(law: Law) -> list[LogSum]:
    """h_m = E H(X_i | X_S) with |S| = m. It decreases, and h_m = h_0 - Z_m."""
    n = len(next(iter(law)))
    curve = []
    for m in range(n):
        subsets = list(itertools.combinations(range(n), m))
        terms = [
            entropy(restrict(law, [*s, i])) - entropy(restrict(law, s))
            for s in subsets
            for i in range(n)
            if i not in s
        ]
        curve.append(Fraction(1, len(terms)) * total(terms))
    return curve


def laws_and_grids() -> Iterator[tuple[Law, Survivals]]:
    """Small rational laws with random grids; every other grid ends at complete noise."""
    rng = random.Random(0)
    for (num_dims, num_values), least in itertools.product(((2, 2), (2, 3), (3, 2)), (1, -1)):
        law = rational_law(rng, num_dims, num_values, least)
        for num_steps in (1, 2, 3):
            inner = sorted(rng.sample(range(1, 24), num_steps), reverse=True)
            survivals = [Fraction(1), *(Fraction(a, 24) for a in inner)]
            yield law, survivals
            yield law, [*survivals[:-1], Fraction(0)]


@claim(
    "time-grid-kl",
    "Masked steps on a time grid cost D [int_{a_N}^1 z - sum_k (a_{k-1} - a_k) z(a_k)] along the "
    "paths.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="products of the true marginals, start q_T, any law, any grid with survival "
    "probabilities a_k. z is the Bernstein polynomial of the information curve. The cost is sum_k "
    "E TC(x_{k-1} | x_k); without rounding",
)
def verify_exactly(record: Record) -> None:
    for law, survivals in laws_and_grids():
        right = time_grid_form(information_curve(law), survivals)
        record.equal(path_divergence(law, survivals), right, 0, f"survivals {survivals}")


@claim(
    "time-grid-kl-dense",
    "The exact engine's reverse kernels give the same cost of masked steps on a time grid.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="as for time-grid-kl; dense kernels in float64",
)
def verify_dense_kernels(record: Record) -> None:
    rng = random.Random(1)
    for num_dims, num_values in ((3, 2), (4, 2), (2, 4)):
        law = rational_law(rng, num_dims, num_values)
        curve = [float(z) for z in information_curve(law)]
        q_0 = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
        process = MaskedProcess(num_values)
        for grid in ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.03, 0.9], [0.0, 0.5, 0.51, 0.8]):
            path = 0.0
            for s, t in itertools.pairwise(grid):
                rows = exact.reverse_kernel(process, q_0, s, t)
                products = exact.product_kernel(exact.posterior_marginals(process, q_0, s, t))
                divergence = exact.kl(rows, products)
                weight = exact.forward_law(process, q_0, t)
                path += float((weight * divergence).where(weight > 0, 0.0).sum())
            right = time_grid_form(curve, [1 - t for t in grid])
            record.equal(path, right, 1e-12, f"grid {grid}")


@claim(
    "time-grid-integral",
    "The Bernstein polynomial of a curve has int_a^1 z = sum_m Z_m P(Bin(D, a) <= m) / D.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="any curve, D = 1..8; z is expanded in powers of x and integrated term by term, "
    "without rounding",
)
def verify_integral(record: Record) -> None:
    rng = random.Random(2)
    for num_dims in range(1, 9):
        curve = [Fraction(rng.randint(0, 99), 7) for _ in range(num_dims)]
        coefficients = monomials(curve)
        for k in range(num_dims + 1):  # D + 1 points determine a polynomial of degree D - 1
            x = Fraction(k, num_dims)
            power_sum = sum(c * x**j for j, c in enumerate(coefficients))
            record.equal(power_sum, bernstein(curve, x), 0, f"z({x}), D = {num_dims}")
        for first in (Fraction(0), Fraction(1, 5), Fraction(2, 3), Fraction(1)):
            literal = sum(c * (1 - first**j) / j for j, c in enumerate(coefficients, start=1))
            what = f"a = {first}, D = {num_dims}"
            record.equal(literal, bernstein_integral(curve, first), 0, what)
        mean = sum(curve) / num_dims
        record.equal(bernstein_integral(curve), mean, 0, f"mean of the curve, D = {num_dims}")


@claim(
    "time-grid-orientation",
    "False in general: the cost is D [sum_k (a_{k-1} - a_k) z(a_k) - int z], the sum first. That "
    "has the wrong sign, except for conditional entropies.",
    group="fails",
    source="this project",
    hypotheses="z from mutual informations, as in the definition of the information curve; two "
    "steps or more",
)
def verify_orientation(record: Record) -> None:
    for law, survivals in laws_and_grids():
        left = path_divergence(law, survivals)
        record.equal(
            left, -time_grid_form(entropy_curve(law), survivals), 0, "with conditional entropies"
        )
        if len(survivals) > 2:
            record.exceeds(
                left,
                -time_grid_form(information_curve(law), survivals),
                1e-3,
                "with mutual informations",
            )


@claim(
    "time-grid-bound",
    "Masked steps on a time grid cost at most max_k (a_{k-1} - a_k) * sum_i I(X_i; X_-i) along the "
    "paths.",
    group="beyond",
    source="this project",
    hypotheses="start q_T, any law, any grid with survival probabilities a_k; because z increases",
)
def verify_largest_gap_bound(record: Record) -> None:
    for law, survivals in laws_and_grids():
        curve = information_curve(law)
        largest = max(a - b for a, b in itertools.pairwise(survivals))
        bound = largest * len(curve) * curve[-1]
        record.at_most(path_divergence(law, survivals), bound, f"survivals {survivals}")
