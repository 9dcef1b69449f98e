r"""E2: the N-step error of two symmetric spins under uniform noise, at every N, on every grid.

$p_0(s_1, s_2) = (1 + \theta s_1 s_2)/4$ stays symmetric, with correlation $w_k = \theta\alpha_k^2$
at $t_k$ (constant flip rate r: $\alpha = e^{-2rt}$). In $\psi = \operatorname{artanh} w$

$$TV_N = \frac{\prod_k \cosh 2(\psi_{k-1} - \psi_k) - 1}{2 \sinh 2\psi_0}$$

from the noised data; from the uniform prior the product gains a factor $\cosh 2\psi_N$, as if one
more step came from infinite time. At $\theta = 1$ (HALF) it is the limit
$\tfrac12 \frac{1 - w_1}{1 + w_1} \prod_{k \ge 2} \cosh 2(\psi_{k-1} - \psi_k)$. The right side is
rational in w, so that it is checked without any rounding: for $\alpha = 1 - t$, HALF and N equal
steps it is 1/2, 17/50, 136489/540800, 16090513/81281250 for N = 1..4.

Why: a product step maps the correlation c of its input to an affine function of c, and the true
correlation is not its fixed course; with $\psi$ the affine maps compose by addition formulas.
Beyond the paper, whose Theorem 1 gives the orders O(1/N) and Omega(1/N).
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
from theory.tools.pair_cases import SCHEDULES, random_grid, rational_alphas, survival
from theory.tools.pair_chain import uniform_chain_tv

THETAS = [Fraction(n, 10) for n in (10, 9, 5, 1, 0, -3, -10)]
HALF_VALUES = [
    Fraction(1, 2),
    Fraction(17, 50),
    Fraction(136489, 540800),
    Fraction(16090513, 81281250),
]


def symmetric_law(theta: Fraction) -> oracle.Law:
    r"""$(1 + \theta s_1 s_2)/4$ on two bits."""
    return oracle.law_from([(1 + sign * theta) / 4 for sign in (1, -1, -1, 1)], 2, 2)


def sampler_tv(theta: Fraction, alphas: list[Fraction], *, from_prior: bool) -> Fraction:
    """Left side: the sampler enumerated in rational arithmetic."""
    kernels = [oracle.uniform_kernel(b / a, 2) for a, b in itertools.pairwise(alphas)]
    law = symmetric_law(theta)
    start = symmetric_law(Fraction(0)) if from_prior else None
    return oracle.total_variation(oracle.compose(law, kernels, start), law)


def closed_form(theta: Fraction, alphas: list[Fraction], *, from_prior: bool) -> Fraction:
    """Right side: E2 as a rational function."""
    return uniform_tv([theta * a * a for a in alphas], "prior" if from_prior else "q_T")


def hyperbolic_form(theta: Fraction, alphas: list[arb], *, from_prior: bool = False) -> arb:
    """E2 as it is written, in ball arithmetic."""
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
    "TV_N = [prod_k cosh 2(psi_{k-1} - psi_k) - 1] / (2 sinh 2 psi_0), uniform (E2)",
    group="sharper",
    source="Theorem 1; identity: this project",
    hypotheses="symmetric p0, theta in [-1, 1]; any grid; start q_T; exact rationals",
)
def _verify_from_data(record: Record) -> None:
    _verify_exact(record, from_prior=False)


@claim(
    "uniform-pair-prior",
    "from the uniform prior the product gains the factor cosh 2 psi_N",
    group="beyond",
    source="this project",
    hypotheses="symmetric p0, theta in [-1, 1]; any grid; exact rationals",
)
def _verify_from_prior(record: Record) -> None:
    _verify_exact(record, from_prior=True)


@claim(
    "uniform-pair-half",
    "HALF, alpha = 1 - t, N = 1..4: 1/2, 17/50, 136489/540800, 16090513/81281250",
    group="beyond",
    source="this project",
    hypotheses="theta = 1, where psi_0 is infinite; exact rationals",
)
def _verify_half(record: Record) -> None:
    for num_steps, value in enumerate(HALF_VALUES, start=1):
        alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
        left = sampler_tv(Fraction(1), alphas, from_prior=False)
        record.equal(left, value, 0, f"sampler, N={num_steps}")
        record.equal(closed_form(Fraction(1), alphas, from_prior=False), value, 0, "closed form")


@claim(
    "uniform-pair-hyperbolic",
    "the rational and the hyperbolic form of E2 agree, in rigorous balls",
    group="beyond",
    source="this project",
    hypotheses="0 < theta < 1",
)
def _verify_hyperbolic(record: Record) -> None:
    """The rational function is the hyperbolic formula, to 1e-25 in ball arithmetic."""
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
                    record.equal(distance(left, right), 0.0, 1e-25, what)


@claim(
    "uniform-pair-schedules",
    "E2 for five schedules, both starts, N up to 256 (float64 sampler)",
    group="beyond",
    source="this project",
    hypotheses="any decreasing alpha: only w = theta alpha^2 enters",
)
def _verify_schedules(record: Record) -> None:
    draw = random.Random(23)
    for schedule, theta in itertools.product(SCHEDULES, (1.0, 0.9, -0.4, 1e-6)):
        for start in ("q_T", "prior"):
            pair = UniformPair(theta=theta, schedule=schedule, start=start)
            grids = [random_grid(draw, num_steps, schedule.horizon) for num_steps in (2, 7, 40)]
            grids += [uniform_grid(n, schedule.horizon).tolist() for n in (1, 16, 256)]
            for grid in grids:
                left = uniform_chain_tv(
                    pair.data_law.numpy(), survival(schedule, grid), from_prior=start == "prior"
                )
                what = f"{schedule}, theta={theta}, {start}, N={len(grid) - 1}"
                record.equal(left, pair.closed_form(grid), 1e-13, what)
