r"""Lemma 1: one product step errs by O(eps^2), with the constant.

K = q_{t-eps|t} is the true reverse kernel, P the product of its marginals, R the rates of one
coordinate ([from, to]), q = q_t. At fixed t > 0 and q(x) > 0, for any S and D,

  (K - P)(. | x) = eps^2 Delta_x + O(eps^3),
  Delta_x = sum_{d<e, u, v} kappa (delta_{x^{uv}} - delta_{x^u} - delta_{x^v} + delta_x),
  kappa = R(u, x_d) R(v, x_e) [ q(x^{uv}) / q(x) - q(x^u) q(x^v) / q(x)^2 ],

x^{uv} being x with x_d = u != its value and x_e = v != its value. At S = D = 2 this reads
TV / eps^2 -> 2 r_1 r_2 |det q| / q(x)^2 with r_d the rate into x_d. The paper has the order; the
constant is beyond it, and it is what makes the limit of N TV computable (any_law.py). For a
masked pair the step error is ((alpha_s - alpha_t) / (1 - alpha_t))^2 d_12 at any eps, with
d_12 = TV(p_0, p_0^1 x p_0^2).

The lemma holds at fixed t and x. Uniformly it needs full support: on HALF = (00 + 11)/2 the error
at t = eps is 1/2 for every eps.
"""

