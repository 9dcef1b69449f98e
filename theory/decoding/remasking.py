r"""Remasking with product steps: what it reaches for a masked pair, and what it cannot reach.

ReMDM's sampler masks an unmasked coordinate again with probability $\sigma_k$ in the step from
$t_k$ to $t_{k-1}$. A masked one is revealed with probability
$b_k = (\alpha_{k-1} - (1 - \sigma_k)\alpha_k) / (1 - \alpha_k)$. Then the true kernel leads from
each $q_{t_k}$ to the next. Here each coordinate follows the product kernel.

Two coordinates err only where both are revealed in the same step, and a later mask on either of
them repairs the error. Let $g_k = \alpha_k \prod_{j \le k} (1 - \sigma_j)$. Then

$$TV_N = d_{12} \sum_k (g_{k-1} - g_k)^2 \ge d_{12}\, (1 - g_N)^2 / N.$$

So remasking acts like another schedule g in place of alpha. It cannot beat the grid that is
equispaced in alpha without remasking. At a fixed rate of remasking the error still falls like 1/N.
On an uneven grid remasking does help, if it makes g more even.
"""

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import rational_law
from theory.tools.oracle import Law
from theory.tools.partly_masked import MASK, conditional, with_values

SOURCE = "this project, for the sampler of ReMDM"


def sampled(law: Law, alphas: Sequence[Fraction], sigmas: Sequence[Fraction]) -> Law:
    """The law at time 0 of the product sampler, from all-mask, by enumeration of all states.

    Entry k of `alphas` is alpha at t_k, entry k of `sigmas` the remasking in the step from t_k.
    """
    num_dims = len(next(iter(law)))
    now: Law = {(MASK,) * num_dims: Fraction(1)}
    for k in range(len(alphas) - 1, 0, -1):
        reveal = (alphas[k - 1] - (1 - sigmas[k]) * alphas[k]) / (1 - alphas[k])
        then: Law = {}
        for seen, mass in now.items():
            rows, moves = conditional(law, seen), []
            for d, v in enumerate(seen):
                if v == MASK:
                    shown = [(value, reveal * p) for value, p in rows[d].items()]
                    moves.append([(MASK, 1 - reveal), *shown])
                else:
                    moves.append([(v, 1 - sigmas[k]), (MASK, sigmas[k])])
            for choice in itertools.product(*moves):
                step = mass * math.prod(p for _, p in choice)
                if step:
                    new = with_values(seen, {d: v for d, (v, _) in enumerate(choice)})
                    then[new] = then.get(new, 0) + step
        now = then
    return now


def effective(alphas: Sequence[Fraction], sigmas: Sequence[Fraction]) -> list[Fraction]:
    """The schedule g."""
    result, kept = [alphas[0]], Fraction(1)
    for alpha, sigma in zip(alphas[1:], sigmas[1:], strict=True):
        kept *= 1 - sigma
        result.append(alpha * kept)
    return result


def closed_form(law: Law, alphas: Sequence[Fraction], sigmas: Sequence[Fraction]) -> Fraction:
    """d_12 times the sum of the squared differences of g."""
    g = effective(alphas, sigmas)
    dependence = oracle.total_variation(law, oracle.independent(law))
    return dependence * sum((a - b) ** 2 for a, b in itertools.pairwise(g))


def even(num_steps: int) -> list[Fraction]:
    """The linear schedule on the uniform grid."""
    return [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]


def at_rate(alphas: Sequence[Fraction], rate: Fraction) -> list[Fraction]:
    """Remasking with probability rate / N in each step, at most what the marginals allow."""
    share = rate / (len(alphas) - 1)
    first = [Fraction(0)]
    rest = [
        min(share, 1 - earlier) if later else Fraction(0)
        for earlier, later in itertools.pairwise(alphas)
    ]
    return first + rest


