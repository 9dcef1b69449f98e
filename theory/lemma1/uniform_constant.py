r"""The best constant of Lemma 1 for two bits that is uniform in the state x and in the data law.

By `lemma1-binary`, $TV / \epsilon^2 \to 2 r_1 r_2 |\det q_t| / q_t(x)^2$. Coordinate d goes from y
to $x_d$ with probability $k_d(y)$. Let $\delta_d = |k_d(0) - k_d(1)|$ and
$m = k_1(0) k_1(1) k_2(0) k_2(1)$. Then $|\det q_t| = \delta_1 \delta_2 |\det p_0|$ and

$$4\, m\, |\det p_0| \le q_t(x)^2, \qquad
\lim TV / \epsilon^2 \le r_1 r_2\, \delta_1 \delta_2 / (2 m).$$

Proof: $q_t(x) = \sum_y k_1(y_1) k_2(y_2)\, p_0(y)$. If $\det p_0 > 0$, the terms of 00 and 11 are
at least $2 \sqrt{m\, p_0(00)\, p_0(11)} \ge 2 \sqrt{m \det p_0}$ by the inequality of the means.
Else take 01 and 10. There is equality if the other two probabilities are 0 and the two terms are
equal. For uniform noise $m = ((1 - \alpha^2) / 4)^2$, so the constant grows like
$(1 - \alpha)^{-2}$ as t falls to 0.

Beyond the paper.
"""

import itertools
import random
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.laws import rational_law
from theory.tools.oracle import Law


def determinant(law: Law) -> Fraction:
    """p(00) p(11) - p(01) p(10)."""
    return law[0, 0] * law[1, 1] - law[0, 1] * law[1, 0]


def redraw(kept: Fraction, ones: Fraction) -> list[list[Fraction]]:
    """A bit is kept with probability `kept`, else it is 1 with probability `ones`."""
    law = [(1 - kept) * (1 - ones), (1 - kept) * ones]
    return [[law[w] + kept * (v == w) for w in (0, 1)] for v in (0, 1)]


@claim(
    "lemma1-uniform-constant",
    "Two bits: 4 m |det p_0| <= q_t(x)^2 for every law p_0 and state x, so that Lemma 1 has the "
    "constant r_1 r_2 delta_1 delta_2 / (2m) uniformly. It is the best one.",
    group="sharper",
    source="Lemma 1; the constant: this project",
    hypotheses="two-state noise at t > 0, the same for both bits; m is the product of the four "
    "probabilities to go from 0 or 1 to x_d; exact rationals",
)
def verify_uniform(record: Record) -> None:
    """Random laws, zeros included, and for each state the two laws that attain the bound."""
    rng = random.Random(0)
    half = Fraction(1, 2)
    for kept, ones in itertools.product((Fraction(1, 5), half, Fraction(9, 10)), (half, half / 3)):
        kernel = redraw(kept, ones)
        for least, x in itertools.product((1, -2), itertools.product((0, 1), repeat=2)):
            law = rational_law(rng, 2, 2, least=least)
            ways = [kernel[y][v] for v in x for y in (0, 1)]
            m = ways[0] * ways[1] * ways[2] * ways[3]
            what = f"kept {kept}, ones {ones}, x = {x}"
            noisy = oracle.noised(law, kernel)
            record.at_most(4 * m * abs(determinant(law)), noisy[x] ** 2, what)
            record.equal(determinant(noisy), kept**2 * determinant(law), 0, f"det q_t, {what}")
            for pair in (((0, 0), (1, 1)), ((0, 1), (1, 0))):
                first, second = (oracle.chance(kernel, y, x) for y in pair)
                best = {y: Fraction(0) for y in law}
                best[pair[0]], best[pair[1]] = (w / (first + second) for w in (second, first))
                attained = oracle.noised(best, kernel)[x] ** 2
                record.equal(4 * m * abs(determinant(best)), attained, 0, f"attained, {what}")
