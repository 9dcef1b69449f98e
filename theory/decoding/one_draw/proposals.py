r"""What parallel decoding leaves to be repaired: the reverse divergence, and how many proposals.

p is the law of the data, $q = \prod_d p^d$ the law of a parallel draw, TC = KL(p || q).

* KL(q || p) is unbounded while TC stays below log 2: a parallel draw puts mass where p has almost
  none.
* A sampler that returns one of its proposals, drawn from q, and has exactly the law p, draws at
  least $\max_x p(x)/q(x) \ge e^{TC}$ proposals in the mean, because
  $p(x) \le \mathbb{E}[\#\{i : x_i = x\}] = \mathbb{E}[K]\, q(x)$. Rejection sampling attains the
  first bound. The second is an equality if p is uniform on its support relative to q.
* With a fixed number K of proposals, such a law is missed by at least $(1 - e^{-TC})^K$, which the
  first proposal inside the support attains.

arXiv 2602.00286 states the bound e^TC; we know its abstract only, the proofs here are ours.
"""

import itertools
import math
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import parity, rational_law, repetition
from theory.tools.oracle import Law

SOURCE = "arXiv 2602.00286, as stated in the abstract"


def almost_equal_bits(rare: Fraction) -> Law:
    """Two fair bits that agree up to a probability of 2 * rare."""
    half = Fraction(1, 2) - rare
    return {(0, 0): half, (0, 1): rare, (1, 0): rare, (1, 1): half}


def acceptance(law: Law, proposal: Law) -> Fraction:
    """The probability that rejection sampling accepts, as a sum over proposals."""
    most = max(p / proposal[x] for x, p in law.items() if p)
    return sum(q * (law[x] / (most * q)) for x, q in proposal.items() if q)


def first_inside(law: Law, count: int) -> Law:
    """The law of the first of K proposals inside the support of p, or of the first of all."""
    proposal = oracle.independent(law)
    result = dict.fromkeys(law, Fraction(0))
    for drawn in itertools.product(proposal, repeat=count):
        inside = [x for x in drawn if law[x]]
        result[(inside or drawn)[0]] += math.prod(proposal[x] for x in drawn)
    return result


@claim(
    "reverse-divergence",
    "False in general: if KL(p || product) is small, so is KL(product || p). For two bits that "
    "almost agree the first stays below log 2 and the second grows without bound.",
    group="fails",
    source=f"{SOURCE}; the example: this project",
    hypotheses="two fair bits that differ with probability 2 r, r = 2^-k",
)
def verify_reverse(record: Record) -> None:
    """KL(product || p) against -(log(4 r) + log(2 - 4 r)) / 2."""
    for k in (4, 8, 16, 64, 256):
        rare = Fraction(1, 2**k)
        law = almost_equal_bits(rare)
        forward = oracle.total_correlation(law)
        backward = oracle.kl(oracle.independent(law), law)
        record.at_most(forward, math.log(2), f"KL(p || product), r = 2^-{k}")
        closed = -(math.log(4 * rare) + math.log(2 - 4 * rare)) / 2
        record.equal(backward, closed, 1e-12, f"KL(product || p), r = 2^-{k}")
        record.exceeds(backward, k / 3, -1, f"grows with k, r = 2^-{k}")


@claim(
    "proposals-mean",
    "Rejection sampling from a parallel draw needs max p / product >= e^TC proposals in the mean.",
    group="beyond",
    source=SOURCE,
    hypotheses="p > 0 or with zeros; any sampler that returns one of its proposals needs as many",
)
def verify_mean(record: Record) -> None:
    """Random laws with and without zeros; equality for parity and repetition."""
    rng = random.Random(0)
    for num_dims, num_states, least in ((2, 2, 1), (2, 3, -3), (3, 2, -3), (3, 3, 1), (4, 2, -6)):
        law = rational_law(rng, num_dims, num_states, least)
        mean = 1 / acceptance(law, oracle.independent(law))
        what = f"S = {num_states}, D = {num_dims}"
        record.at_most(math.exp(oracle.total_correlation(law)), float(mean), what)
    for num_dims in (2, 3, 5):
        for name, law in (("parity", parity(num_dims)), ("repetition", repetition(num_dims))):
            mean = 1 / acceptance(law, oracle.independent(law))
            right = math.exp(oracle.total_correlation(law))
            record.equal(float(mean), right, 1e-12 * right, f"{name}, D = {num_dims}")


@claim(
    "proposals-fixed",
    "K proposals miss parity or repetition by TV = (1 - e^-TC)^K if the first inside the support "
    "is taken. No choice among K proposals is better.",
    group="beyond",
    source="this project",
    hypotheses="p is uniform on its support relative to the product; exact rationals",
)
def verify_fixed(record: Record) -> None:
    """The law of the choice by enumeration of all K-tuples."""
    for name, law in (("parity", parity(3)), ("repetition", repetition(3))):
        inside = sum(q for x, q in oracle.independent(law).items() if law[x])
        record.equal(math.exp(-oracle.total_correlation(law)), inside, 1e-15, f"e^-TC, {name}")
        for count in (1, 2, 3):
            left = oracle.total_variation(first_inside(law, count), law)
            record.equal(left, (1 - inside) ** count, 0, f"{name}, K = {count}")
