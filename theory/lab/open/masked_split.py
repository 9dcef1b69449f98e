"""Masked noise, three bits: leaving out a time of the grid never helps.

On two coordinates this is true. The laboratory refutes it for three: it helps to reveal all bits at
once rather than a few first, although they are dependent.
"""

from theory.lab import Grid, Law, Noise, error, minimum, without

STATES = 2
DIMS = 3
STEPS = 2
GRIDS = "any"


def conjecture(law: Law, noise: Noise, grid: Grid):
    coarser = [error(law, noise, without(grid, k)) for k in range(1, len(grid) - 1)]
    return error(law, noise, grid), minimum(*coarser)
