"""Masked noise, uniform grid: N TV_N never exceeds its limit."""

from theory.lab import Grid, Law, Noise, error, limit

STATES = 2
DIMS = (3, 4)
STEPS = (1, 6)


def conjecture(law: Law, noise: Noise, grid: Grid):
    return (len(grid) - 1) * error(law, noise, grid), limit(law, noise)
