"""The sampler never increases the distance between two laws from which it starts."""

from theory.lab import Grid, Law, Noise, generate, total_variation

STATES = 2
NOISE = ("uniform", "absorbing")


def conjecture(law: Law, first: Law, second: Law, noise: Noise, grid: Grid):
    outs = [generate(law, noise, grid, start) for start in (first, second)]
    return total_variation(*outs), total_variation(first, second)
