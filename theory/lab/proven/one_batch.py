"""The total correlation is at most (D - 1) / D times the sum of I(X_i; all others)."""

from theory.lab import Law, mutual_information, total_correlation

DIMS = (2, 4)


def conjecture(law: Law):
    others = [tuple(e for e in range(law.ndim) if e != d) for d in range(law.ndim)]
    informations = (mutual_information(law, (d,), rest) for d, rest in enumerate(others))
    return total_correlation(law), (law.ndim - 1) * sum(informations) / law.ndim
