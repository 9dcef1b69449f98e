"""The total correlation of a mixture of two products is at most (D - 1) H(latent)."""

from theory.lab import Product, Share, log, total_correlation

DIMS = (2, 4)


def conjecture(weight: Share, first: Product, second: Product):
    mixture = weight * first + (1 - weight) * second
    entropy = -weight * log(weight) - (1 - weight) * log(1 - weight)
    return total_correlation(mixture), (mixture.ndim - 1) * entropy
