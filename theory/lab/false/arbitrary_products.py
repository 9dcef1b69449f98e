"""One step of masked noise: no product law is closer to the data than that of the marginals."""

from theory.lab import Law, Product, independent, total_variation


def conjecture(law: Law, other: Product):
    return total_variation(independent(law), law), total_variation(other, law)
