"""Masked pair: on any grid the error is at least d_12 / N, which equal steps in alpha attain."""

from theory.lab import Grid, Law, Noise, error, independent, total_variation

DIMS = 2
GRIDS = "any"


def conjecture(law: Law, noise: Noise, grid: Grid):
    return total_variation(law, independent(law)) / (len(grid) - 1), error(law, noise, grid)
