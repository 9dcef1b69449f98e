"""A chi-square test of draws against a law over all of S^D.

Every statistical test has a fixed seed and the same threshold: a correct sampler fails it with
chance 1e-6. Each such test is shown to reject a wrong sampler.
"""

import torch
from scipy import stats

P_VALUE = 1e-6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def p_value(samples: torch.Tensor, law: torch.Tensor, num_states: int) -> float:
    """The p-value of draws (N, D) against a law over S^D; 0 if an impossible state was drawn."""
    index = samples.new_zeros(len(samples))
    for coordinate in samples.T:
        index = index * num_states + coordinate
    return counts_p_value(torch.bincount(index, minlength=len(law)), law)


def counts_p_value(counts: torch.Tensor, law: torch.Tensor) -> float:
    """The p-value of the counts of all outcomes."""
    assert len(counts) == len(law), "a drawn state lies outside the law's space"
    observed, total = counts.double(), int(counts.sum())
    expected = law.double() / law.double().sum() * total
    if bool((observed[expected == 0] > 0).any()):
        return 0.0
    # The chi-square approximation needs an expectation of at least 5: rarer states share a cell.
    rare = expected < 5
    observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    kept = expected > 0
    if int(kept.sum()) == 1:  # the law is a point mass, and every draw hit it
        return 1.0
    return float(stats.chisquare(observed[kept].numpy(), expected[kept].numpy()).pvalue)
