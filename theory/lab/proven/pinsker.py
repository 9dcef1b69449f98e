"""Pinsker for the sampler: TV_N is at most sqrt(KL(data || generated) / 2)."""

from theory.lab import Grid, Law, Noise, generate, kl, sqrt, total_variation

STATES = 2
NOISE = ("masked", "uniform")


def conjecture(law: Law, noise: Noise, grid: Grid):
    out = generate(law, noise, grid)
    return total_variation(law, out), sqrt(kl(law, out) / 2)
