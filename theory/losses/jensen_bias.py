r"""The loss of a finite batch of latents is biased up: exactly how much, as a function of its size.

Training estimates $-\log p(x)$, $p(x) = \mathbb{E}_\lambda Y$ with
$Y = \prod_d p^d(x^d; \lambda) \ge 0$, by $-\log \frac1L \sum_j Y_j$ with L independent latents.
On finitely many latents the bias

$$b_L = \mathbb{E}\Big[-\log \tfrac1L \textstyle\sum_j Y_j\Big] + \log p$$

is a finite sum over multinomial counts. Beyond the paper:

* By Frullani, $-\log z = \int_0^\infty (e^{-sz} - e^{-s})\,ds/s$. With
  $M(s) = \mathbb{E} e^{-sY}$ that is $b_L = \int_0^\infty (M(s/L)^L - e^{-sp})\,ds/s$, and
  $M(s/L)^L$ is the 1/L-norm of $e^{-sY}$, which falls with L: so does the bias, strictly unless Y
  is constant.
* $L\, b_L \to \sigma^2/2$ and $L^2 (b_L - \sigma^2/2L) \to \frac34 \sigma^4 - \frac13 \kappa_3$
  with $\sigma^2 = \mathrm{Var}\,Y/p^2$ and $\kappa_3$ the third central moment of Y/p. The second
  limit has either sign: the first-order correction over- or undershoots.
* The two terms of the split loss add up to the same bias. The correlation term alone has
  $b_L(x) - \sum_d b_L(x^d)$, of either sign: weighing it (alpha_t) weighs that bias.
* If some latent excludes x, the bias is infinite for EVERY L: HALF as two point masses, a perfect
  student, has loss log 2 and infinite estimates. The sharper the components, the heavier the tail.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.integrate import quad

from di4c.likelihood import DenseMixture
from di4c.losses import consistency_loss
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import (
    FiniteMixture,
    as_dict,
    as_target,
    random_law,
    random_mixture,
)

Draw = list[tuple[float, float]]
"""The law of one Y: (probability, value) pairs."""


def values_at(student: FiniteMixture, x: Sequence[int]) -> Draw:
    """The law of Y at a state: each latent's weight and likelihood."""
    probs = student.probs.tolist()
    likelihoods = (math.prod(row[v] for row, v in zip(rows, x, strict=True)) for rows in probs)
    return list(zip(student.weights.tolist(), likelihoods, strict=True))


def mean(draw: Draw) -> float:
    """p, the expectation of Y."""
    return math.fsum(w * y for w, y in draw)


def bias(draw: Draw, num_latents: int) -> float:
    """b_L for independent latents, summed over the multinomial counts of each value."""
    terms = []
    for counts in compositions(num_latents, len(draw)):
        total = math.fsum(count * y for count, (_, y) in zip(counts, draw, strict=True))
        log_probability = math.lgamma(num_latents + 1) + sum(
            count * math.log(w) - math.lgamma(count + 1)
            for count, (w, _) in zip(counts, draw, strict=True)
        )
        if total == 0:
            return math.inf
        terms.append(-math.exp(log_probability) * math.log(total / num_latents / mean(draw)))
    return math.fsum(terms)


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write total as an ordered sum of parts non-negative integers."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


def product_bias(draws: list[Draw]) -> float:
    """Bias for independent but different Y_j, summed over every sequence of values."""
    mean_of_all = math.fsum(mean(draw) for draw in draws) / len(draws)
    terms = []
    for sequence in itertools.product(*draws):
        total = math.fsum(y for _, y in sequence) / len(draws)
        weight = math.prod(w for w, _ in sequence)
        if total == 0 and weight:
            return math.inf
        terms.append(-weight * math.log(total / mean_of_all))
    return math.fsum(terms)


def integral_bias(draws: list[Draw]) -> float:
    r"""$\int_0^\infty (\prod_j M_j(s/L) - e^{-sp})\,ds/s$ by quadrature, with $s = e^v$."""
    size = len(draws)
    p = math.fsum(mean(draw) for draw in draws) / size

    def integrand(v: float) -> float:
        s = math.exp(v) / p
        moments = (sum(w * math.exp(-s * y / size) for w, y in draw) for draw in draws)
        return math.prod(moments) - math.exp(-s * p)

    pieces = np.linspace(-40.0, 40.0, 33)
    return math.fsum(
        quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in itertools.pairwise(pieces)
    )


