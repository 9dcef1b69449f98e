r"""Kullback-Leibler rates: 1/N^2 for the output, 1/N for the paths; Pinsker gives only N^{-1/2}.

N product steps on the uniform grid, start $q_T$, $q_0$ with full support. Theorem 1 says that the
total variation of the output falls like 1/N. Then its divergence falls like the square,

$$N^2\, \mathrm{KL}(q_0 \| \mathrm{out}_N) \to \frac{T^2}{2} \sum_x \frac{V(x)^2}{q_0(x)}, \qquad
  N (\mathrm{out}_N - q_0) \to T V \text{ (`any_law.py`)},$$

while the divergence of the paths, $\sum_k \mathbb{E}\, \mathrm{TC}(x_{t_{k-1}} | x_{t_k})$, the
quantity that the theory of samplers bounds, falls like 1/N only:

- noise with rates R(from, to):
  $N \cdot \text{path} \to T \int_0^T \mathbb{E}_{x \sim q_t} \sum_{d<e} \sum_{u, v}
  [a \log(a/b) - a + b]\, dt$, with the reverse rate of the double jump
  $a = R(u, x_d) R(v, x_e)\, q_t(x^{uv}) / q_t(x)$ and of two independent ones
  $b = R(u, x_d) R(v, x_e)\, q_t(x^u) q_t(x^v) / q_t(x)^2$;
- masked noise, linear: $N \cdot \text{path} \to \frac12 \sum_i I(X_i; X_{-i})$, zeros allowed.

Pinsker's inequality $TV \le \sqrt{\mathrm{KL}/2}$ turns the path rate into $N^{-1/2}$: bounds on
paths do not imply Theorem 1. Without full support the output divergence itself falls like 1/N: for
HALF it is $-\log(1 - TV_N)$.

Source: this project. Checked by Richardson limits, increments and two-sided bounds.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from flint import acb, arb
from scipy.integrate import quad
from torch import Tensor

from di4c.exact import forward_law, kl, product_composition, total_variation
from di4c.exact.laws import infer_num_dims
from di4c.exact.limits import limit_direction
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    two_state_process,
)
from di4c.schedules import ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.samplers.jump_your_steps import step_total_correlations
from theory.tools import oracle
from theory.tools.enclosures import ball, integral, precision
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law
from theory.tools.laws import sparse_law

STEPS = (4, 8, 16, 32)


@dataclass(frozen=True)
class Divergences:
    """Of N product steps on the uniform grid: output and path, TV and chi-square of the output."""

    output: float
    path: float
    variation: float
    chi_square: float


def divergences(process: ForwardProcess, q_0: Tensor, num_steps: int) -> Divergences:
    """Left sides: the sampler itself, and its steps one by one."""
    grid = uniform_grid(num_steps, process.horizon)
    law = product_composition(process, q_0, grid)
    return Divergences(
        float(kl(q_0, law)),
        math.fsum(step_total_correlations(process, q_0, grid)),
        float(total_variation(q_0, law)),
        float(((q_0 - law) ** 2 / law).sum()),
    )


def output_limit(process: ForwardProcess, q_0: Tensor) -> float:
    r"""Right side: $\frac{T^2}{2} \sum_x V(x)^2 / q_0(x)$."""
    direction = process.horizon * limit_direction(process, q_0)
    return float((direction**2 / q_0).sum()) / 2


def path_limit(process: RateMatrixProcess, q_0: Tensor) -> float:
    """Right side for noise with constant rates: the integral of the double-jump divergence."""
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
    r"""Right side for linear masked noise: $\frac12 \sum_i I(X_i; X_{-i})$."""
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
    r"""The path limit of the symmetric pair (E2), enclosed.

    With $w = \theta e^{-4rt}$ and $\rho = (1 - w) / (1 + w)$, $a = r^2$ and $b = r^2 \rho^{\pm 2}$:
    $T r^2 \int_0^T [\frac{1+w}{2} (\rho^2 - 1 - 2 \log\rho) + \frac{1-w}{2} (\rho^{-2} - 1 +
    2 \log\rho)]\, dt$.
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
    r"""$2 L^2 / (1 - \theta^2)$ with L the limit of N TV of the symmetric pair (E2), enclosed.

    Output and data differ in the correlation alone, by $2\,TV$, and the divergence of two symmetric
    pairs is half its square over $1 - \theta^2$ to second order.
    """
    with precision():
        decay = (-8 * ball(rate) * ball(horizon)).exp()
        variation = ball(rate * horizon * theta) * (1 - decay) / (1 - ball(theta**2) * decay)
        return 2 * variation**2 / ball(1 - theta**2)


