r"""Theorem 1 needs a schedule with finite slope at the data; the arccos schedule has none.

The schedule of MaskGIT, $\alpha(t) = \frac2\pi\arcsin(1-t/T)$, falls like
$1 - \frac2\pi\sqrt{2t/T}$ near the data. So $\int\alpha'^2 = \infty$, and on the uniform grid
$\sum_k(\alpha_{k-1}-\alpha_k)^2 \sim \frac{2}{\pi^2}\frac{\ln N}{N}$. Hence
$N \cdot TV_N \sim c\ln N$, even for masked noise and for laws with full support:

* masked pair: $c = \frac{2}{\pi^2} d_{12}$;
* uniform pair with $|\theta| < 1$: $c = \frac{4\theta}{\pi^2(1-\theta^2)}$;
* absorbing pair of weight a: $c = \frac{2a}{\pi^2}$.

For two bits that always agree under uniform noise ($\theta = 1$) the order itself changes:
$\sqrt N\,TV_N \to \tfrac12\cdot\frac{2\sqrt2}{\pi}
\prod_{k\ge2}\cosh(\tfrac12\log\tfrac{k}{k-1}) = 2\sqrt2\,\pi^{-3/2}$.

Another grid cures this, more steps do not: on the grid equispaced in $\alpha$ the masked error is
$d_{12}/N$ under every schedule. Beyond the paper.

These are statements about ancestral sampling with this schedule. MaskGIT itself unmasks a fixed
number of positions in each step, chosen by confidence.
"""

import itertools
import math

import torch

from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair
from di4c.schedules import ArccosSchedule, uniform_grid
from theory.claim import Record, claim
from theory.tools.extrapolation import extrapolate
from theory.tools.pair_cases import enumerated_tv

SIZES = tuple(2**j for j in range(7, 14))
EQUAL_BITS_CONSTANT = 2 * math.sqrt(2) / math.pi**1.5


def cases() -> list[tuple[Pair, float]]:
    """Pairs with the arccos schedule and their coefficients c."""
    schedule = ArccosSchedule(horizon=2.0)
    p_0 = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)  # d_12 = 0.3
    theta, weight = 0.3, 0.3
    return [
        (MaskedPair(p_0=p_0, schedule=schedule), 0.3 * 2 / math.pi**2),
        (
            UniformPair(theta=theta, schedule=schedule),
            4 * theta / (math.pi**2 * (1 - theta**2)),
        ),
        (
            AbsorbingPair(weight=weight, schedule=schedule),
            2 * weight / math.pi**2,
        ),
    ]


def sampler_errors(pair: Pair) -> list[float]:
    """TV_N of the enumerated sampler on uniform grids, along SIZES."""
    return [enumerated_tv(pair, uniform_grid(n, pair.schedule.horizon)) for n in SIZES]


@claim(
    "infinite-slope",
    "False in general: N TV_N is bounded for masked noise, or for full support. With the arccos "
    "schedule of MaskGIT it grows like c ln N.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="uniform grid, start q_T; Theorem 1 needs int alpha'^2 finite",
)
def _verify_log(record: Record) -> None:
    for pair, c in cases():
        values = [n * tv for n, tv in zip(SIZES, sampler_errors(pair), strict=True)]
        grown = [(b - a) / math.log(2) for a, b in itertools.pairwise(values)]
        found = extrapolate(grown, (1, 1, 2, 2))
        record.equal(found, c, 1e-4, f"growth of N TV_N per factor e, {pair}")
        for value in grown:
            record.exceeds(value, 0.9 * c, 0.0, f"N TV_N keeps growing, {pair}")


@claim(
    "infinite-slope-equal-bits",
    "False in general: TV_N = O(1/N). For two bits that always agree, uniform noise and the arccos "
    "schedule, sqrt(N) TV_N -> 2 sqrt2 / pi^1.5.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="uniform grid, start q_T; Theorem 1 needs a finite alpha'(0)",
)
def _verify_equal_bits(record: Record) -> None:
    pair = UniformPair(theta=1.0, schedule=ArccosSchedule(horizon=2.0))
    errors = sampler_errors(pair)
    roots = [math.sqrt(n) * tv for n, tv in zip(SIZES, errors, strict=True)]
    found = extrapolate(roots, (0.5, 1, 1, 1.5))
    record.equal(found, EQUAL_BITS_CONSTANT, 1e-4, "lim sqrt(N) TV_N")
    for n, tv in zip(SIZES, errors, strict=True):
        record.exceeds(n * tv, 0.5 * math.sqrt(n), 0.0, f"N TV_N grows like sqrt N, N={n}")


@claim(
    "infinite-slope-remedy",
    "With the arccos schedule N TV_N stays bounded on the best grid: equispaced in alpha (masked "
    "pair), psi (uniform pair) or phi (absorbing pair).",
    group="beyond",
    source="this project",
    hypotheses="|theta| < 1; start q_T",
)
def _verify_remedy(record: Record) -> None:
    for pair, _ in cases():
        for n in (16, 256):
            tv = enumerated_tv(pair, pair.best_grid(n))
            best = pair.best_tv(n)
            if best is None:
                raise ValueError(f"no optimum for {pair}")
            record.equal(tv, best, 1e-12, f"{pair}, N={n}")
            record.at_most(n * tv, 1.0, f"N TV_N stays bounded, {pair}, N={n}")
