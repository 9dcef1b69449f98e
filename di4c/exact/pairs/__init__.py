r"""Two coordinates: closed forms, two-sided bounds, limits and best grids (Theorem 1 at D = 2).

$TV_N = d_{TV}(q_0, P_{0|t_1} \circ \dots \circ P_{t_{N-1}|t_N}\, \text{start})$, P the product of
the marginals of the true reverse kernel. In three families it is a sum or a product over the
increments of one angle of the schedule (E1: $\alpha$, E2: $\psi$, E3: $\phi$), at every N and on
every grid. Convexity bounds it from below by $c / N$ on every grid, Cauchy-Schwarz from above by
$C / N$ on the uniform grid: Theorem 1 with constants. Beyond the paper.

The `*_tv` functions take any number type: with fractions they are exact.
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