def central_moments(draw: Draw) -> tuple[float, float]:
    """Second and third central moments of Y / p."""
    p = mean(draw)
    second, third = (math.fsum(w * (y / p - 1) ** k for w, y in draw) for k in (2, 3))
    return second, third


def two_point_bias(draw: Draw, num_latents: int) -> float:
    """As `bias` for two values, vectorised over the binomial counts: large L."""
    (w, a), (_, b) = draw
    k = np.arange(num_latents + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num_latents + 1)))])
    log_probability = (
        log_factorial[-1] - log_factorial - log_factorial[::-1]
        + k * math.log(w) + (num_latents - k) * math.log1p(-w)
    )  # fmt: skip
    ratio = (k * a + (num_latents - k) * b) / num_latents / mean(draw)
    # Subtracting the linear term, of mean 0, leaves small summands: no cancellation at large L.
    return float(np.exp(log_probability) @ (ratio - 1 - np.log(ratio)))


def expected_losses(
    law: torch.Tensor, student: FiniteMixture, num_latents: int
) -> tuple[float, float]:
    """Mean over all latent batches of the library's loss: (whole, correlation term alone)."""
    size, num_dims, num_states = student.probs.shape
    batches = torch.cartesian_prod(*[torch.arange(size)] * num_latents).reshape(-1, num_latents)
    log_weights = torch.full((num_latents,), -math.log(num_latents), dtype=torch.float64)
    sampled = DenseMixture(student.probs[batches].log(), log_weights)
    target = as_target(law, num_dims, num_states, len(batches))
    terms = consistency_loss(sampled, target)
    probs = student.weights[batches].prod(1)
    return (probs @ terms.total).item(), (probs @ terms.correlation).item()


def coordinate_values(student: FiniteMixture, d: int, value: int) -> Draw:
    """The law of one factor of Y: each latent's weight and its likelihood of one coordinate."""
    return list(zip(student.weights.tolist(), student.probs[:, d, value].tolist(), strict=True))


def random_draws(count: int, seed: int) -> Iterator[tuple[str, Draw]]:
    """Laws of Y from random mixtures, at random states, nearly constant ones to very uneven."""
    generator = torch.Generator().manual_seed(seed)
    for k in range(count):
        num_latents, num_dims = 2 + k % 4, 1 + k % 3
        student = random_mixture(generator, num_latents, num_dims, 2, (0.3, 1.0, 3.0)[k % 3])
        x = torch.randint(2, (num_dims,), generator=generator).tolist()
        yield f"M={num_latents}, D={num_dims}, #{k}", values_at(student, x)


@claim(
    "jensen-bias",
    "-log of a mean over L latents is biased up, by less for larger L",
    group="beyond",
    source="this project",
    hypotheses="every latent allows x; likelihoods not all equal; L = 1, 2, 3, 4, 6, 8",
)
def verify_up_and_falling(record: Record) -> None:
    for what, draw in random_draws(24, seed=0):
        biases = [bias(draw, num_latents) for num_latents in (1, 2, 3, 4, 6, 8)]
        for larger, smaller in itertools.pairwise(biases):
            record.at_most(smaller, larger, f"falls, {what}")
        record.exceeds(biases[-1], 0.0, 0.0, f"up, {what}")


@claim(
    "jensen-bias-frullani",
    "b_L = int_0^inf (M(s/L)^L - e^(-sp)) ds/s, M the Laplace transform of Y",
    group="beyond",
    source="this project",
    hypotheses="multinomial sum, sum over all batches and quadrature agree",
)
def verify_routes(record: Record) -> None:
    for what, draw in random_draws(8, seed=1):
        for num_latents in (1, 2, 4):
            exact_bias = bias(draw, num_latents)
            where = f"L={num_latents}, {what}"
            record.equal(
                integral_bias([draw] * num_latents), exact_bias, 1e-11, f"Frullani, {where}"
            )
            record.equal(product_bias([draw] * num_latents), exact_bias, 1e-13, f"batches, {where}")


TWO_POINTS: list[tuple[str, Draw, int]] = [
    ("rare large value", [(0.1, 1.9), (0.9, 0.9)], -1),
    ("rare small value", [(0.1, 0.1), (0.9, 1.1)], 1),
    ("even", [(0.5, 0.2), (0.5, 0.6)], 1),
]


