"""Are these draws from that law? A chi-square test over all of S^D, its threshold chosen once.

Every statistical test of this folder has a fixed seed and fails below one p-value: a correct
sampler fails one of them in a million, and each is shown to reject a wrong sampler.
"""

import torch
from scipy import stats

P_VALUE = 1e-6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def p_value(samples: torch.Tensor, law: torch.Tensor, num_states: int) -> float:
    """P-value of draws (N, D) against a law over S^D; 0 if an impossible state was drawn."""
    index = samples.new_zeros(len(samples))
    for coordinate in samples.T:
        index = index * num_states + coordinate
    return counts_p_value(torch.bincount(index, minlength=len(law)), law)


def counts_p_value(counts: torch.Tensor, law: torch.Tensor) -> float:
    """The same from the counts of each outcome."""
    assert len(counts) == len(law), "a drawn state lies outside the law's space"
    observed, total = counts.double(), int(counts.sum())
    expected = law.double() / law.double().sum() * total
    if bool((observed[expected == 0] > 0).any()):
        return 0.0
    # The chi-square approximation wants cells of at least 5: rarer states share one.
    rare = expected < 5
    observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    kept = expected > 0
    if int(kept.sum()) == 1:  # a point mass, and it was hit every time
        return 1.0
    return float(stats.chisquare(observed[kept].numpy(), expected[kept].numpy()).pvalue)
