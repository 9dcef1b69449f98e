r"""Rectified pairs (ReDi) of two symmetric spins: what one rectification gains, in closed form.

Rectification trains a product student on pairs $(x_T, x_0)$ that the teacher's sampler makes. The
noise $x_T$ can tell the student which of the correlated answers to give. How much it tells depends
on the sampler.

*The flow.* A coordinate keeps its noise until it jumps to a draw from its posterior. Let
$p_0 = (1 + \theta s_1 s_2)/4$ under uniform noise. The posterior means are linear in
$s_1 \pm s_2$, with $c_\pm = \alpha (1 \pm \theta) / (1 \pm \theta\alpha^2)$. N steps give

$$\mathbb{E}[s_1 \pm s_2 \mid x_T] = m_\pm\, (x_1 \pm x_2), \qquad
  m_\pm = \prod_k \big(1 - r_k (1 - c_\pm(\alpha_k))\big), \quad
  r_k = \frac{\alpha_{k-1} - \alpha_k}{1 - \alpha_k}$$

In one step a student that has learnt the pairs perfectly has the total variation
$\tfrac12 |\theta - \tfrac12 (m_+^2 - m_-^2)|$. A product model without the pairs has $|\theta|/2$.
With many steps

$$m_\pm \to \exp\Big(\!-\!\int_0^1 \frac{1 \mp \theta\alpha}{1 \pm \theta\alpha^2}\, d\alpha\Big)
  = \sqrt{1 \pm \theta}\; \exp\big(-\!\arctan(\sqrt{\pm\theta}) / \sqrt{\pm\theta}\big)$$

under any schedule. For two equal bits the total variation falls from 1/2 to
$\tfrac12 (1 - e^{-\pi/2}) = 0.396$ and stops there.

*Ancestral steps.* If nothing survives to the horizon ($\alpha_T = 0$), $q(x_s \mid x_T)$ does not
depend on $x_T$. Noise and data are independent, and rectification changes nothing for any law.

Rectification is due to Yoo et al. (2025), the flow to Gat et al. (2024). These closed forms are by
this project.
"""

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

from flint import acb, arb

from theory.claim import Record, claim
from theory.theorem1.pairs.uniform_pair import THETAS, symmetric_law
from theory.tools import oracle
from theory.tools.enclosures import ball, distance, integral, precision
from theory.tools.extrapolation import extrapolate
from theory.tools.pair_cases import rational_alphas, rational_weights


def flow_row(law: oracle.Law, alphas: Sequence[Fraction], x_T: oracle.State) -> oracle.Law:
    """The law of x_0 given x_T after the steps of the flow; every state and jump is enumerated."""
    num_states = len(oracle.marginals(law)[0])
    row = {x_T: Fraction(1)}
    for s, t in reversed(list(itertools.pairwise(alphas))):
        reveal = (s - t) / (1 - t)
        kernel = oracle.uniform_kernel(t, num_states)
        moved = dict.fromkeys(law, Fraction(0))
        for x, p in row.items():
            posterior = oracle.reverse_row(law, kernel, x)
            assert posterior is not None  # uniform noise reaches every state
            jumps = oracle.marginals(posterior)
            for y in moved:
                moved[y] += p * math.prod(
                    (1 - reveal) * (v == y[d]) + reveal * jumps[d].get(y[d], Fraction(0))
                    for d, v in enumerate(x)
                )
        row = moved
    return row


def ancestral_row(law: oracle.Law, alphas: Sequence[Fraction], x_T: oracle.State) -> oracle.Law:
    """The law of x_0 given x_T after ancestral product steps."""
    num_states = len(oracle.marginals(law)[0])
    kernels = [oracle.uniform_kernel(b / a, num_states) for a, b in itertools.pairwise(alphas)]
    return oracle.compose(law, kernels, {x_T: Fraction(1)})


def rectified_law(rows: Sequence[oracle.Law]) -> oracle.Law:
    """The output of one step from uniform noise of a product student that has learnt the pairs."""
    total: oracle.Law = {}
    for row in rows:
        for x, p in oracle.independent(row).items():
            total[x] = total.get(x, Fraction(0)) + p / len(rows)
    return total


def kept(theta: Fraction, alphas: Sequence[Fraction]) -> Fraction:
    r"""$m_+$. For $m_-$ give $-\theta$."""
    product = Fraction(1)
    for s, t in itertools.pairwise(alphas):
        mean = t * (1 + theta) / (1 + theta * t * t)
        product *= 1 - (s - t) / (1 - t) * (1 - mean)
    return product


def rectified_tv(theta: Fraction, alphas: Sequence[Fraction]) -> Fraction:
    r"""$\tfrac12 |\theta - \tfrac12 (m_+^2 - m_-^2)|$ at every N, on every grid."""
    return abs(theta - (kept(theta, alphas) ** 2 - kept(-theta, alphas) ** 2) / 2) / 2


def kept_integral(theta: Fraction) -> arb:
    r"""The limit of `kept`, $\exp(-\int (1 - \theta\alpha)/(1 + \theta\alpha^2)\, d\alpha)$."""
    c = ball(theta)
    return (-integral(lambda a: (1 - c * a) / (1 + c * a * a), 0, 1)).exp()


