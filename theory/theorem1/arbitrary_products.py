r"""The lower bound of Theorem 1 speaks of marginal-matching kernels, not of all product kernels.

A product kernel may choose anything for each coordinate, as long as the choices are independent
given x_t. Three ways in which it beats the marginals of the true reverse kernel, all exact:

* One step, masked, HALF = (00 + 11)/2: the best product law errs by sqrt2 - 1, the marginals by
  1/2. Nothing does better: `one_component.certified_minimum` encloses the minimum over all product
  laws in rational arithmetic.
* Sequential generation is a product model: step d draws coordinate d from its true conditional
  given the coordinates drawn before. D steps, no error, any law, any start. Repetition and parity
  on D bits need two steps only. So TV_N >= c/N fails for every N >= D (HALF: N >= 2).
* Uniform noise carries randomness: copying the first noisy bit turns q_T into D equal fair bits in
  one step.

What the lower bound needs is that the kernels match the marginals, which is what training a product
denoiser on the usual losses converges to. Beyond the paper.
"""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

from theory.claim import Record, claim
from theory.mixtures.one_component import certified_minimum
from theory.tools import oracle
from theory.tools.laws import parity, rational_law, repetition
from theory.tools.oracle import Law, Number, State
from theory.tools.unmasking import masked_out

Choices = list[dict[int, Number]]
ProductKernel = Callable[[State], Choices]
"""Laws of the coordinates of x_s given x_t, one dictionary each."""


def generate(start: Law, kernels: Sequence[ProductKernel]) -> Law:
    """Law after the product kernels, applied in order."""
    law = start
    for kernel in kernels:
        image: Law = {}
        for x_t, p in law.items():
            for choice in itertools.product(*(row.items() for row in kernel(x_t))) if p else ():
                x_s = tuple(value for value, _ in choice)
                mass = p
                for _, q in choice:
                    mass *= q
                image[x_s] = image.get(x_s, 0) + mass
        law = image
    return law


def conditional(law: Law, x: State, known: Sequence[int], d: int) -> dict[int, Number]:
    """p(x_d | x_known); the marginal where the condition has no mass."""
    matching = {y: p for y, p in law.items() if all(y[i] == x[i] for i in known)}
    if not sum(matching.values()):
        matching = law
    total = sum(matching.values())
    return {v: p / total for v, p in oracle.marginals(matching)[d].items() if p}


def reveal(law: Law, known: Sequence[int], drawn: Sequence[int]) -> ProductKernel:
    """Draw some coordinates from their conditionals given the known ones, keep all others."""

    def kernel(x_t: State) -> Choices:
        kept: Choices = [{value: Fraction(1)} for value in x_t]
        for d in drawn:
            kept[d] = conditional(law, x_t, known, d)
        return kept

    return kernel


def batches(law: Law, order: Sequence[Sequence[int]]) -> list[ProductKernel]:
    """Draw the coordinates batch by batch."""
    flat = [[d for batch in order[:k] for d in batch] for k in range(len(order))]
    return [reveal(law, known, batch) for known, batch in zip(flat, order, strict=True)]


def all_mask(num_dims: int, num_values: int) -> Law:
    """The start of masked generation."""
    return {(num_values,) * num_dims: Fraction(1)}


@claim(
    "arbitrary-products-one-step",
    "False in general: no product step beats d_12. HALF: sqrt2 - 1, certified, against 1/2",
    group="fails",
    source="this project (Theorem 1, lower bound)",
    hypotheses="masked, N = 1; the bound needs kernels that match the marginals",
)
def verify_one_step(record: Record) -> None:
    """Masked HALF, N = 1: sqrt2 - 1 is attained, nothing is below, the marginals give 1/2."""
    half = repetition(2)
    marginal = oracle.total_variation(masked_out(half, 1), half)
    record.equal(marginal, Fraction(1, 2), 0, "marginal-matching kernel")
    # The best probability of a one, 1/sqrt2, rounded down to a multiple of 2^-40.
    one = Fraction(math.isqrt(2**79), 2**40)
    row = {0: 1 - one, 1: one}
    attained = oracle.total_variation(generate(all_mask(2, 2), [lambda _: [row, row]]), half)
    # sqrt2 - 1 <= TV iff 2 <= (1 + TV)^2: no rounding.
    record.at_most(2, (1 + attained) ** 2, "attained, from above")
    record.at_most((1 + attained) ** 2, 2 + Fraction(1, 2**36), "attained within 2^-36")
    lower, upper = certified_minimum(2, Fraction(1, 2**12))
    record.at_most((1 + lower) ** 2, 2, "certificate over all product laws, from below")
    record.at_most(2, (1 + upper) ** 2, "certificate over all product laws, from above")
    record.at_most(upper - lower, Fraction(1, 2**12), "width of the certificate")
    record.exceeds(Fraction(1, 2), attained, 0.08, "naive bound d_12 / N at N = 1")


