r"""The lower bound of Theorem 1 holds for marginal-matching kernels, not for all product kernels.

A product kernel may use any law for each coordinate, as long as the coordinates are independent
given x_t. In three exact examples it beats the marginals of the true reverse kernel:

* One step of masked noise, two bits that always agree. The best product law has the error
  sqrt2 - 1, the product of the marginals has 1/2. No product law is better: `certified_minimum` of
  mixtures/one_component.py encloses the minimum over all product laws in rational arithmetic.
* Sequential generation is a product model. Step d draws coordinate d from its true conditional law
  given the coordinates drawn before. After D steps there is no error, for any law and any start.
  Repetition and parity on D bits need only two steps. So TV_N >= c/N fails for every N >= D.
* Uniform noise. The first noisy bit of q_T is a fair coin. One step that copies it to every
  coordinate generates D equal fair bits.

The lower bound needs kernels that match the marginals of the true reverse kernel. Training a
product denoiser on the usual losses leads to these kernels. Beyond the paper.
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
"""Maps x_t to the law of each coordinate of x_s, one dictionary each."""


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
    """p(x_d | x_known); the marginal of x_d where x_known has probability 0."""
    matching = {y: p for y, p in law.items() if all(y[i] == x[i] for i in known)}
    if not sum(matching.values()):
        matching = law
    total = sum(matching.values())
    return {v: p / total for v, p in oracle.marginals(matching)[d].items() if p}


def reveal(law: Law, known: Sequence[int], drawn: Sequence[int]) -> ProductKernel:
    """The kernel that draws `drawn` from their conditional laws given `known`; others stay."""

    def kernel(x_t: State) -> Choices:
        kept: Choices = [{value: Fraction(1)} for value in x_t]
        for d in drawn:
            kept[d] = conditional(law, x_t, known, d)
        return kept

    return kernel


def batches(law: Law, order: Sequence[Sequence[int]]) -> list[ProductKernel]:
    """The kernels that draw the coordinates batch by batch."""
    flat = [[d for batch in order[:k] for d in batch] for k in range(len(order))]
    return [reveal(law, known, batch) for known, batch in zip(flat, order, strict=True)]


def all_mask(num_dims: int, num_values: int) -> Law:
    """The start of masked generation: every coordinate is masked."""
    return {(num_values,) * num_dims: Fraction(1)}


@claim(
    "arbitrary-products-one-step",
    "False in general: the error of one product step is at least d_12. Two bits that always agree: "
    "the best product law has the error sqrt2 - 1, the marginals have d_12 = 1/2.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="masked noise, N = 1; the lower bound needs kernels that match the marginals",
)
def verify_one_step(record: Record) -> None:
    """The error sqrt2 - 1 is attained, no product law is below, the marginals have 1/2."""
    equal_bits = repetition(2)
    marginal = oracle.total_variation(masked_out(equal_bits, 1), equal_bits)
    record.equal(marginal, Fraction(1, 2), 0, "marginal-matching kernel")
    # The best probability of a one is 1/sqrt2; this is rounded down to a multiple of 2^-40.
    one = Fraction(math.isqrt(2**79), 2**40)
    row = {0: 1 - one, 1: one}
    out = generate(all_mask(2, 2), [lambda _: [row, row]])
    attained = oracle.total_variation(out, equal_bits)
    # sqrt2 - 1 <= TV holds if and only if 2 <= (1 + TV)^2, which needs no rounding.
    record.at_most(2, (1 + attained) ** 2, "attained, from above")
    record.at_most((1 + attained) ** 2, 2 + Fraction(1, 2**36), "attained within 2^-36")
    lower, upper = certified_minimum(2, Fraction(1, 2**12))
    record.at_most((1 + lower) ** 2, 2, "certificate over all product laws, from below")
    record.at_most(2, (1 + upper) ** 2, "certificate over all product laws, from above")
    record.at_most(upper - lower, Fraction(1, 2**12), "width of the certificate")
    record.exceeds(Fraction(1, 2), attained, 0.08, "d_12 exceeds the attained error")


@claim(
    "arbitrary-products-sequential",
    "False in general: TV_N >= c/N for every product model. Sequential generation has no error at "
    "N >= D.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="any law, order and start; the lower bound needs marginal-matching kernels",
)
def verify_sequential(record: Record) -> None:
    """Random laws (zeros too), orders and starts: no error at N >= D; d_12 / N is above it."""
    rng = random.Random(0)
    for num_dims, num_values in ((2, 2), (2, 4), (3, 2), (3, 3), (4, 2)):
        law = rational_law(rng, num_dims, num_values, least=-4)
        order = rng.sample(range(num_dims), num_dims)
        kernels = batches(law, [[d] for d in order])
        noisy = rational_law(rng, num_dims, num_values)
        for start in (all_mask(num_dims, num_values), noisy):
            out = generate(start, kernels)
            what = f"S = {num_values}, D = {num_dims}"
            record.vanishes(oracle.total_variation(out, law), 0, f"N = D, {what}")
            out = generate(start, [reveal(law, [], []), *kernels, reveal(law, order, [])])
            record.vanishes(oracle.total_variation(out, law), 0, f"N = D + 2, {what}")
    equal_bits = repetition(2)
    for num_steps in range(2, 9):
        kernels = batches(equal_bits, [[0], [1], *[[]] * (num_steps - 2)])
        free = oracle.total_variation(generate(all_mask(2, 2), kernels), equal_bits)
        matched = oracle.total_variation(masked_out(equal_bits, num_steps), equal_bits)
        record.equal(matched, Fraction(1, 2 * num_steps), 0, f"marginal-matching, N = {num_steps}")
        record.exceeds(matched, free, 0.4 / num_steps, f"d_12 / N is above, N = {num_steps}")


@claim(
    "arbitrary-products-two-steps",
    "Two product steps generate repetition and parity on D bits without error.",
    group="beyond",
    source="this project",
    hypotheses="masked noise. Repetition: one bit first, then the others. Parity: all but one bit "
    "first, then the last",
)
def verify_two_steps(record: Record) -> None:
    """Both laws at D = 2, ..., 6."""
    for num_dims in range(2, 7):
        rest = list(range(1, num_dims))
        for name, law, order in (
            ("repetition", repetition(num_dims), [[0], rest]),
            ("parity", parity(num_dims), [rest, [0]]),
        ):
            out = generate(all_mask(num_dims, 2), batches(law, order))
            record.vanishes(oracle.total_variation(out, law), 0, f"{name}, D = {num_dims}")


@claim(
    "arbitrary-products-uniform",
    "False in general: one product step under uniform noise has an error. For D equal bits, "
    "copying the first noisy bit to every coordinate has none.",
    group="fails",
    source="this project; a limit of Theorem 1",
    hypotheses="N = 1, any alpha_T; the lower bound needs marginal-matching kernels",
)
def verify_uniform(record: Record) -> None:
    """D equal bits for D = 2, 3, 4: the copying kernel against the marginal-matching kernel."""

    def copy_first(x_t: State) -> Choices:
        return [{x_t[0]: Fraction(1)}] * len(x_t)

    for num_dims, alpha in itertools.product((2, 3, 4), (Fraction(0), Fraction(1, 3))):
        law = repetition(num_dims)
        kernel = oracle.uniform_kernel(alpha, 2)
        start = oracle.noised(law, kernel)
        free = oracle.total_variation(generate(start, [copy_first]), law)
        matched = oracle.total_variation(oracle.compose(law, [kernel]), law)
        what = f"D = {num_dims}, alpha_T = {alpha}"
        record.vanishes(free, 0, f"copying, {what}")
        record.exceeds(matched, free, 0.3, f"marginal-matching, {what}")
