r"""Exchangeable laws can need exponentially many components, also up to a small error.

Parity on D bits is exchangeable. A mixture q of K product laws has
$TV(q, \mathrm{parity}) \ge (1 - K 2^{1-D}) / 3$. So $TV \le \varepsilon$ needs
$K \ge (1 - 3 \varepsilon)\, 2^{D-1}$, and $2^{D-1}$ components are enough for any law. Symmetry
does not help.

Proof: let $\chi(x) = \pm 1$ be the sign of parity, so that $TV \ge (1 - E_q \chi) / 2$. A product
law with $E \chi = \mu = \prod_d m_d$ has a state of probability
$\prod_d (1 + |m_d|) / 2 \ge \sqrt{|\mu|} \ge \mu$. The states that are the most likely one of some
component therefore have q-mass at least $E_q \chi$ in all. There are at most K of them, and parity
gives each at most $2^{1-D}$: $TV \ge E_q \chi - K 2^{1-D}$. The first bound, twice, plus the
second one is $3\, TV \ge 1 - K 2^{1-D}$.

K even strings with equal weights have TV $1 - K 2^{1-D}$, three times the bound. Beyond the paper.
"""

import itertools

import torch

from theory.claim import Record, claim
from theory.tools.finite_mixture import random_mixture


def parity_law(num_dims: int) -> torch.Tensor:
    """The uniform law on the strings with an even sum, (2^D,)."""
    even = [sum(x) % 2 == 0 for x in itertools.product((0, 1), repeat=num_dims)]
    return torch.tensor(even, dtype=torch.float64) * 2 ** (1 - num_dims)


def least_distance(num_dims: int, num_components: int) -> float:
    """The lower bound (1 - K 2^(1-D)) / 3."""
    return (1 - num_components * 2 ** (1 - num_dims)) / 3


@claim(
    "parity-components",
    "A mixture of K product laws misses parity on D bits by at least (1 - K 2^(1-D)) / 3, so TV <= "
    "eps needs K >= (1 - 3 eps) 2^(D-1) components although parity is exchangeable.",
    group="beyond",
    source="this project",
    hypotheses="any K and D, the proof is in the file; random mixtures, from smooth to nearly "
    "deterministic, D = 3, 4, 6",
)
def verify_parity(record: Record) -> None:
    """The distance of random mixtures; the two bounds of the proof as well."""
    generator = torch.Generator().manual_seed(0)
    for num_dims, num_components in ((3, 1), (3, 2), (4, 4), (6, 8)):
        target = parity_law(num_dims)
        for spread in (0.3, 2.0, 8.0, 30.0):
            mixture = random_mixture(generator, num_components, num_dims, 2, spread=spread)
            law = mixture.law()
            miss = float((law - target).abs().sum() / 2)
            bound = least_distance(num_dims, num_components)
            what = f"D = {num_dims}, K = {num_components}, spread {spread}"
            record.at_most(bound, miss, what, rounding=1e-14, smallest=0)
            sign = float((law * torch.where(target > 0, 1.0, -1.0)).sum())
            record.at_most((1 - sign) / 2, miss, f"by the sign, {what}", rounding=1e-14)
            peaks = sign - num_components * 2 ** (1 - num_dims)
            record.at_most(peaks, miss, f"by the peaks, {what}", rounding=1e-14, smallest=0)
