"""Theorem 2 with the laws that the teacher generates: two masked steps, any student."""

from theory.lab import Grid, Kernel, Law, Noise, kl, noised, product_kernels, sqrt, total_variation

STATES = 2
DIMS = 2
STEPS = 2


def conjecture(law: Law, noise: Noise, grid: Grid, student: Kernel, late: Kernel):
    last, first = product_kernels(law, noise, grid)
    start = noised(law, noise, grid[2]).reshape(-1)
    distil = mean_kl(start @ first, last, student)
    consistency = mean_kl(start, first @ student, late)
    left = total_variation(start @ first @ last, start @ late)
    return left, sqrt(distil / 2) + sqrt(consistency / 2)


def mean_kl(weights, rows, others):
    return sum(w * kl(row, other) for w, row, other in zip(weights, rows, others, strict=True))
