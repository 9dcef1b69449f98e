"""The control variate never adds variance to the loss of one draw from the target."""

from theory.lab import Law, independent, log

STATES = 2
DIMS = 2
LAWS = "positive"


def conjecture(student: Law, target: Law):
    f, g = log(student), log(independent(student))
    return variance(target, f - g), variance(target, f)


def variance(weights, values):
    mean = (weights * values).sum()
    return (weights * (values - mean) ** 2).sum()
