r"""Uniform pair: the N-step error of two symmetric bits in closed form, on every grid.

Write the bits as spins $s_1, s_2 = \pm 1$. The law $p_0(s_1, s_2) = (1 + \theta s_1 s_2)/4$ stays
symmetric under uniform noise; at $t_k$ its correlation is $w_k = \theta\alpha_k^2$. (A constant
flip rate r means $\alpha = e^{-2rt}$.) With $\psi = \operatorname{artanh} w$,

$$TV_N = \frac{\prod_k \cosh 2(\psi_{k-1} - \psi_k) - 1}{2 \sinh 2\psi_0}$$

if the sampler starts from the noised data. If it starts from the uniform prior, the product gains
the factor $\cosh 2\psi_N$, as from one more step that begins at infinite time. For two bits that
always agree, $\theta = 1$, the limit is
$\tfrac12 \frac{1 - w_1}{1 + w_1} \prod_{k \ge 2} \cosh 2(\psi_{k-1} - \psi_k)$.

The right side is a rational function of w, so it is checked without rounding. For $\theta = 1$,
$\alpha = 1 - t$ and N = 1, ..., 4 equal steps it is 1/2, 17/50, 136489/540800, 16090513/81281250.

Proof: a product step maps the correlation of its input to an affine function of it. In terms of
$\psi$ these affine maps compose by addition formulas.

Theorem 1 of the paper states the orders O(1/N) and Omega(1/N). The identity is beyond it.
"""

import itertools
import random
from fractions import Fraction

from flint import arb

from di4c.exact.pairs import UniformPair, uniform_tv
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.enclosures import ball, distance, precision
from theory.tools.pair_cases import SCHEDULES, enumerated_tv, random_grid, rational_alphas

THETAS = [Fraction(n, 10) for n in (10, 9, 5, 1, 0, -3, -10)]
EQUAL_BITS_VALUES = [
    Fraction(1, 2),
    Fraction(17, 50),
    Fraction(136489, 540800),
    Fraction(16090513, 81281250),
]


def symmetric_law(theta: Fraction) -> oracle.Law:
    r"""The law $(1 + \theta s_1 s_2)/4$ on two bits."""
    return oracle.law_from([(1 + sign * theta) / 4 for sign in (1, -1, -1, 1)], 2, 2)


def sampler_tv(theta: Fraction, alphas: list[Fraction], *, from_prior: bool) -> Fraction:
    """Left side: TV_N of the enumerated sampler, in rational arithmetic."""
    kernels = [oracle.uniform_kernel(b / a, 2) for a, b in itertools.pairwise(alphas)]
    law = symmetric_law(theta)
    start = symmetric_law(Fraction(0)) if from_prior else None
    return oracle.total_variation(oracle.compose(law, kernels, start), law)


def closed_form(theta: Fraction, alphas: list[Fraction], *, from_prior: bool) -> Fraction:
    """Right side: the closed form as a rational function of w."""
    return uniform_tv([theta * a * a for a in alphas], "prior" if from_prior else "q_T")


def hyperbolic_form(theta: Fraction, alphas: list[arb], *, from_prior: bool = False) -> arb:
    """The closed form as written in the module docstring, in ball arithmetic."""
    psi = [(ball(theta) * a * a).atanh() for a in alphas]
    product = (2 * psi[-1]).cosh() if from_prior else ball(1)
    for a, b in itertools.pairwise(psi):
        product *= (2 * (a - b)).cosh()
    return (product - 1) / (2 * (2 * psi[0]).sinh())


def _verify_exact(record: Record, *, from_prior: bool) -> None:
    draw = random.Random(21)
    for theta, num_steps in itertools.product(THETAS, (1, 2, 3, 4)):
        for to_zero in (True, False):
            alphas = rational_alphas(draw, num_steps, to_zero=to_zero)
            left = sampler_tv(theta, alphas, from_prior=from_prior)
            right = closed_form(theta, alphas, from_prior=from_prior)
            record.equal(left, right, 0, f"theta={theta}, alphas={[str(a) for a in alphas]}")


