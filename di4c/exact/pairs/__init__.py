r"""Two coordinates: closed forms, two-sided bounds, limits and best grids (Theorem 1 at D = 2).

The error of N steps is
$TV_N = d_{TV}(q_0, P_{0|t_1} \circ \dots \circ P_{t_{N-1}|t_N}\, \text{start})$, where P is the
product of the marginals of the true reverse kernel. In three families it is a sum or a product over
the increments of one function of the schedule, for every N and every grid:

- masked pair: the function is $\alpha$ itself, for any law and any vocabulary;
- uniform pair: $\psi = \operatorname{artanh}(|\theta| \alpha^2)$, for two symmetric spins;
- absorbing pair: $\phi = \arctan(\sqrt{a/(1-a)}\,(1-\alpha))$, for two bits that fall to zero.

Convexity gives the lower bound $c / N$ on every grid. The Cauchy-Schwarz inequality gives the upper
bound $C / N$ on the uniform grid. This is Theorem 1 with constants, beyond the paper.

The functions `masked_tv`, `uniform_tv` and `absorbing_tv` accept any number type. With fractions
they are exact.
"""

from di4c.exact.pairs.absorbing import AbsorbingPair, absorbing_probabilities, absorbing_tv
from di4c.exact.pairs.base import Pair
from di4c.exact.pairs.log_rate import log_coefficient
from di4c.exact.pairs.masked import MaskedPair, masked_tv
from di4c.exact.pairs.uniform import UniformPair, uniform_tv

__all__ = [
    "AbsorbingPair",
    "MaskedPair",
    "Pair",
    "UniformPair",
    "absorbing_probabilities",
    "absorbing_tv",
    "log_coefficient",
    "masked_tv",
    "uniform_tv",
]
