r"""Guidance in N parallel steps on two coordinates: its law, its correlations and its speed.

p is the conditional law, u the unconditional one; see guidance.py. In step k (from noise to data)
each masked coordinate is revealed with probability 1 / (N - k + 1), independently, from the tilt
$\pi_k \propto p^{1 + w_k} u^{-w_k}$ of its own law given what was revealed. MaskGIT's weights are a
ramp $w_k = w\,(k - 1) / (N - 1)$. Each coordinate is revealed in a step that is uniform, so

$$\mathrm{out}(x) = \frac{1}{N^2} \Big[ \sum_k \pi_k(x_1)\, \pi_k(x_2)
  + \sum_{i<j} \big( \pi_i(x_1)\, \pi_j(x_2 \mid x_1)
  + \pi_i(x_2)\, \pi_j(x_1 \mid x_2) \big) \Big].$$

Two symmetric bits of correlation $\theta = \tanh \psi$, u uniform: the tilt multiplies $\psi$ by
$1 + w$. So the result has the correlation

$$c_N = \frac{2}{N^2} \sum_k (k - 1) \tanh\big( (1 + w_k)\, \psi \big), \qquad
  TV(\mathrm{out}, p) = \tfrac12 |c_N - \theta| .$$

Without guidance it is $\theta (1 - 1/N)$: parallel steps lose correlation, and guidance gives some
back. A constant weight $w^* = \operatorname{artanh}(\theta N / (N-1)) / \psi - 1$ makes N steps
exact if $\theta < 1 - 1/N$. Larger weights overshoot.

In continuous time the law at time t differs from the final one by the probability that a coordinate
is still masked. Let Z be the sum of all tilted weights of the first reveal (not normalised) and m
the least of Z and of the sums Z(v) of the second one, after the first has shown v. At time t

$$TV \le t^m\, (1 + Z \log (1/t)) .$$

All sums are at least 1 and grow exponentially in w where p and u differ, so this falls doubly
exponentially in w. If p(. | v) = u(. | v) for some v, then Z(v) = 1 and TV stays of order t.
"""

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.decoding.guidance import SOURCE, guided, row_of, tilted
from theory.theorem1.pairs.uniform_pair import symmetric_law
from theory.tools import oracle
from theory.tools.laws import rational_law
from theory.tools.oracle import Law, State
from theory.tools.partly_masked import MASK, with_values

UNIFORM: Law = dict.fromkeys(oracle.all_states(2, 2), Fraction(1, 4))


def tilt(law: Law, base: Law, seen: State, d: int, weight: int) -> list[Fraction]:
    """The normalised tilt of coordinate d, given the unmasked values."""
    values = tilted(row_of(law, seen, d), row_of(base, seen, d), weight)
    return [v / sum(values) for v in values]


def sampled(law: Law, base: Law, weights: Sequence[int]) -> Law:
    """The law of the steps by enumeration of all partly masked states, from all-mask."""
    num_dims, num_steps = len(next(iter(law))), len(weights)
    now: Law = {(MASK,) * num_dims: Fraction(1)}
    for k, weight in enumerate(weights, start=1):
        reveal, then = Fraction(1, num_steps - k + 1), {}
        for seen, mass in now.items():
            masked = [d for d, v in enumerate(seen) if v == MASK]
            rows = [enumerate(tilt(law, base, seen, d, weight)) for d in masked]
            moves = [[(MASK, 1 - reveal), *((v, reveal * p) for v, p in row)] for row in rows]
            for choice in itertools.product(*moves):
                new = with_values(seen, {d: v for d, (v, _) in zip(masked, choice, strict=True)})
                then[new] = then.get(new, 0) + mass * math.prod(p for _, p in choice)
        now = then
    return {x: p for x, p in now.items() if MASK not in x}


