"""Masked noise, uniform grid, three bits: N TV_N is at most twice its limit.

On three coordinates N (out_N - p_0) = V + W / N. So N TV_N is at most a mean of the limit and of
TV_1, and the case N = 1 decides.
"""

from theory.lab import Grid, Law, Noise, error, limit

STATES = 2
DIMS = 3
STEPS = 1


def conjecture(law: Law, noise: Noise, grid: Grid):
    return (len(grid) - 1) * error(law, noise, grid), 2 * limit(law, noise)