import itertools
import random
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from di4c import exact
from di4c.exact.limits import one_step_defect
from di4c.processes import (
    ForwardProcess,
    UniformProcess,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import ExponentialSchedule
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import as_dict, random_law
from theory.tools.laws import cycle, rational_law, rational_rates
from theory.tools.oracle import Law, Number, State
from theory.tools.power_series import Series

Rates = Sequence[Sequence[Number]]


def flipped(x: State, *changes: tuple[int, int]) -> State:
    """X with the given (coordinate, value) pairs replaced."""
    values = list(x)
    for d, u in changes:
        values[d] = u
    return tuple(values)


def kappa(law: Law, rates: Rates, x: State, first: tuple[int, int], second: tuple[int, int]):
    """The weight of the double flip x -> x^{uv}; first = (d, u), second = (e, v)."""
    speed = rates[first[1]][x[first[0]]] * rates[second[1]][x[second[0]]]
    joint = law[flipped(x, first, second)] / law[x]
    return speed * (joint - law[flipped(x, first)] * law[flipped(x, second)] / law[x] ** 2)


def defect(law: Law, rates: Rates, x: State) -> Law:
    """Delta_x by the closed form, in the number type of the law."""
    result = dict.fromkeys(law, 0 * law[x])
    for d, e in itertools.combinations(range(len(x)), 2):
        for u, v in itertools.product(range(len(rates)), repeat=2):
            if u == x[d] or v == x[e]:
                continue
            weight = kappa(law, rates, x, (d, u), (e, v))
            for target, sign in (
                (flipped(x, (d, u), (e, v)), 1),
                (flipped(x, (d, u)), -1),
                (flipped(x, (e, v)), -1),
                (x, 1),
            ):
                result[target] += sign * weight
    return result


def expansion(law: Law, rates: Rates, x: State) -> dict[State, Series]:
    """(K - P)(. | x) up to eps^2, by running the oracle on power series in eps."""

    def kernel(direction: int) -> list[list[Series]]:
        """exp(+-eps R) up to eps^2."""
        size = range(len(rates))
        square = [[sum(rates[i][k] * rates[k][j] for k in size) for j in size] for i in size]
        return [
            [Series((int(i == j), direction * rates[i][j], square[i][j] / 2)) for j in size]
            for i in size
        ]

    earlier = oracle.noised(law, kernel(-1))  # the flow of the noise, run back by eps
    row = oracle.reverse_row(earlier, kernel(1), x)
    product = oracle.independent(row)
    return {y: row[y] - product[y] for y in row}


def step_error(process: ForwardProcess, q_0: Tensor, s: float, t: float) -> Tensor:
    """K - P for every x_t, by the exact engine, [x_t, x_s]."""
    truth = exact.reverse_kernel(process, q_0, s, t)
    return truth - exact.product_kernel(exact.posterior_marginals(process, q_0, s, t))


@claim(
    "lemma1-constant",
    "(K - P)(.|x) = eps^2 Delta_x + O(eps^3), Delta_x from kappa, any S, D, rates",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="fixed t > 0 and x with q_t(x) > 0",
)
def verify_constant(record: Record) -> None:
    """The coefficients of 1, eps and eps^2, with no rounding."""
    rng = random.Random(0)
    for num_dims, num_states in ((2, 2), (2, 2), (2, 3), (3, 2), (2, 4), (4, 2), (3, 3)):
        law = rational_law(rng, num_dims, num_states)
        rates = rational_rates(rng, num_states)
        for x in rng.sample(list(law), min(8, len(law))):
            right = defect(law, rates, x)
            for y, left in expansion(law, rates, x).items():
                what = f"S = {num_states}, D = {num_dims}: ({y} | {x})"
                for order, value in enumerate((0, 0, right[y])):
                    record.equal(left.coefficients[order], value, 0, f"eps^{order}, {what}")


@claim(
    "lemma1-binary",
    "S = D = 2: TV / eps^2 -> 2 r_1 r_2 |det q_t| / q_t(x)^2",
    group="beyond",
    source="this project",
    hypotheses="fixed t > 0 and x with q_t(x) > 0",
)
def verify_binary(record: Record) -> None:
    """S = D = 2: half the 1-norm of the eps^2 term is 2 r_1 r_2 |det q| / q(x)^2."""
    rng = random.Random(1)
    for _ in range(12):
        law, rates = rational_law(rng, 2, 2), rational_rates(rng, 2)
        determinant = law[0, 0] * law[1, 1] - law[0, 1] * law[1, 0]
        for x in law:
            left = sum(abs(c.coefficients[2]) for c in expansion(law, rates, x).values()) / 2
            into = [rates[1 - v][v] for v in x]
            right = 2 * into[0] * into[1] * abs(determinant) / law[x] ** 2
            record.equal(left, right, 0, f"TV / eps^2 at {x}")


def processes() -> list[tuple[str, ForwardProcess, int]]:
    """(name, process, D): reversible and not, constant and growing rates, rates that vanish."""
    return [
        ("two-state", two_state_process(0.4, 0.9), 3),
        ("uniform, S = 3", UniformProcess(3, ExponentialSchedule(1.0, 0.7)), 2),
        ("cycle, S = 3", cycle(integrated_rate=lambda t: t + t**2), 2),
        ("gaussian, S = 4", gaussian_process(4, rate_sigma=1.5, stationary_sigma=2.0), 2),
    ]


_TIME = {"gaussian, S = 4": 0.05}  # rates of order 10: early times


@claim(
    "lemma1-limit",
    "(K - P)(.|x) / eps^2 -> Delta_x in 1-norm along the engine's own kernels",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="rates continuous at t",
)
def verify_limit(record: Record) -> None:
    """Richardson in eps of the engine's (K - P) / eps^2, signed, against Delta_x, in 1-norm."""
    generator = torch.Generator().manual_seed(2)
    for name, process, num_dims in processes():
        q_0 = random_law(generator, process.num_states**num_dims)
        t = _TIME.get(name, 0.6)
        steps = [t / 100 / 2**k for k in range(4)]
        limit = extrapolate([step_error(process, q_0, t - h, t) / h**2 for h in steps])
        q_t = as_dict(exact.forward_law(process, q_0, t), num_dims, process.num_states)
        rates = current_rates(process, t)
        for x, left in zip(q_t, limit, strict=True):
            right = torch.tensor(list(defect(q_t, rates, x).values()), dtype=torch.float64)
            distance = (left - right).abs().sum() / right.abs().sum()
            record.equal(distance, 0, 1e-5, f"{name}: |left - right| / |right| at {x}")


def current_rates(process: ForwardProcess, t: float) -> list[list[float]]:
    """d/dt of the transition matrix at t, by central differences of the process itself."""
    slopes = []
    for h in (1e-2 * t, 5e-3 * t, 2.5e-3 * t, 1.25e-3 * t):
        eye = torch.eye(process.num_states, dtype=torch.float64)
        slopes.append((process.transition(t, t + h) - eye) / h)
    return extrapolate(slopes).tolist()


@claim(
    "lemma1-mean",
    "-sum_x q_t(x) Delta_x in one pass (one_step_defect) = term by term",
    group="beyond",
    source="this project",
    hypotheses="q_t > 0 everywhere",
)
def verify_mean(record: Record) -> None:
    """-sum_x q(x) Delta_x, term by term in rationals, against the vectorised one_step_defect."""
    rng = random.Random(3)
    for num_dims, num_states in ((1, 3), (2, 2), (2, 4), (3, 3), (4, 2), (5, 2)):
        law, rates = rational_law(rng, num_dims, num_states), rational_rates(rng, num_states)
        mean = dict.fromkeys(law, Fraction(0))
        for x, mass in law.items():
            for y, value in defect(law, rates, x).items():
                mean[y] -= mass * value
        vector = one_step_defect(_float(law.values()), _float(map(list, rates)))
        for y, right in zip(law, vector.tolist(), strict=True):
            record.equal(float(mean[y]), right, 1e-13, f"S = {num_states}, D = {num_dims}: {y}")


def _float(numbers: object) -> Tensor:
    rows = [[float(v) for v in n] if isinstance(n, list) else float(n) for n in numbers]
    return torch.tensor(rows, dtype=torch.float64)


def masked_step_error(law: Law, alpha_s: Fraction, alpha_t: Fraction, x_t: State) -> Fraction:
    """TV(K, P) of one masked step, by the oracle."""
    num_values = max(map(max, law)) + 1
    earlier = oracle.noised(law, oracle.masked_kernel(alpha_s, num_values, from_data=True))
    kernel = oracle.masked_kernel(alpha_t / alpha_s, num_values)
    row = oracle.reverse_row(earlier, kernel, x_t)
    return oracle.total_variation(row, oracle.independent(row)) if row else Fraction(0)


@claim(
    "lemma1-masked",
    "masked pair: TV(K, P) = ((alpha_s - alpha_t) / (1 - alpha_t))^2 d_12, any eps",
    group="beyond",
    source="this project",
    hypotheses="D = 2, x_t = (mask, mask); 0 at every other x_t; zeros in p_0 allowed",
)
def verify_masked(record: Record) -> None:
    """Any vocabulary, any p_0 (zeros too), any eps: exact; with one mask left the step is exact."""
    rng = random.Random(4)
    for num_values, (s, t) in itertools.product((2, 3, 4), ((1, 2), (3, 4), (9, 10), (1, 9))):
        law = rational_law(rng, 2, num_values, least=0)
        alpha_s, alpha_t = 1 - Fraction(s, 10), 1 - Fraction(t, 10)
        dependence = oracle.total_variation(law, oracle.independent(law))
        for x_t in oracle.all_states(2, num_values + 1):
            both = x_t == (num_values, num_values)
            right = ((alpha_s - alpha_t) / (1 - alpha_t)) ** 2 * dependence if both else 0
            left = masked_step_error(law, alpha_s, alpha_t, x_t)
            record.equal(left, right, 0, f"S = {num_values}, t = {t}/10: TV at {x_t}")


def first_step_error(law: Law, redraw: Fraction) -> Fraction:
    """max_x TV(K, P) of the last generation step (s = 0, t = eps) under uniform noise."""
    kernel = oracle.uniform_kernel(1 - redraw, 2)
    rows = [oracle.reverse_row(law, kernel, x) for x in law]
    return max(oracle.total_variation(row, oracle.independent(row)) for row in rows)


@claim(
    "lemma1-uniformly",
    "False in general: max_x TV(K, P) = O(eps^2) also at t = eps; on HALF it is 1/2",
    group="fails",
    source="this project",
    hypotheses="Lemma 1 is pointwise in t, x; uniform only with full support",
)
def verify_pointwise(record: Record) -> None:
    """HALF: error 1/2 at t = eps for every eps; full support: at most C eps^2."""
    half = oracle.law_from([Fraction(1, 2), Fraction(0), Fraction(0), Fraction(1, 2)], 2, 2)
    quarter = Fraction(1, 4)
    full = {x: (half[x] + quarter / 10) / Fraction(11, 10) for x in half}
    # Into 01 a coordinate flips at 1/2 a redraw: the binary constant at t = 0, at the worst state.
    constant = (full[0, 0] ** 2 - full[0, 1] ** 2) / full[0, 1] ** 2 / 2
    for k in range(6, 22):
        bound = constant / 4**k
        error = first_step_error(half, Fraction(1, 2**k))
        record.equal(error, Fraction(1, 2), 0, f"HALF, eps = 2^-{k}")
        record.exceeds(error, bound, 0.4, f"HALF above C eps^2, eps = 2^-{k}")
        error = first_step_error(full, Fraction(1, 2**k))
        record.at_most(error, bound, f"full support: C eps^2, eps = 2^-{k}")
