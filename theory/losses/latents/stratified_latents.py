r"""Stratified latents: they never raise the bias of the loss, and often lower it much.

Independent latents are L independent uniforms. Stratified latents are independent too, but
$\lambda_j$ is uniform in [(j-1)/L, j/L]. Let $M_j$ be the Laplace transform of Y in stratum j. The
bias of the estimate $-\log \frac1L \sum_j Y_j$ (see `jensen_bias`) is then

$$b_L^{strat} = \int_0^\infty \Big( \prod_j M_j(s/L) - e^{-sp} \Big) \frac{ds}{s}, \qquad
  \prod_j M_j \le \Big( \tfrac1L \sum_j M_j \Big)^L = M^L$$

by the inequality of the means. Hence $0 \le b_L^{strat} \le b_L$ for every mixture, every order of
its latents and every L, with equality if and only if all strata have the same law. This is not in
the paper. Also:

* The bias is 0 if the weights are equal and L is a multiple of the number of latents.
* The bias is $O(1/L^2)$ instead of 1/L if the mixture is piecewise constant in $\lambda$, since
  only strata that contain an edge vary.
* The theorem needs the logarithm. For the convex function $\max(z - c, 0)$ of the sum, stratified
  latents can have the larger mean.
* Systematic sampling, one random offset for all strata, has no such guarantee. If the mixture
  repeats with period 1/L, it is as biased as a single latent.
"""

import itertools
import math
from fractions import Fraction

import torch

from theory.claim import Record, claim
from theory.losses.latents.jensen_bias import (
    Draw,
    bias,
    integral_bias,
    mean,
    product_bias,
    random_draws,
)
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law


def strata(draw: Draw, num_latents: int) -> list[Draw]:
    """The law of Y in each stratum [(j-1)/L, j/L] if lambda runs through the latents in order."""
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
    """The bias of systematic sampling, lambda_j = (j - 1 + u)/L with one offset u.

    Exact: between two breakpoints of u the batch is constant.
    """
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
    """The bias with one latent in each stratum, summed over all batches."""
    return product_bias(strata(draw, num_latents))


@claim(
    "stratified-latents",
    "Stratified latents bias the loss up by at most as much as independent latents.",
    group="beyond",
    source="this project",
    hypotheses="any mixture, any order of its latents, any L. Both are equal if all strata have "
    "the same law",
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
        record.equal(integral_bias(cells), product_bias(cells), 1e-11, f"integral, {what}")


@claim(
    "stratified-latents-rate",
    "With stratified latents and finitely many latent values the bias is O(1/L^2), not 1/L.",
    group="beyond",
    source="this project",
    hypotheses="L^2 times the bias tends to half the relative variance of the stratum that "
    "contains an edge, L up to 1024. The bias is 0 if the values are equally likely and their "
    "number divides L",
)
def verify_rates(record: Record) -> None:
    generator = torch.Generator().manual_seed(6)
    for size in (2, 3, 4):
        values = random_law(generator, size).tolist()
        equal: Draw = [(1 / size, y) for y in values]
        for factor in (1, 2, 4):
            record.vanishes(
                stratified_bias(equal, factor * size), 1e-15, f"M={size}, L={factor * size}"
            )
    # The only edge is at 1/3. At every L = 2^k it cuts one stratum in thirds.
    draw: Draw = [(1 / 3, 0.2), (2 / 3, 0.7)]
    variance = 2 / 9 * 0.25 / mean(draw) ** 2
    scaled = [n * n * stratified_bias(draw, n) for n in (16, 64, 256, 1024)]
    for coarse, fine in itertools.pairwise(scaled):  # at L and 4 L
        record.at_most(
            abs(fine - variance / 2),
            0.3 * abs(coarse - variance / 2),
            "distance of L^2 times the bias from its limit",
        )
    limit = extrapolate(scaled, (2, 4, 6))  # powers 1, 2, 3 of 1/L, which falls by four
    record.equal(limit, variance / 2, 1e-9, "limit of L^2 times the bias")


@claim(
    "stratified-latents-convex",
    "False in general: stratified latents lower the mean of every convex function of the sum. For "
    "max(z - 2, 0) they raise it from 3/8 to 1/2.",
    group="fails",
    source="this project",
    hypotheses="two strata, in rationals; for -log the statement is true",
)
def verify_other_convex_functions(record: Record) -> None:
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    first = {1: Fraction(1)}  # law of the value in stratum 1
    second = {0: half, 2: half}  # in stratum 2
    mixed = {0: quarter, 1: half, 2: quarter}  # of an independent draw

    def excess(a: dict[int, Fraction], b: dict[int, Fraction]) -> Fraction:
        return sum(
            (p * q * max(y + z - 2, 0) for y, p in a.items() for z, q in b.items()), Fraction(0)
        )

    record.equal(excess(first, second), half, 0, "stratified")
    record.equal(excess(mixed, mixed), Fraction(3, 8), 0, "independent")
    record.exceeds(
        excess(first, second), excess(mixed, mixed), Fraction(1, 10), "stratified above independent"
    )


@claim(
    "stratified-latents-systematic",
    "False in general: one random offset for all strata does not raise the bias. It can be as "
    "biased as a single latent.",
    group="fails",
    source="this project",
    hypotheses="the mixture repeats with period 1/L; L = 2, 4, 8",
)
def verify_systematic(record: Record) -> None:
    for num_latents in (2, 4, 8):
        draw: Draw = [(0.5 / num_latents, y) for _ in range(num_latents) for y in (0.1, 0.9)]
        pair: Draw = [(0.5, 0.1), (0.5, 0.9)]
        systematic = systematic_bias(draw, num_latents)
        record.equal(
            systematic, bias(pair, 1), 1e-12, f"one offset and one latent, L={num_latents}"
        )
        record.exceeds(
            systematic,
            bias(pair, num_latents),
            0.1,
            f"one offset and independent latents, L={num_latents}",
        )
        stratified = stratified_bias(draw, num_latents)
        record.equal(
            stratified, bias(pair, num_latents), 1e-12, f"strata with the same law, L={num_latents}"
        )
