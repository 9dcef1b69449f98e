r"""A finite batch of latents makes the loss too large: its bias as a function of the batch size.

The likelihood of a state is $p(x) = \mathbb{E}_\lambda Y$ with
$Y = \prod_d p^d(x^d; \lambda) \ge 0$. Training estimates $-\log p(x)$ by
$-\log \frac1L \sum_j Y_j$ with L independent latents. Its bias is

$$b_L = \mathbb{E}\Big[-\log \tfrac1L \textstyle\sum_j Y_j\Big] + \log p.$$

It is positive by Jensen's inequality. With finitely many latent values it is a finite sum over
multinomial counts. The following is not in the paper:

* The bias falls with L, strictly unless Y is constant. Frullani's integral is
  $-\log z = \int_0^\infty (e^{-sz} - e^{-s})\,ds/s$. With $M(s) = \mathbb{E} e^{-sY}$ it gives
  $b_L = \int_0^\infty (M(s/L)^L - e^{-sp})\,ds/s$. Here $M(s/L)^L$ is the 1/L-norm of $e^{-sY}$,
  which falls with L.
* $L\, b_L \to \sigma^2/2$ and $L^2 (b_L - \sigma^2/2L) \to \frac34 \sigma^4 - \frac13 \kappa_3$,
  where $\sigma^2 = \mathrm{Var}\,Y/p^2$ and $\kappa_3$ is the third central moment of Y/p. The
  second limit can have either sign, so $\sigma^2/2L$ can be too large or too small.
* The two parts of the split loss add up to the same bias. The correlation part alone has the bias
  $b_L(x) - \sum_d b_L(x^d)$, which can have either sign. A weight on the correlation part
  (alpha_t) also weighs this bias.
* If a latent value excludes x, the bias is infinite for every L. Two bits that always agree, as a
  mixture of two point masses, are an example: the student is perfect, its loss is log 2, and the
  estimates are infinite. The sharper the components, the heavier the tail.
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
    """The law of Y at a state: the weight of each latent and its likelihood."""
    probs = student.probs.tolist()
    likelihoods = (math.prod(row[v] for row, v in zip(rows, x, strict=True)) for rows in probs)
    return list(zip(student.weights.tolist(), likelihoods, strict=True))


def mean(draw: Draw) -> float:
    """p, the expectation of Y."""
    return math.fsum(w * y for w, y in draw)


def bias(draw: Draw, num_latents: int) -> float:
    """b_L for independent latents, summed over the multinomial counts of the values."""
    terms = []
    for counts in multinomial_counts(num_latents, len(draw)):
        total = math.fsum(count * y for count, (_, y) in zip(counts, draw, strict=True))
        log_probability = math.lgamma(num_latents + 1) + sum(
            count * math.log(w) - math.lgamma(count + 1)
            for count, (w, _) in zip(counts, draw, strict=True)
        )
        if total == 0:
            return math.inf
        terms.append(-math.exp(log_probability) * math.log(total / num_latents / mean(draw)))
    return math.fsum(terms)


def multinomial_counts(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `total` as a sum of `parts` non-negative integers, in every order."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


def product_bias(draws: list[Draw]) -> float:
    """The bias for independent Y_j with different laws, summed over every sequence of values."""
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
    """The same as `bias` for two values, vectorised over the binomial counts, for large L."""
    (w, a), (_, b) = draw
    k = np.arange(num_latents + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num_latents + 1)))])
    log_probability = (
        log_factorial[-1] - log_factorial - log_factorial[::-1]
        + k * math.log(w) + (num_latents - k) * math.log1p(-w)
    )  # fmt: skip
    ratio = (k * a + (num_latents - k) * b) / num_latents / mean(draw)
    # The linear term has mean 0. Without it the summands are small and do not cancel at large L.
    return float(np.exp(log_probability) @ (ratio - 1 - np.log(ratio)))


def expected_losses(
    law: torch.Tensor, student: FiniteMixture, num_latents: int
) -> tuple[float, float]:
    """The library's loss averaged over all batches of latents: (whole, correlation part)."""
    size, num_dims, num_states = student.probs.shape
    batches = torch.cartesian_prod(*[torch.arange(size)] * num_latents).reshape(-1, num_latents)
    log_weights = torch.full((num_latents,), -math.log(num_latents), dtype=torch.float64)
    sampled = DenseMixture(student.probs[batches].log(), log_weights)
    target = as_target(law, num_dims, num_states, len(batches))
    terms = consistency_loss(sampled, target)
    probs = student.weights[batches].prod(1)
    return (probs @ terms.total).item(), (probs @ terms.correlation).item()


def coordinate_values(student: FiniteMixture, d: int, value: int) -> Draw:
    """The law of one factor of Y: the weight of each latent, its likelihood of one coordinate."""
    return list(zip(student.weights.tolist(), student.probs[:, d, value].tolist(), strict=True))


def random_draws(count: int, seed: int) -> Iterator[tuple[str, Draw]]:
    """Laws of Y from random mixtures at random states, from nearly constant to very uneven."""
    generator = torch.Generator().manual_seed(seed)
    for k in range(count):
        num_latents, num_dims = 2 + k % 4, 1 + k % 3
        student = random_mixture(generator, num_latents, num_dims, 2, (0.3, 1.0, 3.0)[k % 3])
        x = torch.randint(2, (num_dims,), generator=generator).tolist()
        yield f"M={num_latents}, D={num_dims}, #{k}", values_at(student, x)


