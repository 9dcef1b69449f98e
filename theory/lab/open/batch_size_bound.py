"""Random-order unmasking in batches costs at most (s_max - 1) / L times the sum of I(X_i; rest).

A proof: the mean information Z_j of j coordinates about another one increases with j. A batch of
size s after c coordinates costs at most (s - 1) (Z_(c+s-1) - Z_c), and these differences add up to
at most Z_(L-1), which is the mean of I(X_i; rest).
"""

import itertools

from theory.lab import Law, maximum, mutual_information

STATES = 2
DIMS = (3, 4)


def conjecture(law: Law):
    curve = [mean_information(law, size) for size in range(law.ndim)]
    gaps = [
        cost(curve, sizes) - (max(sizes) - 1) * curve[-1]
        for parts in range(1, law.ndim)
        for sizes in itertools.product(range(1, law.ndim + 1), repeat=parts)
        if sum(sizes) == law.ndim
    ]
    return maximum(*gaps), 0


def mean_information(law, size):
    """The mean of I(X_i; X_A) over all coordinates i and sets A of this size without i."""
    values = [
        mutual_information(law, (i,), known)
        for i in range(law.ndim)
        for known in itertools.combinations([j for j in range(law.ndim) if j != i], size)
    ]
    return sum(values) / len(values)


def cost(curve, sizes):
    """The mean KL divergence of batches of these sizes: the gap of the information curve."""
    total, known = 0, 0
    for size in sizes:
        total = total + sum(curve[known : known + size]) - size * curve[known]
        known += size
    return total
