"""Noise brings two laws closer, and it lowers the total correlation."""

from theory.lab import Law, Noise, Share, minimum, noised, total_correlation, total_variation

NOISE = ("masked", "uniform", "any")


def conjecture(law: Law, other: Law, noise: Noise, time: Share):
    later, other_later = noised(law, noise, time), noised(other, noise, time)
    closer = total_variation(law, other) - total_variation(later, other_later)
    return minimum(closer, total_correlation(law) - total_correlation(later))
