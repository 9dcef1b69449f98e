r"""Random masks instead of one: what they add to a single parallel step, and what they do not.

With one mask state the first step starts from the same state always, so it generates a product. Let
each of the D masks carry a random one of M labels, which the denoiser sees. Then one step generates
a mixture of $M^D$ products with equal weights: the labels are a shared latent. So every law whose
probabilities are multiples of $M^{-D}$ can be generated in one step, and every other one up to
$S^D M^{-D} / 4$ in total variation.

This needs a denoiser that is trained to use the labels, as a student in Di4C uses its latent. The
exact denoiser of the noise does not: labels that are independent of the data tell it nothing.

IMDM (arXiv 2605.10518) states that random masks lift the factorisation error; we know its abstract
only. The construction is ours.
"""

import itertools
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import parity, rational_law, repetition
from theory.tools.oracle import Law, State

SOURCE = "IMDM, arXiv 2605.10518, as stated in the abstract; the construction: this project"


def targets(law: Law, num_labels: int) -> dict[State, State]:
    """A denoiser that is sure of one state for each vector of labels, by largest remainders."""
    num_dims = len(next(iter(law)))
    labels = oracle.all_states(num_dims, num_labels)
    shares = {x: p * len(labels) for x, p in law.items()}
    counts = {x: int(share) for x, share in shares.items()}
    order = sorted(law, key=lambda x: counts[x] - shares[x])
    for x in order[: len(labels) - sum(counts.values())]:
        counts[x] += 1
    chosen = itertools.chain.from_iterable([x] * count for x, count in counts.items())
    return dict(zip(labels, chosen, strict=True))


def generated(denoiser: dict[State, State], law: Law) -> Law:
    """The law of one step from random labels: each coordinate is a point mass given the labels."""
    result = dict.fromkeys(law, Fraction(0))
    for x in denoiser.values():
        result[x] += Fraction(1, len(denoiser))
    return result


def exact_denoiser(law: Law, num_labels: int) -> Law:
    """The law of one step of the exact denoiser of the noise, by Bayes' rule over the labels."""
    num_dims = len(next(iter(law)))
    joint: dict[State, Law] = {}
    for x, p in law.items():
        for labels in oracle.all_states(num_dims, num_labels):
            joint.setdefault(labels, {})[x] = p / num_labels**num_dims
    result = dict.fromkeys(law, Fraction(0))
    for part in joint.values():
        mass = sum(part.values())
        product = oracle.independent({x: p / mass for x, p in part.items()})
        for x, q in product.items():
            result[x] += mass * q
    return result


@claim(
    "random-masks-step",
    "One step from masks with M random labels can generate every law with probabilities in "
    "multiples of M^-D, and every law up to S^D M^-D / 4.",
    group="beyond",
    source=SOURCE,
    hypotheses="a denoiser that reads all labels and is trained for it; exact rationals",
)
def verify_step(record: Record) -> None:
    """Repetition and parity without error; random laws within the bound, with more labels less."""
    for num_dims in (2, 3, 4):
        for name, law in (("parity", parity(num_dims)), ("repetition", repetition(num_dims))):
            left = oracle.total_variation(generated(targets(law, 2), law), law)
            record.vanishes(left, 0, f"{name}, D = {num_dims}, two labels")
    rng = random.Random(0)
    for (num_dims, num_states), num_labels in itertools.product(
        ((2, 2), (3, 2), (2, 3)), (3, 5, 9)
    ):
        law = rational_law(rng, num_dims, num_states)
        left = oracle.total_variation(generated(targets(law, num_labels), law), law)
        bound = Fraction(num_states**num_dims, 4 * num_labels**num_dims)
        record.at_most(
            left, bound, f"D = {num_dims}, S = {num_states}, {num_labels} labels", largest=1
        )


@claim(
    "random-masks-exact-denoiser",
    "False in general: random masks lift the factorisation error. The exact denoiser of noise with "
    "random labels generates the same product as with one mask.",
    group="fails",
    source="this project",
    hypotheses="labels that are independent of the data; one step; exact rationals",
)
def verify_exact_denoiser(record: Record) -> None:
    """The law of the step equals the product of the marginals, and errs as much."""
    rng = random.Random(1)
    laws = [("repetition", repetition(2)), ("random", rational_law(rng, 2, 3))]
    for (name, law), num_labels in itertools.product(laws, (1, 2, 3)):
        made, product = exact_denoiser(law, num_labels), oracle.independent(law)
        what = f"{name}, {num_labels} labels"
        record.vanishes(oracle.total_variation(made, product), 0, what)
        record.exceeds(oracle.total_variation(made, law), 0, Fraction(1, 50), what)
