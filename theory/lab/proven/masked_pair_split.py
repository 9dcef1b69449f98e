"""Masked pair: leaving out a time of the grid never helps, on any schedule."""

from theory.lab import Grid, Law, Noise, error, minimum, without

DIMS = 2
STEPS = (2, 4)
GRIDS = "any"
SCHEDULES = ("linear", "cosine", "exponential")


def conjecture(law: Law, noise: Noise, grid: Grid):
    coarser = [error(law, noise, without(grid, k)) for k in range(1, len(grid) - 1)]
    return error(law, noise, grid), minimum(*coarser)
