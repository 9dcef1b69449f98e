"""Masked pair, linear schedule: N equal steps have an error of at most d_12 / N."""

from theory.lab import Grid, Law, Noise, error, independent, total_variation

DIMS = 2
STEPS = (1, 6)


def conjecture(law: Law, noise: Noise, grid: Grid):
    return error(law, noise, grid), total_variation(law, independent(law)) / (len(grid) - 1)