def closed_form(law: Law, base: Law, weights: Sequence[int]) -> Law:
    """The closed form for two coordinates."""
    start = (MASK, MASK)
    first = [[tilt(law, base, start, d, w) for w in weights] for d in (0, 1)]
    result: Law = {}
    for x in law:
        second = [
            [tilt(law, base, with_values(start, {d: x[d]}), 1 - d, w)[x[1 - d]] for w in weights]
            for d in (0, 1)
        ]
        total = sum(first[0][k][x[0]] * first[1][k][x[1]] for k in range(len(weights)))
        for i, j in itertools.combinations(range(len(weights)), 2):
            total += sum(first[d][i][x[d]] * second[d][j] for d in (0, 1))
        result[x] = total / len(weights) ** 2
    return result


def correlation(theta: float, weights: Sequence[float]) -> float:
    """c_N of two symmetric bits."""
    psi = math.atanh(theta)
    terms = (k * math.tanh((1 + w) * psi) for k, w in enumerate(weights))
    return 2 / len(weights) ** 2 * math.fsum(terms)


def agreement(law: Law) -> Fraction:
    """E[s_1 s_2] of two bits as spins."""
    return law[0, 0] + law[1, 1] - law[0, 1] - law[1, 0]


def sums(law: Law, base: Law, weight: int) -> tuple[float, float]:
    """Z of the first reveal, and the least of the sums Z(v) of the second one."""
    size, start = max(map(max, law)) + 1, (MASK, MASK)
    first = sum(sum(tilted(row_of(law, start, d), row_of(base, start, d), weight)) for d in (0, 1))
    seen = [with_values(start, {d: v}) for d in (0, 1) for v in range(size)]
    later = [
        sum(tilted(row_of(law, x, x.index(MASK)), row_of(base, x, x.index(MASK)), weight))
        for x in seen
    ]
    return float(first), float(min(later))


def still_masked(law: Law, base: Law, weight: int, log_time: float) -> float:
    """The probability that a coordinate is masked at time exp(-log_time): master equation."""
    return math.fsum(p for x, p in guided(law, base, weight, log_time).items() if MASK in x)


@claim(
    "guidance-two-steps",
    "Guidance in N parallel steps, two coordinates: the law is the mean over the two steps of "
    "reveal, a product of tilts where they are the same and tilt times conditional tilt elsewhere.",
    group="beyond",
    source="this project; the ramp of MaskGIT",
    hypotheses="linear schedule, equal steps, independent reveals, weights normalised in each "
    "step; exact rationals",
)
def verify_steps(record: Record) -> None:
    """The law of all partly masked states, step by step, against the closed form."""
    rng = random.Random(0)
    for num_states, weights in ((2, [0, 1, 2]), (2, [3, 0]), (3, [0, 2]), (2, [0, 0, 0, 0])):
        law, base = (rational_law(rng, 2, num_states) for _ in range(2))
        made, right = sampled(law, base, weights), closed_form(law, base, weights)
        for x, p in right.items():
            record.equal(made[x], p, 0, f"S = {num_states}, weights {weights}: {x}")
        if not any(weights):  # without guidance: the masked pair of Theorem 1
            dependence = oracle.total_variation(law, oracle.independent(law))
            error = oracle.total_variation(made, law)
            record.equal(error, dependence / len(weights), 0, "no guidance")


