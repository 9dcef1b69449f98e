r"""Lemma 1 for two bits, uniformly in x and p_0: |det p_0| <= q_t(x)^2 / (4 m).

m is the product of the four probabilities with which a coordinate goes from 0 or 1 to its value in
x. With r the rates into x and d = alpha_t / alpha_0, the limit of TV / eps^2 is
2 r_1 r_2 d^2 |det p_0| / q_t(x)^2, so it is at most r_1 r_2 d^2 / (2 m).

A proof, found after the laboratory had found no counterexample: q_t(x) is the sum of the four terms
k_1(y_1) k_2(y_2) p_0(y). If det p_0 > 0, the terms of 00 and 11 are at least 2 sqrt(m p_00 p_11) by
the inequality of the means; else take 01 and 10. Equality shows that the constant is the best.
"""

from theory.lab import Law, Noise, Share, minimum, noised

STATES = 2
DIMS = 2
NOISE = "any"


def conjecture(law: Law, noise: Noise, time: Share):
    moved, kernel = noised(law, noise, time), noise.transition(0 * time, time)
    ways = kernel[0] * kernel[1]  # to the value 0 and to the value 1
    determinant = abs(law[0, 0] * law[1, 1] - law[0, 1] * law[1, 0])
    states = [(x, y) for x in (0, 1) for y in (0, 1)]
    return minimum(*(moved[x] ** 2 - 4 * ways[x[0]] * ways[x[1]] * determinant for x in states))
