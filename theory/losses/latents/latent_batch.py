r"""The marginal part of the data term charges a latent for the information that it carries.

Training estimates the marginal part $\sum_d \mathrm{KL}(r^d \| \bar p^d)$ with L sampled latents,
so $\bar p^d$ is the mean of L sampled components. For a perfect student the true value is 0. The
estimate is positive as soon as components differ, and they must differ to carry correlations.

The example throughout: S equally likely components, D coordinates. Component k gives the value k
probability $1 - \delta$ in every coordinate and shares $\delta$ among the other values. The
marginals are uniform and the student is exact. With $n \sim \mathrm{Bin}(L, 1/S)$ the number of
sampled latents with a given component, the charge of one coordinate is

$$c_L = \mathbb E\big[-\log (S \bar p_n)\big], \qquad
  \bar p_n = \tfrac1L \big( n (1 - \delta) + (L - n) \tfrac{\delta}{S-1} \big).$$

* With $\delta = 0.05$ and S = 64 this is 2.63 nats at L = 4, 2.00 at 16, 0.87 at 64 and 0.15 at
  256. It depends on S/L alone when both are large:
  $c_L \to \mathbb E[-\log(\delta + (1 - \delta) \rho\, n)]$ with $n \sim \mathrm{Poisson}(1/\rho)$
  and $\rho = S/L$.
* Let the two parts have the weights $\alpha$ and $\beta$, and let $b_L$ be the bias of $-\log p$.
  The whole charge is $\alpha\, b_L + (\beta - \alpha) D c_L$. The gain of the perfect student over
  a product student is $\alpha\, \mathrm{TC}$.
* The published weights are $\alpha \le 0.1$ and $\beta = 1$. At D = 2, S = 64 and L <= 64 a product
  student, which carries nothing, then has a lower expected loss than the perfect student.
* Equal weights need fewer latents but do not remove the charge. The perfect student has the lower
  loss from L = S on, and the product student up to L = S/2.
* Stratified latents cover the components evenly. If L divides S the charge is
  $-\log S - \frac LS \log \bar p_1 - (1 - \frac LS) \log \bar p_0$ in every batch. If S divides L
  it is 0.

None of this is in the paper.
"""

import itertools
import math

import torch
from scipy.stats import poisson

from di4c.latents import FiniteLatent, latent_batches
from di4c.likelihood import DenseMixture
from di4c.losses import Target, data_loss
from theory.claim import Record, claim
from theory.losses.latents.jensen_bias import (
    Draw,
    integral_bias,
    multinomial_counts,
    two_point_bias,
)
from theory.tools.extrapolation import extrapolate

DELTA = 0.05
SIZES = (4, 16, 32, 64, 256)


def component_values(num_states: int, delta: float = DELTA) -> Draw:
    """The law, over latents, of the probability that a component gives to one value."""
    return [(1 / num_states, 1 - delta), (1 - 1 / num_states, delta / (num_states - 1))]


def charge(num_states: int, num_latents: int, delta: float = DELTA) -> float:
    """c_L in nats: the expected marginal part of one coordinate of the perfect student."""
    return two_point_bias(component_values(num_states, delta), num_latents)


def joint_bias(num_states: int, num_latents: int, delta: float = DELTA) -> float:
    """The bias b_L of -log p for D = 2, averaged over x, by the multinomial law of the latents.

    A state with equal coordinates has two kinds of latents: that of its value, and the others. A
    state with different coordinates has two as well: one of either value, and the others.
    """
    a, b = 1 - delta, delta / (num_states - 1)
    equal: Draw = [(1 / num_states, a * a), (1 - 1 / num_states, b * b)]
    different: Draw = [(2 / num_states, a * b), (1 - 2 / num_states, b * b)]
    share = num_states * sum(w * y for w, y in equal)
    mean = share * two_point_bias(equal, num_latents)
    if num_states == 2:  # every latent gives states with different coordinates the same likelihood
        return mean
    return mean + (1 - share) * two_point_bias(different, num_latents)


def total_correlation(num_states: int, delta: float = DELTA) -> float:
    """TC of the student's law at D = 2: its mutual information, by the two kinds of states."""
    a, b = 1 - delta, delta / (num_states - 1)
    equal = (a * a + (num_states - 1) * b * b) / num_states
    different = (2 * a * b + (num_states - 2) * b * b) / num_states
    return num_states * equal * math.log(equal * num_states**2) + num_states * (
        num_states - 1
    ) * different * math.log(different * num_states**2)


