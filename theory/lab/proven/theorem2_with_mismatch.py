"""Theorem 2 at noised data holds if the teacher's distance to the noised data is added."""

from theory.lab import Grid, Kernel, Law, Noise, kl, noised, product_kernels, sqrt, total_variation

STATES = 2
DIMS = 2
STEPS = 2


def conjecture(law: Law, noise: Noise, grid: Grid, student: Kernel, late: Kernel):
    last, first = product_kernels(law, noise, grid)
    middle, start = (noised(law, noise, t).reshape(-1) for t in grid[1:])
    distil = mean_kl(middle, last, student)
    consistency = mean_kl(start, first @ student, late)
    left = total_variation(start @ first @ last, start @ late)
    mismatch = total_variation(start @ first, middle)
    return left, sqrt(distil / 2) + sqrt(consistency / 2) + mismatch


def mean_kl(weights, rows, others):
    return sum(w * kl(row, other) for w, row, other in zip(weights, rows, others, strict=True))
