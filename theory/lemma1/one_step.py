r"""Lemma 1: one product step has an error of O(eps^2), and the constant of this order.

K = q_{t-eps|t} is the true reverse kernel, P the product of its marginals, R the matrix of rates of
one coordinate ([from, to]), q = q_t. At fixed t > 0 and q(x) > 0, for any S and D,

  (K - P)(. | x) = eps^2 Delta_x + O(eps^3),
  Delta_x = sum_{d<e, u, v} kappa (delta_{x^{uv}} - delta_{x^u} - delta_{x^v} + delta_x),
  kappa = R(u, x_d) R(v, x_e) [ q(x^{uv}) / q(x) - q(x^u) q(x^v) / q(x)^2 ],

Here x^{uv} is x with the value of x_d changed to u and that of x_e changed to v; x^u and x^v have
one of the two changes. At S = D = 2 this reads TV / eps^2 -> 2 r_1 r_2 |det q| / q(x)^2, where r_d
is the rate into x_d.

The paper states the order. The constant is beyond the paper; limits/any_law.py computes the limit
of N TV_N with it. exact_pairs.py has the exact error of a masked pair, and an example that shows
that the lemma does not hold uniformly in t.
"""

import functools
import itertools
import random
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from di4c import exact
from di4c.exact import one_step_defect
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
    """The state x with the given coordinates set to the given values, as (coordinate, value)."""
    values = list(x)
    for d, u in changes:
        values[d] = u
    return tuple(values)


def kappa(
    law: Law, rates: Sequence[Rates], x: State, first: tuple[int, int], second: tuple[int, int]
) -> Number:
    """The weight kappa of changing two coordinates at once; first = (d, u), second = (e, v)."""
    (d, u), (e, v) = first, second
    speed = rates[d][u][x[d]] * rates[e][v][x[e]]
    joint = law[flipped(x, first, second)] / law[x]
    return speed * (joint - law[flipped(x, first)] * law[flipped(x, second)] / law[x] ** 2)


def defect(law: Law, rates: Rates, x: State) -> Law:
    """Delta_x by its closed form, if all coordinates have the same rates."""
    return own_defect(law, [rates] * len(x), x)


def own_defect(law: Law, rates: Sequence[Rates], x: State) -> Law:
    """Delta_x by its closed form, with rates for each coordinate, in the number type of the law."""
    result = dict.fromkeys(law, 0 * law[x])
    for d, e in itertools.combinations(range(len(x)), 2):
        for u, v in itertools.product(range(len(rates[0])), repeat=2):
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
    """(K - P)(. | x) up to eps^2: the oracle computes with power series in eps."""

    def kernel(direction: int) -> list[list[Series]]:
        """The matrix exponential exp(direction * eps R) up to eps^2."""
        size = range(len(rates))
        square = [[sum(rates[i][k] * rates[k][j] for k in size) for j in size] for i in size]
        return [
            [Series((int(i == j), direction * rates[i][j], square[i][j] / 2)) for j in size]
            for i in size
        ]

    earlier = oracle.noised(law, kernel(-1))  # the law at time t - eps
    row = oracle.reverse_row(earlier, kernel(1), x)
    product = oracle.independent(row)
    return {y: row[y] - product[y] for y in row}


def step_error(process: ForwardProcess, q_0: Tensor, s: float, t: float) -> Tensor:
    """K - P for every x_t from the exact engine, [x_t, x_s]."""
    truth = exact.reverse_kernel(process, q_0, s, t)
    return truth - exact.product_kernel(exact.posterior_marginals(process, q_0, s, t))


Expansions = list[tuple[Law, Rates, State, dict[State, Series]]]


@functools.cache
def expansions() -> Expansions:
    """Random laws and rates with the expansion of (K - P)(. | x) at up to 8 states x each."""
    rng = random.Random(0)
    result: Expansions = []
    for num_dims, num_states in ((2, 2), (2, 2), (2, 3), (3, 2), (2, 4), (4, 2), (3, 3)):
        law = rational_law(rng, num_dims, num_states)
        rates = rational_rates(rng, num_states)
        for x in rng.sample(list(law), min(8, len(law))):
            result.append((law, rates, x, expansion(law, rates, x)))
    return result


