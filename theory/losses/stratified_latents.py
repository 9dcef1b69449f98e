r"""Stratified latents: a smaller Jensen bias for every mixture, a theorem about the logarithm.

With $\lambda_j$ uniform in [(j-1)/L, j/L], independent, instead of L independent uniforms, the
estimate $-\log \frac1L \sum_j Y_j$ of `jensen_bias` has the Laplace form

$$b_L^{strat} = \int_0^\infty \Big( \prod_j M_j(s/L) - e^{-sp} \Big) \frac{ds}{s}, \qquad
  \prod_j M_j \le \Big( \tfrac1L \sum_j M_j \Big)^L = M^L$$

by the inequality of the means, $M_j$ the transform of Y in stratum j. Hence
$0 \le b_L^{strat} \le b_L$ for every mixture, every order of the latents and every L; equality iff
all strata have the same law. Beyond the paper. Also:

* Equal weights and L a multiple of the number of latents: the bias is 0.
* A piecewise constant mixture: only the strata that hold an edge vary, so the bias is
  $O(1/L^2)$, against 1/L.
* The theorem is the logarithm's: for the convex $\max(z - c, 0)$ stratification can do harm.
* One random offset for all strata (systematic sampling) has no guarantee: where the mixture
  repeats with period 1/L it is as biased as a single latent.
"""

import itertools
import math
from fractions import Fraction

import torch

from theory.claim import Record, claim
from theory.losses.jensen_bias import Draw, bias, integral_bias, mean, product_bias, random_draws
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law


def strata(draw: Draw, num_latents: int) -> list[Draw]:
    """Law of Y in each stratum [(j-1)/L, j/L] when lambda runs through the latents in order."""
    edges = [0.0, *itertools.accumulate(w for w, _ in draw)]
    edges[-1] = 1.0
    result = []
    for j in range(num_latents):
        low, high = j / num_latents, (j + 1) / num_latents
        cells = [
            (num_latents * (min(high, b) - max(low, a)), y)
            for (a, b), (_, y) in zip(itertools.pairwise(edges), draw, strict=True)
            if min(high, b) > max(low, a)
        ]
        result.append(cells)
    return result


def systematic_bias(draw: Draw, num_latents: int) -> float:
    """Bias with one offset u for all strata, lambda_j = (j - 1 + u)/L; exact, by breakpoints."""
    edges = [0.0, *itertools.accumulate(w for w, _ in draw)]
    edges[-1] = 1.0
    breaks = sorted({0.0, 1.0, *((edge * num_latents) % 1.0 for edge in edges)})
    terms = []
    for low, high in itertools.pairwise(breaks):
        total = 0.0
        for j in range(num_latents):
            latent = (j + (low + high) / 2) / num_latents
            total += next(y for edge, (_, y) in zip(edges[1:], draw, strict=True) if latent < edge)
        terms.append(-(high - low) * math.log(total / num_latents / mean(draw)))
    return math.fsum(terms)


def stratified_bias(draw: Draw, num_latents: int) -> float:
    """b_L with one latent in each stratum, summed over all batches."""
    return product_bias(strata(draw, num_latents))


@claim(
    "stratified-latents",
    "stratified latents: 0 <= Jensen bias <= that of independent latents",
    group="beyond",
    source="this project",
    hypotheses="any mixture, any order of its latents, every L; equal if all strata are alike",
)
def verify_smaller(record: Record) -> None:
    for what, draw in random_draws(24, seed=4):
        for num_latents in (1, 2, 3, 5, 8):
            where = f"L={num_latents}, {what}"
            stratified, independent = stratified_bias(draw, num_latents), bias(draw, num_latents)
            record.at_most(stratified, independent, where, rounding=1e-15)
            record.at_most(0.0, stratified, f"not negative, {where}", rounding=1e-15)
    for what, draw in random_draws(6, seed=5):
        cells = strata(draw, 3)
        record.equal(integral_bias(cells), product_bias(cells), 1e-11, f"Frullani, {what}")


@claim(
    "stratified-latents-rate",
    "finite latent law: bias O(1/L^2); 0 if L is a multiple of M equal latents",
    group="beyond",
    source="this project",
    hypotheses="L^2 times the bias against the variance of the cut stratum, L up to 1024",
)
def verify_rates(record: Record) -> None:
    generator = torch.Generator().manual_seed(6)
    for size in (2, 3, 4):
        values = random_law(generator, size).tolist()
        equal: Draw = [(1 / size, y) for y in values]
        for factor in (1, 2, 4):
            record.equal(
                stratified_bias(equal, factor * size), 0.0, 1e-15, f"M={size}, L={factor * size}"
            )
    # One edge at 1/3: it cuts a stratum in thirds at every L = 2^k, the others are constant.
    draw: Draw = [(1 / 3, 0.2), (2 / 3, 0.7)]
    variance = 2 / 9 * 0.25 / mean(draw) ** 2
    scaled = [n * n * stratified_bias(draw, n) for n in (16, 64, 256, 1024)]
    for coarse, fine in itertools.pairwise(scaled):  # at L and 4 L
        record.at_most(abs(fine - variance / 2), 0.3 * abs(coarse - variance / 2), "L^2 bias")
    limit = extrapolate(scaled, (2, 4, 6))  # powers 1, 2, 3 of 1/L, which falls by four
    record.equal(limit, variance / 2, 1e-9, "limit of L^2 bias")


@claim(
    "stratified-latents-convex",
    "False in general: stratification lowers the mean of every convex function of the sum",
    group="fails",
    source="this project",
    hypotheses="fails for max(z - 2, 0): 1/2 against 3/8, in rationals",
)
def verify_other_convex_functions(record: Record) -> None:
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    first = {1: Fraction(1)}  # stratum 1; stratum 2 spreads out; the batch mixes both
    second = {0: half, 2: half}
    mixed = {0: quarter, 1: half, 2: quarter}

    def excess(a: dict[int, Fraction], b: dict[int, Fraction]) -> Fraction:
        return sum(
            (p * q * max(y + z - 2, 0) for y, p in a.items() for z, q in b.items()), Fraction(0)
        )

    record.equal(excess(first, second), half, 0, "stratified")
    record.equal(excess(mixed, mixed), Fraction(3, 8), 0, "independent")
    record.exceeds(excess(first, second), excess(mixed, mixed), Fraction(1, 10), "max(z - 2, 0)")


@claim(
    "stratified-latents-systematic",
    "False in general: one offset for all strata is as good",
    group="fails",
    source="this project",
    hypotheses="fails where the mixture repeats with period 1/L: the bias of ONE latent",
)
def verify_systematic(record: Record) -> None:
    for num_latents in (2, 4, 8):
        draw: Draw = [(0.5 / num_latents, y) for _ in range(num_latents) for y in (0.1, 0.9)]
        pair: Draw = [(0.5, 0.1), (0.5, 0.9)]
        systematic = systematic_bias(draw, num_latents)
        record.equal(systematic, bias(pair, 1), 1e-12, f"as one latent, L={num_latents}")
        record.exceeds(systematic, bias(pair, num_latents), 0.1, f"independent, L={num_latents}")
        stratified = stratified_bias(draw, num_latents)
        record.equal(stratified, bias(pair, num_latents), 1e-12, f"strata alike, L={num_latents}")