@claim(
    "jensen-bias-asymptotics",
    "L b_L -> Var Y/2p^2; L^2 (b_L - ...) -> 3/4 sigma^4 - kappa_3/3, either sign",
    group="beyond",
    source="this project",
    hypotheses="two latents, L up to 4000, Richardson limits to 1e-9 and 1e-4",
)
def verify_asymptotics(record: Record) -> None:
    for what, draw, sign in TWO_POINTS:
        variance, third = central_moments(draw)
        second = 0.75 * variance**2 - third / 3
        record.exceeds(sign * second, 0.0, 0.0, f"sign of the second order, {what}")
        sizes = [500 * 2**k for k in range(4)]
        biases = [two_point_bias(draw, size) for size in sizes]
        first = extrapolate([n * b for n, b in zip(sizes, biases, strict=True)])
        record.equal(first, variance / 2, 1e-9, f"first order, {what}")
        rest = [n * (n * b - variance / 2) for n, b in zip(sizes, biases, strict=True)]
        record.equal(extrapolate(rest), second, 1e-4, f"second order, {what}")
        record.equal(two_point_bias(draw, 40), bias(draw, 40), 1e-12, f"two routes, {what}")


@claim(
    "jensen-bias-loss",
    "whole split loss: E_x b_L(x); correlation term: E_x [b_L(x) - sum_d b_L(x^d)]",
    group="beyond",
    source="this project",
    hypotheses="the library's loss averaged over every batch of latents, L = 1, 2, 4",
)
def verify_library(record: Record) -> None:
    generator = torch.Generator().manual_seed(3)
    for k in range(6):
        student, law = random_mixture(generator, 3, 2, 2), random_law(generator, 4)
        r = as_dict(law, 2, 2)
        divergence = oracle.kl(r, student.literal()) - oracle.total_correlation(r)
        correlation = oracle.kl(r, student.literal())
        correlation -= oracle.kl(r, oracle.independent(student.literal()))
        for num_latents in (1, 2, 4):
            joint = sum(p * bias(values_at(student, x), num_latents) for x, p in r.items())
            single = sum(
                p * bias(coordinate_values(student, d, v), num_latents)
                for d, marginal in enumerate(oracle.marginals(r))
                for v, p in marginal.items()
            )
            whole, part = expected_losses(law, student, num_latents)
            record.equal(whole - divergence, joint, 1e-12, f"whole loss, L={num_latents}, #{k}")
            record.equal(
                part - correlation, joint - single, 1e-12, f"correlation, L={num_latents}, #{k}"
            )


@claim(
    "jensen-bias-correlation-sign",
    "False in general: every part of the loss is biased up",
    group="fails",
    source="this project",
    hypotheses="fails for the correlation term where only coordinates tell latents apart",
)
def verify_either_sign(record: Record) -> None:
    # At 00 two latents of likelihood 1/4 each, one coordinate apart: only the marginals vary.
    crossed: list[Draw] = [[(0.5, 0.25), (0.5, 1.0)], [(0.5, 1.0), (0.5, 0.25)]]
    aligned: list[Draw] = [[(0.5, 0.25), (0.5, 1.0)]] * 2
    for num_latents in (1, 2, 4, 8):
        for draws, sign, name in ((crossed, -1, "crossed"), (aligned, 1, "aligned")):
            joint = [(w, a * b) for (w, a), (_, b) in zip(*draws, strict=True)]
            part = bias(joint, num_latents) - sum(bias(d, num_latents) for d in draws)
            record.exceeds(sign * part, 0.0, 0.01, f"{name} latents, L={num_latents}")


@claim(
    "jensen-bias-infinite",
    "False in general: enough latents make the bias small",
    group="fails",
    source="this project",
    hypotheses="fails if a latent excludes x: HALF as two point masses, infinite at every L",
)
def verify_infinite(record: Record) -> None:
    draw: Draw = [(0.5, 1.0), (0.5, 0.0)]  # HALF at 00: one latent gives it, the other excludes it
    for num_latents in range(1, 9):
        record.equal(1 / bias(draw, num_latents), 0.0, 0, f"1 / bias, L={num_latents}")
    # Components that are sharp to within e: at L = 4 the bias grows like 2^-4 log(1/e).
    biases = [bias([(0.5, 1 - e), (0.5, e)], 4) for e in (1e-10, 1e-20, 1e-40)]
    for k, (low, high) in enumerate(itertools.pairwise(biases)):
        growth = (high - low) / (10 * 2**k * math.log(10))
        record.equal(growth, 2**-4, 1e-8, f"growth per unit of log(1/e), pair {k}")
        record.exceeds(low, 0.0, 0.9, f"bias of nearly sharp components, pair {k}")