@dataclass(frozen=True)
class Case:
    """A process with a full-support law, measured for N in STEPS, and its predicted limits."""

    name: str
    process: ForwardProcess
    q_0: Tensor
    path_limit: float
    measured: list[Divergences]

    @functools.cached_property
    def output_limit(self) -> float:
        """See output_limit."""
        return output_limit(self.process, self.q_0)


@functools.cache
def full_support_cases() -> list[Case]:
    """Masked and other noise, two and three dimensions."""
    rng = torch.Generator().manual_seed(0)
    bits, ternary = (random_law(rng, n, spread=0.3) for n in (8, 9))
    rates = [[-0.7, 0.4, 0.3], [0.2, -0.5, 0.3], [0.1, 0.6, -0.7]]  # not reversible
    three = RateMatrixProcess(torch.tensor(rates, dtype=torch.float64), 0.6)
    two = two_state_process(0.4, 1.1, 0.6)
    listed: list[tuple[str, ForwardProcess, Tensor, float]] = [
        ("masked, three bits", MaskedProcess(2), bits, masked_path_limit(bits, 2)),
        ("masked, S = 3", MaskedProcess(3), ternary, masked_path_limit(ternary, 3)),
        ("three states, a pair", three, ternary, path_limit(three, ternary)),
        ("two states, three bits", two, bits, path_limit(two, bits)),
    ]
    return [
        Case(name, process, q_0, limit, [divergences(process, q_0, n) for n in STEPS])
        for name, process, q_0, limit in listed
    ]


def _check_limit(record: Record, values: Sequence[float], limit: float, name: str) -> None:
    """A Richardson limit to 1e-4 relative, and increments below limit / N: no logarithm."""
    record.equal(extrapolate(values) / limit, 1.0, 1e-4, f"limit, {name}")
    for n, (before, after) in zip(STEPS, itertools.pairwise(values), strict=False):
        record.at_most(n * abs(after - before), limit, f"increments, {name}")


@claim(
    "output-kl-rate",
    "N^2 KL(q_0 || out_N) -> (T^2 / 2) sum_x V(x)^2 / q_0(x)",
    group="beyond",
    source="this project",
    hypotheses="full support, uniform grid, start q_T; Richardson 1e-4, increments < limit / N",
)
def verify_output(record: Record) -> None:
    for case in full_support_cases():
        values = [n**2 * m.output for n, m in zip(STEPS, case.measured, strict=True)]
        _check_limit(record, values, case.output_limit, case.name)


@claim(
    "path-kl-rate",
    "N sum_k E TC(x_{k-1}|x_k) -> double-jump integral; masked: sum_i I(X_i;X_-i)/2",
    group="beyond",
    source="this project",
    hypotheses="uniform grid; full support and constant rates, or masked, linear, any law",
)
def verify_path(record: Record) -> None:
    for case in full_support_cases():
        values = [n * m.path for n, m in zip(STEPS, case.measured, strict=True)]
        _check_limit(record, values, case.path_limit, case.name)
    rng = torch.Generator().manual_seed(4)
    for num_values, num_dims in ((2, 3), (2, 4), (3, 2)):
        q_0, process = sparse_law(rng, num_dims, num_values), MaskedProcess(num_values)
        steps = [step_total_correlations(process, q_0, uniform_grid(n)) for n in STEPS]
        values = [n * math.fsum(terms) for n, terms in zip(STEPS, steps, strict=True)]
        what = f"masked, {int((q_0 == 0).sum())} zeros of {len(q_0)}"
        _check_limit(record, values, masked_path_limit(q_0, num_values), what)