@claim(
    "remasking-pair",
    "Masked pair with remasking: TV_N = d_12 sum_k (g_{k-1} - g_k)^2, where g_k = alpha_k "
    "prod_{j<=k} (1 - sigma_j).",
    group="beyond",
    source=SOURCE,
    hypotheses="D = 2, any vocabulary, schedule and remasking; start all-mask; exact rationals",
)
def verify_pair(record: Record) -> None:
    """The closed form against the law of all states; sigma = 0 is the masked pair of Theorem 1."""
    rng = random.Random(0)
    for num_states, num_steps, rate in itertools.product((2, 3), (1, 2, 5), (0, 1, 3)):
        law = rational_law(rng, 2, num_states)
        cuts = sorted(rng.sample(range(1, 40), num_steps - 1))
        for alphas in (even(num_steps), [Fraction(40 - c, 40) for c in (0, *cuts, 40)]):
            sigmas = at_rate(alphas, Fraction(rate))
            left = oracle.total_variation(sampled(law, alphas, sigmas), law)
            what = f"S = {num_states}, N = {num_steps}, rate {rate}"
            record.equal(left, closed_form(law, alphas, sigmas), 0, what)


@claim(
    "remasking-no-gain",
    "No remasking brings a masked pair below d_12 / N in N product steps, which the equispaced "
    "alpha reach without it.",
    group="beyond",
    source=SOURCE,
    hypotheses="D = 2; alpha_N = 0; sigma_k chosen in advance; exact rationals",
)
def verify_no_gain(record: Record) -> None:
    """Random remasking on even and uneven grids; at a fixed rate N TV_N stays bounded."""
    rng = random.Random(1)
    law = rational_law(rng, 2, 2)
    dependence = oracle.total_variation(law, oracle.independent(law))
    for num_steps in (2, 3, 5, 8):
        least = dependence / num_steps
        record.equal(closed_form(law, even(num_steps), [0] * (num_steps + 1)), least, 0, "without")
        for k in range(6):
            cuts = sorted(rng.sample(range(1, 40), num_steps - 1))
            alphas = even(num_steps) if k % 2 else [Fraction(40 - c, 40) for c in (0, *cuts, 40)]
            sigmas = [s * rng.randint(0, 8) / 8 for s in at_rate(alphas, Fraction(num_steps))]
            left = oracle.total_variation(sampled(law, alphas, sigmas), law)
            record.at_most(least, left, f"N = {num_steps}, #{k}")
    for num_steps in (16, 64, 256):
        alphas = even(num_steps)
        right = closed_form(law, alphas, at_rate(alphas, Fraction(1)))
        record.at_most(num_steps * right, 2 * dependence, f"N TV_N, N = {num_steps}")


@claim(
    "remasking-always-helps",
    "False in general: remasking corrects errors and so lowers the error in N steps. For a masked "
    "pair on the uniform grid it raises it, at every rate.",
    group="fails",
    source=SOURCE,
    hypotheses="linear schedule; on a grid that is uneven in alpha it can help",
)
def verify_always_helps(record: Record) -> None:
    """Even grid: larger than without. Uneven grid: an example in which it is smaller."""
    rng = random.Random(2)
    law = rational_law(rng, 2, 2)
    for num_steps, rate in itertools.product((3, 6), (1, 2)):
        alphas = even(num_steps)
        with_it = oracle.total_variation(sampled(law, alphas, at_rate(alphas, Fraction(rate))), law)
        without = closed_form(law, alphas, [Fraction(0)] * (num_steps + 1))
        record.exceeds(with_it, without, 0, f"even grid, N = {num_steps}, rate {rate}")
    alphas = [Fraction(1), Fraction(9, 10), Fraction(8, 10), Fraction(0)]
    sigmas = [Fraction(0), Fraction(1, 10), Fraction(2, 10), Fraction(0)]
    with_it = oracle.total_variation(sampled(law, alphas, sigmas), law)
    without = oracle.total_variation(sampled(law, alphas, [Fraction(0)] * 4), law)
    record.exceeds(without, with_it, 0, "uneven grid: remasking helps")