@claim(
    "jensen-bias",
    "The estimate of -log p(x) from L latents is biased up, and the bias falls with L.",
    group="paper",
    source="Losses",
    hypotheses="every latent gives x a positive likelihood, and they are not all equal; L = 1, 2, "
    "3, 4, 6, 8. That it falls with L is this project's",
)
def verify_up_and_falling(record: Record) -> None:
    for what, draw in random_draws(24, seed=0):
        biases = [bias(draw, num_latents) for num_latents in (1, 2, 3, 4, 6, 8)]
        for larger, smaller in itertools.pairwise(biases):
            record.at_most(smaller, larger, f"falls, {what}")
        record.exceeds(biases[-1], 0.0, 0.0, f"up, {what}")


@claim(
    "jensen-bias-frullani",
    "The bias is int_0^inf (M(s/L)^L - e^(-sp)) ds/s, M the Laplace transform of the likelihood.",
    group="beyond",
    source="this project",
    hypotheses="the likelihood is random through the latent. A sum over multinomial counts, a sum "
    "over all batches and quadrature agree",
)
def verify_routes(record: Record) -> None:
    for what, draw in random_draws(8, seed=1):
        for num_latents in (1, 2, 4):
            exact_bias = bias(draw, num_latents)
            where = f"L={num_latents}, {what}"
            record.equal(
                integral_bias([draw] * num_latents), exact_bias, 1e-11, f"integral, {where}"
            )
            record.equal(
                product_bias([draw] * num_latents), exact_bias, 1e-13, f"all batches, {where}"
            )


TWO_POINTS: list[tuple[str, Draw, int]] = [
    ("rare large value", [(0.1, 1.9), (0.9, 0.9)], -1),
    ("rare small value", [(0.1, 0.1), (0.9, 1.1)], 1),
    ("even", [(0.5, 0.2), (0.5, 0.6)], 1),
]


@claim(
    "jensen-bias-asymptotics",
    "The bias is sigma^2 / 2L + (3 sigma^4 / 4 - kappa_3 / 3) / L^2 to second order in 1/L.",
    group="beyond",
    source="this project",
    hypotheses="sigma^2 and kappa_3 are the second and third central moments of likelihood / p. "
    "The second order can have either sign. Two latent values, L up to 4000; Richardson limits to "
    "1e-9 and 1e-4",
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
    "The whole loss has the bias E_x b_L(x), its correlation part E_x [b_L(x) - sum_d b_L(x^d)].",
    group="beyond",
    source="this project",
    hypotheses="b_L is the bias of -log p. The library's loss is averaged over every batch of "
    "latents, L = 1, 2, 4",
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
    "False in general: every part of the loss is biased up. The correlation part is biased down "
    "where latents differ in the coordinates but agree on the whole state.",
    group="fails",
    source="this project",
    hypotheses="two bits, two latents with the same likelihood of the state and different ones of "
    "each coordinate",
)
def verify_either_sign(record: Record) -> None:
    # Crossed latents: each gives the state the likelihood 1/4, and only the factors vary.
    crossed: list[Draw] = [[(0.5, 0.25), (0.5, 1.0)], [(0.5, 1.0), (0.5, 0.25)]]
    aligned: list[Draw] = [[(0.5, 0.25), (0.5, 1.0)]] * 2
    for num_latents in (1, 2, 4, 8):
        for draws, sign, name in ((crossed, -1, "crossed"), (aligned, 1, "aligned")):
            joint = [(w, a * b) for (w, a), (_, b) in zip(*draws, strict=True)]
            part = bias(joint, num_latents) - sum(bias(d, num_latents) for d in draws)
            record.exceeds(sign * part, 0.0, 0.01, f"{name} latents, L={num_latents}")


@claim(
    "jensen-bias-infinite",
    "False in general: enough latents make the bias small. It is infinite at every L if a latent "
    "value excludes the state.",
    group="fails",
    source="this project",
    hypotheses="two bits that always agree as a mixture of two point masses; L = 1..8. Nearly "
    "sharp components have a bias that grows without bound",
)
def verify_infinite(record: Record) -> None:
    draw: Draw = [(0.5, 1.0), (0.5, 0.0)]  # at 00, which the second latent excludes
    for num_latents in range(1, 9):
        record.vanishes(1 / bias(draw, num_latents), 0, f"1 / bias, L={num_latents}")
    # Components with error e: at L = 4 the bias grows like 2^-4 log(1/e).
    biases = [bias([(0.5, 1 - e), (0.5, e)], 4) for e in (1e-10, 1e-20, 1e-40)]
    for k, (low, high) in enumerate(itertools.pairwise(biases)):
        growth = (high - low) / (10 * 2**k * math.log(10))
        record.equal(growth, 2**-4, 1e-8, f"growth per unit of log(1/e), pair {k}")
        record.exceeds(low, 0.0, 0.9, f"bias of nearly sharp components, pair {k}")