def components(num_states: int, num_dims: int, delta: float) -> torch.Tensor:
    """Log-probabilities of the S components, (S, D, S)."""
    eye = torch.eye(num_states, dtype=torch.float64)
    rows = eye * (1 - delta) + (1 - eye) * delta / (num_states - 1)
    return rows.log()[:, None].expand(-1, num_dims, -1)


def library_terms(
    num_states: int, num_latents: int, delta: float, num_dims: int = 2
) -> tuple[float, float]:
    """Expected (correlation, marginal) part of the library's data loss of the perfect student.

    Every batch of latents, up to order, and every x_0, with its probability.
    """
    parts = components(num_states, num_dims, delta)
    log_weights = torch.full((num_latents,), -math.log(num_latents), dtype=torch.float64)
    states = torch.cartesian_prod(*[torch.arange(num_states)] * num_dims)
    likelihoods = parts.exp()[:, torch.arange(num_dims), states].prod(-1).mean(0)  # (S^D,)
    uniform = torch.full(
        (len(states), num_dims, num_states), -math.log(num_states), dtype=torch.float64
    )
    target = Target.from_samples(states[:, None], uniform)
    correlation = marginal = 0.0
    for counts in multinomial_counts(num_latents, num_states):
        latents = [k for k, count in enumerate(counts) for _ in range(count)]
        ways = math.factorial(num_latents) / math.prod(map(math.factorial, counts))
        weight = ways / num_states**num_latents
        student = DenseMixture(parts[latents].expand(len(states), -1, -1, -1), log_weights)
        terms = data_loss(student, target)
        correlation += weight * float(likelihoods @ terms.correlation)
        marginal += weight * float(likelihoods @ terms.marginal)
    return correlation, marginal


@claim(
    "latent-batch-charge",
    "The marginal part charges a perfect student E[-log(S pbar_n)] nats a coordinate, n ~ Bin(L, "
    "1/S).",
    group="beyond",
    source="this project",
    hypotheses="S equally likely components, L independent latents; pbar_n is the mean of the "
    "sampled components at a value whose component is sampled n times",
)
def verify_charge(record: Record) -> None:
    """The binomial sum against the library's loss on every batch and against an integral."""
    for num_states, num_latents, delta in itertools.product((2, 3, 4), (1, 2, 5), (0.05, 0.3)):
        _, marginal = library_terms(num_states, num_latents, delta)
        what = f"S = {num_states}, L = {num_latents}, delta = {delta}"
        record.equal(
            marginal, 2 * charge(num_states, num_latents, delta), 1e-12, f"library, {what}"
        )
    for num_latents in SIZES:
        other = integral_bias([component_values(64)] * num_latents)
        record.equal(charge(64, num_latents), other, 1e-9, f"integral, S = 64, L = {num_latents}")
    charges = [charge(64, num_latents) for num_latents in SIZES]
    for (few, high), (many, low) in itertools.pairwise(zip(SIZES, charges, strict=True)):
        record.exceeds(high, low, 0.5, f"less charge at L = {many} than at {few}, S = 64")


def limiting_charge(ratio: float, delta: float) -> float:
    """E[-log(delta + (1 - delta) ratio n)], n ~ Poisson(1 / ratio)."""
    most = int(1 / ratio + 40 + 20 / math.sqrt(ratio))
    return -sum(
        poisson.pmf(n, 1 / ratio) * math.log(delta + (1 - delta) * ratio * n)
        for n in range(most + 1)
    )


@claim(
    "latent-batch-ratio",
    "For large S the charge depends on S/L alone: E[-log(delta + (1-delta) (S/L) n)], n ~ "
    "Poisson(L/S).",
    group="beyond",
    source="this project",
    hypotheses="S/L fixed, S to infinity; the components have error delta; Richardson limits of "
    "the binomial sums",
)
def verify_ratio(record: Record) -> None:
    """S/L from 1/4 to 16, two values of delta."""
    for ratio, delta in itertools.product((0.25, 1, 4, 16), (0.05, 0.3)):
        sizes = [64 * 2**k for k in range(6)]
        values = [charge(size, round(size / ratio), delta) for size in sizes]
        limit, what = limiting_charge(ratio, delta), f"S/L = {ratio}, delta = {delta}"
        record.equal(extrapolate(values), limit, 1e-9, what)
        record.exceeds(abs(values[0] - limit), 0, 1e-6, f"S = 64 is not yet the limit, {what}")


