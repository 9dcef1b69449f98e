"""The law with more total correlation has the larger error after N masked steps."""

from theory.lab import Grid, Law, Noise, error, minimum, total_correlation

STATES = 2
DIMS = 3
STEPS = 2


def conjecture(first: Law, second: Law, noise: Noise, grid: Grid):
    less_correlated = total_correlation(second) - total_correlation(first)
    larger_error = error(first, noise, grid) - error(second, noise, grid)
    return minimum(less_correlated, larger_error), 0
