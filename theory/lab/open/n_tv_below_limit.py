"""Masked noise, uniform grid, three bits: N TV_N never exceeds its limit.

On two coordinates N TV_N equals its limit at every N. The laboratory refutes the statement for
three: a law close to one point, with some mass where two or three bits differ from it.
"""

from theory.lab import Grid, Law, Noise, error, limit

STATES = 2
DIMS = 3
STEPS = (1, 2)


def conjecture(law: Law, noise: Noise, grid: Grid):
    return (len(grid) - 1) * error(law, noise, grid), limit(law, noise)
