"""A library loss without the total correlation is not a term of Theorem 2."""

import torch

from di4c import exact
from di4c.processes import MaskedProcess
from theory.theorem2 import losses as theorem2_losses
from theory.theorem2.diffusion import as_chains, random_student
from theory.tools.finite_mixture import random_law


def test_the_total_correlation_is_needed():
    process, generator = MaskedProcess(2), torch.Generator().manual_seed(0)
    q_0, grid = random_law(generator, 4), [0.0, 0.5, 1.0]
    student = random_student(process, grid, 2, generator)
    terms, _ = theorem2_losses.library_terms(process, q_0, grid, student)
    chains = as_chains(process, q_0, grid, student)
    target = chains.teacher[1][0] @ student.kernel(0.5)
    missing = (chains.start[0] * exact.total_correlation(target, 2, 3)).sum().item()
    assert missing > 1e-3  # far above the 1e-11 that the claim allows
    assert terms[1] > missing