@claim(
    "guidance-correlation",
    "Two symmetric bits, u uniform: guidance in N steps has the correlation (2/N^2) sum_k (k-1) "
    "tanh((1+w_k) psi), and TV is half its distance from theta.",
    group="beyond",
    source="this project; the ramp of MaskGIT",
    hypotheses="as guidance-two-steps; psi = artanh theta",
)
def verify_correlation(record: Record) -> None:
    """The closed form against the law step by step; a constant weight without any error."""
    for theta, weights in itertools.product((0.3, 0.6, -0.5), ([0, 1, 2, 3], [2, 2], [0, 0, 0])):
        law = symmetric_law(Fraction(theta).limit_denominator(10))
        made = sampled(law, UNIFORM, weights)
        what = f"theta = {theta}, weights {weights}"
        record.equal(float(agreement(made)), correlation(theta, weights), 1e-12, what)
        error = abs(correlation(theta, weights) - theta) / 2
        record.equal(float(oracle.total_variation(made, law)), error, 1e-12, f"TV, {what}")
    for theta, num_steps in ((0.3, 2), (0.6, 4)):
        best = math.atanh(theta * num_steps / (num_steps - 1)) / math.atanh(theta) - 1
        exact = correlation(theta, [best] * num_steps)
        record.equal(exact, theta, 1e-12, f"w* = {best:.3f}, theta = {theta}, N = {num_steps}")


@claim(
    "guidance-only-distorts",
    "False in general: guidance moves the generated law away from p. In few parallel steps it can "
    "bring it closer, because it gives back correlation that the steps lose.",
    group="fails",
    source="this project",
    hypotheses="two symmetric bits, u uniform; true for one coordinate",
)
def verify_distorts(record: Record) -> None:
    """Weight 1 against none in two steps; weight 9 is too much."""
    law = symmetric_law(Fraction(3, 10))
    none, some, much = (
        oracle.total_variation(sampled(law, UNIFORM, [w, w]), law) for w in (0, 1, 9)
    )
    record.exceeds(none, some, Fraction(1, 20), "weight 1 is better than none")
    record.exceeds(much, none, Fraction(1, 100), "weight 9 is worse than none")


@claim(
    "guidance-decay",
    "Guided masked diffusion of two coordinates at time t is at most t^m (1 + Z log(1/t)) in TV "
    "from its final law, with m the least sum of tilted weights; it decays doubly exponentially in "
    "w.",
    group="beyond",
    source=SOURCE,
    hypotheses="linear schedule, exact denoisers, rates not normalised; p and u differ given every "
    "value, so that m grows exponentially in w",
)
def verify_decay(record: Record) -> None:
    """The master equation at three times against the bound; m over the weights."""
    rng = random.Random(5)
    for num_states in (2, 3):
        law, base = (rational_law(rng, 2, num_states) for _ in range(2))
        for weight, log_time in itertools.product((0, 2, 4), (0.3, 1.0)):
            total, later = sums(law, base, weight)
            left = still_masked(law, base, weight, log_time)
            right = math.exp(-min(total, later) * log_time) * (1 + total * log_time)
            what = f"S = {num_states}, w = {weight}, log 1/t = {log_time}"
            record.at_most(left, right, what, largest=1)
        slowest = [min(sums(law, base, w)) for w in (0, 4, 8, 12)]
        record.equal(slowest[0], 1, 1e-12, f"m without guidance, S = {num_states}")
        for k in (1, 2):  # each sum is log-convex in w, and m is the least of them
            gain = (slowest[k + 1] - 1) / (slowest[k] - 1)
            record.exceeds(gain, 1, 0.1, f"m - 1 grows by a factor, S = {num_states}, w = {4 * k}")


@claim(
    "guidance-decay-always",
    "False in general: guidance decays doubly exponentially in w. If p and u agree given some "
    "value of one coordinate, TV at time t stays above a constant times t.",
    group="fails",
    source="this project",
    hypotheses="two bits; given x_1 = 1 the second bit has the same law under p and u",
)
def verify_decay_always(record: Record) -> None:
    """TV / t for growing weights, where x_1 = 1 is what guidance prefers."""
    values = ([1, 1, 4, 4], [4, 1, 2, 2])
    law, base = (oracle.law_from([Fraction(v, sum(r)) for v in r], 2, 2) for r in values)
    for weight in (0, 2, 4, 8, 12):
        for log_time in (1.0, 2.0):
            share = still_masked(law, base, weight, log_time) / math.exp(-log_time)
            record.exceeds(share, 0.3, 0, f"w = {weight}, log 1/t = {log_time}")