@claim(
    "latent-batch-weights",
    "With weights alpha and beta of the two parts the perfect student is charged alpha b_L + (beta "
    "- alpha) D c_L.",
    group="beyond",
    source="this project",
    hypotheses="D = 2; b_L is the bias of -log p, c_L the charge of the marginal part for a "
    "coordinate",
)
def verify_weights(record: Record) -> None:
    """The library's two parts on every batch; the closed forms of both biases."""
    for num_states, num_latents, delta in itertools.product((2, 3, 4), (1, 2, 5), (0.05, 0.3)):
        correlation, marginal = library_terms(num_states, num_latents, delta)
        single, joint = (f(num_states, num_latents, delta) for f in (charge, joint_bias))
        truth = -total_correlation(num_states, delta)
        what = f"S = {num_states}, L = {num_latents}, delta = {delta}"
        for alpha, beta in ((1.0, 1.0), (0.1, 1.0), (0.1, 0.1), (0.5, 0.0)):
            left = alpha * correlation + beta * marginal - alpha * truth
            right = alpha * joint + (beta - alpha) * 2 * single
            record.equal(left, right, 1e-11, f"alpha = {alpha}, beta = {beta}, {what}")


@claim(
    "latent-batch-prefers-products",
    "False in general: with the published weights, alpha <= 0.1 and 1, the perfect student has the "
    "least loss. A student without correlations has less.",
    group="fails",
    source="this project; the weights are the paper's",
    hypotheses="D = 2, S = 64, delta = 0.05, L <= 64 independent latents",
)
def verify_prefers_products(record: Record) -> None:
    """Loss 0 for the product student, whose parts are both 0, against the perfect student."""
    gain = total_correlation(64)
    for num_latents in (4, 16, 32, 64):
        excess = 0.1 * joint_bias(64, num_latents) + 0.9 * 2 * charge(64, num_latents)
        perfect = excess - 0.1 * gain
        record.exceeds(perfect, 0, 0.5, f"published weights, L = {num_latents}")


@claim(
    "latent-batch-equal-weights",
    "With equal weights the perfect student has less loss than a product student from L = S on, "
    "more for L <= S/2.",
    group="beyond",
    source="this project",
    hypotheses="D = 2, S = 64, delta = 0.05, independent latents",
)
def verify_equal_weights(record: Record) -> None:
    """The data term of the product student is 0; that of the perfect student is b_L - TC."""
    gain = total_correlation(64)
    for num_latents in (64, 128, 256):
        record.exceeds(
            gain,
            joint_bias(64, num_latents),
            0.2,
            f"the perfect student has less loss, L = {num_latents}",
        )
    for num_latents in (4, 16, 32):
        record.exceeds(
            joint_bias(64, num_latents),
            gain,
            0.2,
            f"the product student has less loss, L = {num_latents}",
        )


def stratified_charge(num_states: int, num_latents: int, delta: float) -> float:
    """The charge of one coordinate when L divides S or S divides L; the same in every batch."""
    if num_latents % num_states == 0:
        return 0.0
    rest = delta / (num_states - 1)
    covered = rest + (1 - delta - rest) / num_latents
    share = num_latents / num_states
    return -math.log(num_states) - share * math.log(covered) - (1 - share) * math.log(rest)


@claim(
    "latent-batch-stratified",
    "Stratified latents are not charged if S divides L, and less than independent ones if L "
    "divides S.",
    group="beyond",
    source="this project",
    hypotheses="S equally likely components, numbered by the latent; the charge is the same in "
    "every batch",
)
def verify_stratified(record: Record) -> None:
    """The library's own stratified latents and loss, against the closed form."""
    generator = torch.Generator().manual_seed(0)
    for num_states, num_latents in ((64, 16), (64, 32), (64, 64), (64, 128), (12, 4), (6, 18)):
        law = FiniteLatent(torch.arange(num_states))
        latents = latent_batches(law, (3, num_latents), stratified=True, generator=generator)
        student = DenseMixture(
            components(num_states, 2, DELTA)[latents],
            torch.full((num_latents,), -math.log(num_latents), dtype=torch.float64),
        )
        uniform = torch.full((3, 2, num_states), -math.log(num_states), dtype=torch.float64)
        target = Target.from_samples(torch.zeros(3, 1, 2, dtype=torch.long), uniform)
        closed = stratified_charge(num_states, num_latents, DELTA)
        what = f"S = {num_states}, L = {num_latents}"
        for value in (data_loss(student, target).marginal / 2).tolist():
            record.equal(value, closed, 1e-12, what)
        record.exceeds(charge(num_states, num_latents), closed, 0.05, f"independent, {what}")