@claim(
    "output-kl-two-sided",
    "2 TV^2 <= KL(q_0 || out_N) <= chi^2, both ends of order 1/N^2",
    group="beyond",
    source="Pinsker; chi-square",
    hypotheses="full support; N = 4..32",
)
def verify_two_sided(record: Record) -> None:
    for case in full_support_cases():
        for n, m in zip(STEPS, case.measured, strict=True):
            what, limit = f"{case.name}, N = {n}", case.output_limit
            record.at_most(2 * m.variation**2, m.output, f"Pinsker, {what}")
            record.at_most(m.output, m.chi_square, f"chi-square, {what}")
            record.at_most(0.2 * limit, n**2 * 2 * m.variation**2, f"order below, {what}")
            record.at_most(n**2 * m.chi_square, 3 * limit, f"order above, {what}")


@claim(
    "pair-kl-rates",
    "both limits of the symmetric pair, enclosed",
    group="beyond",
    source="this project; E2",
    hypotheses="uniform noise at rate r, |theta| < 1",
)
def verify_enclosed_pair(record: Record) -> None:
    for theta, rate, horizon in (
        (Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)),
        (Fraction(-3, 5), Fraction(1, 4), Fraction(3, 4)),
    ):
        schedule = ExponentialSchedule(float(horizon), rate=2 * float(rate))
        w = float(theta)
        q_0 = torch.tensor([1 + w, 1 - w, 1 - w, 1 + w], dtype=torch.float64) / 4
        measured = [divergences(UniformProcess(2, schedule), q_0, n) for n in STEPS]
        output = pair_output_limit(theta, rate, horizon)
        values = [n**2 * m.output for n, m in zip(STEPS, measured, strict=True)]
        _check_limit(record, values, float(output.mid()), f"output, theta = {theta}")
        path = pair_path_limit(theta, rate, horizon)
        values = [n * m.path for n, m in zip(STEPS, measured, strict=True)]
        _check_limit(record, values, float(path.mid()), f"path, theta = {theta}")
        for enclosed in (output, path):
            record.at_most(float(enclosed.rad()), 1e-25, f"radius, theta = {theta}")


@claim(
    "pinsker-from-paths",
    "False in general: path divergence and Pinsker give TV = O(1/N)",
    group="fails",
    source="this project",
    hypotheses="fails: they give sqrt(c / 2N), N times that grows by sqrt 2 a doubling",
)
def verify_pinsker(record: Record) -> None:
    """The bound from the paths, times N, grows like sqrt N; N TV_N does not."""
    for case in full_support_cases():
        bounds = [math.sqrt(m.path / 2) for m in case.measured]
        scaled = [math.sqrt(n) * b for n, b in zip(STEPS, bounds, strict=True)]
        limit = math.sqrt(case.path_limit / 2)
        record.equal(extrapolate(scaled), limit, 1e-5, f"N^(-1/2), {case.name}")
        grown = [n * b for n, b in zip(STEPS, bounds, strict=True)]
        for before, after in itertools.pairwise(grown):
            record.exceeds(after, before, 0.4 * before, f"growth, {case.name}")
        record.exceeds(grown[-1], 4 * STEPS[-1] * case.measured[-1].variation, 0.0, case.name)


@claim(
    "output-kl-without-support",
    "False in general: KL(q_0 || out_N) = O(1/N^2) for every law",
    group="fails",
    source="this project",
    hypotheses="fails for HALF: it is -log(1 - TV_N), of order 1/N",
)
def verify_half(record: Record) -> None:
    half = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for process in (MaskedProcess(2), UniformProcess(2, ExponentialSchedule(1.0))):
        for n in (4, 16):
            m, what = divergences(process, half, n), f"{type(process).__name__}, N = {n}"
            record.equal(m.output, -math.log1p(-m.variation), 1e-13, what)
            record.exceeds(n**2 * m.output, 0.3 * n, 0.0, f"N^2 KL grows, {what}")
