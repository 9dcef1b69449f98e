"""With the target's own marginals the split loss is at least minus the target's correlation."""

from theory.lab import Law, independent, kl, marginal, mean_log, total_correlation

LAWS = "positive"


def conjecture(target: Law, student: Law):
    split = mean_log(target, independent(student)) - mean_log(target, student)
    pairs = [(marginal(target, d), marginal(student, d)) for d in range(target.ndim)]
    return -total_correlation(target), split + sum(kl(p, q) for p, q in pairs)
