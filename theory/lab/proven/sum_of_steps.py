"""TV_N is at most the sum of the errors that single steps make at the noised data."""

from theory.lab import Grid, Law, Noise, error, noised, product_kernels, total_variation

STATES = 2
NOISE = ("masked", "uniform", "absorbing")


def conjecture(law: Law, noise: Noise, grid: Grid):
    laws = [law.reshape(-1), *(noised(law, noise, t).reshape(-1) for t in grid[1:])]
    steps = [
        total_variation(laws[k + 1] @ kernel, laws[k])
        for k, kernel in enumerate(product_kernels(law, noise, grid))
    ]
    return error(law, noise, grid), sum(steps)