def kept_limit(theta: Fraction) -> arb:
    r"""$\sqrt{1 + \theta}\, \exp(-\arctan(\sqrt\theta)/\sqrt\theta)$, negative theta included."""
    if theta == 0:
        return arb(-1).exp()
    if theta == -1:
        return arb(0)
    root = acb(ball(theta)).sqrt()
    return ball(1 + theta).sqrt() * (-(root.atan() / root).real).exp()


def limit_tv(theta: Fraction) -> arb:
    """The limit of `rectified_tv` for many steps."""
    return abs(ball(theta) - (kept_limit(theta) ** 2 - kept_limit(-theta) ** 2) / 2) / 2


@claim(
    "rectified-pair",
    "After rectification by N steps of the flow one step has TV = |theta - (m+^2 - m-^2)/2| / 2.",
    group="beyond",
    source="this project; rectification: Yoo et al. (2025); the flow: Gat et al. (2024)",
    hypotheses="two symmetric spins with correlation theta, uniform noise, any grid, perfect "
    "student. m+ and m- are closed products over the steps; exact rationals",
)
def verify_pair(record: Record) -> None:
    draw = random.Random(31)
    for theta, num_steps, to_zero in itertools.product(THETAS, (1, 2, 3, 4), (True, False)):
        alphas = rational_alphas(draw, num_steps, to_zero=to_zero)
        law = symmetric_law(theta)
        rows = [flow_row(law, alphas, x) for x in law]
        found = oracle.total_variation(rectified_law(rows), law)
        what = f"theta={theta}, alphas={[str(a) for a in alphas]}"
        record.equal(found, rectified_tv(theta, alphas), 0, what)


@claim(
    "rectified-pair-limit",
    "With many steps m+- tends to sqrt(1 +- theta) exp(-arctan(sqrt(+-theta)) / sqrt(+-theta)).",
    group="beyond",
    source="this project; rectification: Yoo et al. (2025); the flow: Gat et al. (2024)",
    hypotheses="as for rectified-pair, complete noise at the horizon. For two equal bits TV tends "
    "to 0.396. N = 16..256 extrapolated to 1e-8, the integral enclosed to 1e-30",
)
def verify_limit(record: Record) -> None:
    for theta in THETAS:
        law = {x: float(p) for x, p in symmetric_law(theta).items()}
        values = []
        for n in (16, 32, 64, 128, 256):
            rows = [flow_row(law, [1 - k / n for k in range(n + 1)], x) for x in law]
            values.append(float(oracle.total_variation(rectified_law(rows), law)))
        with precision():
            right = float(limit_tv(theta))
        record.equal(extrapolate(values), right, 1e-8, f"theta={theta}, N to infinity")
    with precision():
        for theta in {sign * theta for theta in THETAS for sign in (1, -1)} - {-1}:
            gap = distance(kept_integral(theta), kept_limit(theta))
            record.vanishes(gap, 1e-30, f"theta={theta}, the integral")
        half = (1 - (-arb.pi() / 2).exp()) / 2
        record.vanishes(distance(half, limit_tv(Fraction(1))), 1e-30, "two equal bits")


def _laws(seed: int) -> list[tuple[str, oracle.Law]]:
    draw = random.Random(seed)
    shapes = [(2, 2), (2, 3), (3, 2)]
    return [
        (f"D={d}, S={s}", oracle.law_from(rational_weights(draw, s**d), d, s)) for d, s in shapes
    ]


@claim(
    "rectified-ancestral",
    "Ancestral steps from complete noise forget x_T, so rectification changes nothing.",
    group="beyond",
    source="this project; rectification: Yoo et al. (2025)",
    hypotheses="uniform noise with alpha_T = 0; any law, any grid, exact rationals",
)
def verify_ancestral(record: Record) -> None:
    draw = random.Random(32)
    for (what, law), num_steps in itertools.product(_laws(33), (1, 2, 3)):
        alphas = rational_alphas(draw, num_steps, to_zero=True)
        rows = [ancestral_row(law, alphas, x) for x in law]
        for row in rows[1:]:
            record.vanishes(oracle.total_variation(row, rows[0]), 0, f"rows, {what}, N={num_steps}")
        plain = oracle.total_variation(oracle.independent(rows[0]), law)
        found = oracle.total_variation(rectified_law(rows), law)
        record.equal(found, plain, 0, f"one step, {what}, N={num_steps}")


@claim(
    "rectified-remembering",
    "False in general: noise and data of a sampler's pairs are independent. They are not for the "
    "flow, nor for ancestral steps with alpha_T > 0.",
    group="fails",
    source="this project",
    hypotheses="two symmetric spins, theta = 1/2, 9/10, 1; rectification lowers TV by more than "
    "0.02",
)
def verify_remembering(record: Record) -> None:
    for theta in (Fraction(1, 2), Fraction(9, 10), Fraction(1)):
        law = symmetric_law(theta)
        for name, make, last in (("ancestral steps", ancestral_row, 4), ("the flow", flow_row, 0)):
            alphas = [Fraction(k, 16) for k in (16, 12, 8, last)]
            rows = [make(law, alphas, x) for x in law]
            apart = oracle.total_variation(rows[0], rows[1])
            record.exceeds(apart, 0, 0.05, f"distance of two rows, {name}, theta={theta}")
            found = oracle.total_variation(rectified_law(rows), law)
            record.exceeds(
                abs(theta) / 2,
                found,
                0.02,
                f"TV without and with rectification, {name}, theta={theta}",
            )