@claim(
    "lemma1-order",
    "One product step has an error of order eps^2: TV(K(.|x), P(.|x)) = O(eps^2) for any S, D and "
    "rates.",
    group="paper",
    source="Lemma 1",
    hypotheses="fixed t > 0 and x with q_t(x) > 0; exact power series in eps",
)
def verify_order(record: Record) -> None:
    """The coefficients of 1 and eps vanish, without rounding."""
    for _, rates, x, difference in expansions():
        for y, left in difference.items():
            what = f"S = {len(rates)}, D = {len(x)}: ({y} | {x})"
            for order in (0, 1):
                record.vanishes(left.coefficients[order], 0, f"eps^{order}, {what}")


@claim(
    "lemma1-constant",
    "(K - P)(.|x) = eps^2 Delta_x + O(eps^3) for any S, D and rates. Delta_x is an explicit sum "
    "over pairs of coordinates.",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="fixed t > 0 and x with q_t(x) > 0; exact power series in eps",
)
def verify_constant(record: Record) -> None:
    """The coefficient of eps^2 is Delta_x, without rounding."""
    for law, rates, x, difference in expansions():
        right = defect(law, rates, x)
        for y, left in difference.items():
            what = f"S = {len(rates)}, D = {len(x)}: ({y} | {x})"
            record.equal(left.coefficients[2], right[y], 0, f"eps^2, {what}")


@claim(
    "lemma1-binary",
    "Two bits: TV(K(.|x), P(.|x)) / eps^2 -> 2 r_1 r_2 |det q_t| / q_t(x)^2, where r_d is the rate "
    "into x_d.",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="fixed t > 0 and x with q_t(x) > 0; exact power series in eps",
)
def verify_binary(record: Record) -> None:
    """Half the 1-norm of the eps^2 term is 2 r_1 r_2 |det q| / q(x)^2."""
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
    """(name, process, D): reversible or not, with constant, growing and vanishing rates."""
    return [
        ("two-state", two_state_process(0.4, 0.9), 3),
        ("uniform, S = 3", UniformProcess(3, ExponentialSchedule(1.0, 0.7)), 2),
        ("cycle, S = 3", cycle(integrated_rate=lambda t: t + t**2), 2),
        ("gaussian, S = 4", gaussian_process(4, rate_sigma=1.5, stationary_sigma=2.0), 2),
    ]


_TIME = {"gaussian, S = 4": 0.05}  # its rates are of order 10, so t must be small


@claim(
    "lemma1-limit",
    "(K - P)(.|x) / eps^2 -> Delta_x in 1-norm for the kernels of the library.",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="fixed t > 0 and x with q_t(x) > 0; rates continuous at t",
)
def verify_limit(record: Record) -> None:
    """(K - P) / eps^2 from the exact engine, extrapolated to eps = 0, against Delta_x."""
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
            record.vanishes(distance, 1e-5, f"{name}: |left - right| / |right| at {x}")


def current_rates(process: ForwardProcess, t: float) -> list[list[float]]:
    """The rates at time t: differences of the process's transition matrix, extrapolated."""
    slopes = []
    for h in (1e-2 * t, 5e-3 * t, 2.5e-3 * t, 1.25e-3 * t):
        eye = torch.eye(process.num_states, dtype=torch.float64)
        slopes.append((process.transition(t, t + h) - eye) / h)
    return extrapolate(slopes).tolist()


@claim(
    "lemma1-mean",
    "The library's one_step_defect, one vectorised pass, equals -sum_x q_t(x) Delta_x.",
    group="beyond",
    source="this project",
    hypotheses="q_t > 0 everywhere",
)
def verify_mean(record: Record) -> None:
    """The sum, term by term in rational numbers, against one_step_defect."""
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
