"""Masked noise, three coordinates or more: leaving out a time of the grid never helps."""

from theory.lab import Grid, Law, Noise, error, minimum, without

STATES = (2, 3)
DIMS = 3
STEPS = (2, 3)
GRIDS = "any"


def conjecture(law: Law, noise: Noise, grid: Grid):
    coarser = [error(law, noise, without(grid, k)) for k in range(1, len(grid) - 1)]
    return error(law, noise, grid), minimum(*coarser)
