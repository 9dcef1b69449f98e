"""Theorem 1 needs its hypotheses: support, slope of the schedule, marginals of the truth."""
