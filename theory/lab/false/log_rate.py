"""The growth of N TV_N dies out: each doubling of N adds at most 3/4 of what the last one added.

True with a fixed positive law once N is large. Zeros of the data law make N TV_N grow like log N.
"""

from theory.lab import Grid, Law, Noise, error, refined

STATES = 2
DIMS = 2
STEPS = 16
NOISE = "any"


def conjecture(law: Law, noise: Noise, grid: Grid):
    scaled = []
    for _ in range(3):
        scaled.append((len(grid) - 1) * error(law, noise, grid))
        grid = refined(grid)
    first, second = scaled[1] - scaled[0], scaled[2] - scaled[1]
    return second, 3 * first / 4 + 0.005
