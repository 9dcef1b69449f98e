"""The data term with its control variate is bounded below by -20, whatever the teacher's marginals.

With the marginals of the data it is at least -(D - 1) log S.
"""

from theory.lab import Law, Product, independent, kl, marginal, mean_log

STATES = 2
DIMS = 3
LAWS = "positive"


def conjecture(data: Law, teacher: Product, student: Law):
    split = mean_log(data, independent(student)) - mean_log(data, student)
    pairs = [(marginal(teacher, d), marginal(student, d)) for d in range(data.ndim)]
    return -20, split + sum(kl(p, q) for p, q in pairs)
