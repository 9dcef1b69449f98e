"""Lemma 1 for two bits: |det p_0| <= q_t(x)^2 / (4 m) at every x.

m is the product of the four probabilities with which a coordinate goes from 0 or 1 to its value in
x. This makes the constant of Lemma 1 uniform in x and in p_0.
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