@claim(
    "arbitrary-products-sequential",
    "False in general: TV_N >= c/N for product models. Sequential generation: 0 at N >= D",
    group="fails",
    source="this project (Theorem 1, lower bound)",
    hypotheses="any law, order and start; the bound needs marginal-matching kernels",
)
def verify_sequential(record: Record) -> None:
    """N >= D: no error, any law (zeros too), any order, any start; d_12 / N is violated."""
    rng = random.Random(0)
    for num_dims, num_values in ((2, 2), (2, 4), (3, 2), (3, 3), (4, 2)):
        law = rational_law(rng, num_dims, num_values, least=-4)
        order = rng.sample(range(num_dims), num_dims)
        kernels = batches(law, [[d] for d in order])
        noisy = rational_law(rng, num_dims, num_values)
        for start in (all_mask(num_dims, num_values), noisy):
            out = generate(start, kernels)
            what = f"S = {num_values}, D = {num_dims}"
            record.equal(oracle.total_variation(out, law), 0, 0, f"N = D, {what}")
            out = generate(start, [reveal(law, [], []), *kernels, reveal(law, order, [])])
            record.equal(oracle.total_variation(out, law), 0, 0, f"N = D + 2, {what}")
    half = repetition(2)
    for num_steps in range(2, 9):
        kernels = batches(half, [[0], [1], *[[]] * (num_steps - 2)])
        free = oracle.total_variation(generate(all_mask(2, 2), kernels), half)
        matched = oracle.total_variation(masked_out(half, num_steps), half)
        record.equal(matched, Fraction(1, 2 * num_steps), 0, f"marginal-matching, N = {num_steps}")
        record.exceeds(matched, free, 0.4 / num_steps, f"naive d_12 / N, N = {num_steps}")


@claim(
    "arbitrary-products-two-steps",
    "repetition and parity on D bits: two product steps without error",
    group="beyond",
    source="this project",
    hypotheses="masked; first one bit (all but one), then the rest given it",
)
def verify_two_steps(record: Record) -> None:
    """Repetition and parity on D bits without error at N = 2."""
    for num_dims in range(2, 7):
        rest = list(range(1, num_dims))
        for name, law, order in (
            ("repetition", repetition(num_dims), [[0], rest]),
            ("parity", parity(num_dims), [rest, [0]]),
        ):
            out = generate(all_mask(num_dims, 2), batches(law, order))
            record.equal(oracle.total_variation(out, law), 0, 0, f"{name}, D = {num_dims}")


@claim(
    "arbitrary-products-uniform",
    "False in general: TV_1 > 0 for product models. D equal bits, uniform noise: 0 by copying",
    group="fails",
    source="this project (Theorem 1, lower bound)",
    hypotheses="q_T is symmetric in every bit; any alpha_T",
)
def verify_uniform(record: Record) -> None:
    """D equal fair bits under uniform noise: copy the first bit, N = 1."""

    def copy_first(x_t: State) -> Choices:
        return [{x_t[0]: Fraction(1)}] * len(x_t)

    for num_dims, alpha in itertools.product((2, 3, 4), (Fraction(0), Fraction(1, 3))):
        law = repetition(num_dims)
        kernel = oracle.uniform_kernel(alpha, 2)
        start = oracle.noised(law, kernel)
        free = oracle.total_variation(generate(start, [copy_first]), law)
        matched = oracle.total_variation(oracle.compose(law, [kernel]), law)
        what = f"D = {num_dims}, alpha_T = {alpha}"
        record.equal(free, 0, 0, f"copying, {what}")
        record.exceeds(matched, free, 0.3, f"marginal-matching above copying, {what}")
