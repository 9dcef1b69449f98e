r"""Parity on D bits, an exchangeable law: K = 2 products miss it by at least (1 - K 2^(1-D)) / 3.

For any K: TV <= eps needs K >= (1 - 3 eps) 2^(D-1) components, as many as any law needs, up to the
factor. Proof: let c be the sign of parity. E_q c >= 1 - 2 eps for the mixture q. A product with
E c = m has a state of probability at least sqrt(|m|). So the states that are the most likely one of
some component have q-mass at least E_q c, but parity gives each of them at most 2^(1-D).
"""

import itertools

from theory.lab import Product, Share

STATES = 2
DIMS = (3, 5)


def conjecture(weight: Share, first: Product, second: Product):
    mixture = weight * first + (1 - weight) * second
    each = 2 ** (1 - mixture.ndim)
    states = itertools.product((0, 1), repeat=mixture.ndim)
    misses = [abs(mixture[x] - (each if sum(x) % 2 == 0 else 0)) for x in states]
    return (1 - 2 * each) / 3, sum(misses) / 2
