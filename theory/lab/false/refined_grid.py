"""A finer grid has a smaller error: no time of a grid can be left out with a gain."""

from theory.lab import Grid, Law, Noise, error, minimum, without

STATES = 2
DIMS = 2
STEPS = (2, 4)
NOISE = "absorbing"
GRIDS = "any"


def conjecture(law: Law, noise: Noise, grid: Grid):
    coarser = [error(law, noise, without(grid, k)) for k in range(1, len(grid) - 1)]
    return error(law, noise, grid), minimum(*coarser)