@claim(
    "uniform-pair",
    "Uniform pair of correlation theta: TV_N = [prod_k cosh 2(psi_{k-1} - psi_k) - 1] / "
    "(2 sinh 2 psi_0), with psi_k = artanh(theta alpha_k^2).",
    group="sharper",
    source="Theorem 1; the identity: this project",
    hypotheses="two bits, symmetric p_0, theta in [-1, 1]; any grid; start q_T; exact rationals",
)
def _verify_from_data(record: Record) -> None:
    _verify_exact(record, from_prior=False)


@claim(
    "uniform-pair-prior",
    "Uniform pair, started from the uniform prior: the product of uniform-pair gains the factor "
    "cosh 2 psi_N.",
    group="beyond",
    source="this project",
    hypotheses="two bits, symmetric p_0, theta in [-1, 1]; any grid; exact rationals",
)
def _verify_from_prior(record: Record) -> None:
    _verify_exact(record, from_prior=True)


@claim(
    "uniform-pair-equal-bits",
    "Two bits that always agree, uniform noise, alpha = 1 - t: TV_N is 1/2, 17/50, 136489/540800 "
    "and 16090513/81281250 for N = 1, 2, 3, 4.",
    group="beyond",
    source="this project",
    hypotheses="theta = 1, where psi_0 is infinite; uniform grid; start q_T; exact rationals",
)
def _verify_equal_bits(record: Record) -> None:
    for num_steps, value in enumerate(EQUAL_BITS_VALUES, start=1):
        alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
        left = sampler_tv(Fraction(1), alphas, from_prior=False)
        record.equal(left, value, 0, f"sampler, N={num_steps}")
        record.equal(closed_form(Fraction(1), alphas, from_prior=False), value, 0, "closed form")


@claim(
    "uniform-pair-hyperbolic",
    "Uniform pair: the closed form with hyperbolic functions equals a rational function of "
    "w_k = theta alpha_k^2.",
    group="beyond",
    source="this project",
    hypotheses="0 < theta < 1; rigorous error bounds below 1e-25",
)
def _verify_hyperbolic(record: Record) -> None:
    """Both forms in ball arithmetic, from both starts."""
    draw = random.Random(22)
    with precision():
        for theta in (Fraction(1, 1000), Fraction(3, 10), Fraction(99, 100)):
            for num_steps in (1, 3, 20):
                alphas = rational_alphas(draw, num_steps, to_zero=False)
                balls = [ball(alpha) for alpha in alphas]
                for from_prior in (False, True):
                    left = hyperbolic_form(theta, balls, from_prior=from_prior)
                    right = closed_form(theta, alphas, from_prior=from_prior)
                    what = f"theta={theta}, N={num_steps}, prior={from_prior}"
                    record.vanishes(distance(left, right), 1e-25, what)


@claim(
    "uniform-pair-schedules",
    "Uniform pair: the closed form is the error of the float64 sampler for five schedules, both "
    "starts and N up to 256.",
    group="beyond",
    source="this project",
    hypotheses="two bits, symmetric p_0; any decreasing alpha, since only w = theta alpha^2 enters",
)
def _verify_schedules(record: Record) -> None:
    draw = random.Random(23)
    for schedule, theta in itertools.product(SCHEDULES, (1.0, 0.9, -0.4, 1e-6)):
        for start in ("q_T", "prior"):
            pair = UniformPair(theta=theta, schedule=schedule, start=start)
            grids = [random_grid(draw, num_steps, schedule.horizon) for num_steps in (2, 7, 40)]
            grids += [uniform_grid(n, schedule.horizon).tolist() for n in (1, 16, 256)]
            for grid in grids:
                what = f"{schedule}, theta={theta}, {start}, N={len(grid) - 1}"
                record.equal(enumerated_tv(pair, grid), pair.closed_form(grid), 1e-13, what)
