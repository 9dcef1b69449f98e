"""The two laws on three bits against the exact engine, and the formula of the errors."""

from fractions import Fraction

import pytest
import torch

from di4c.exact import limit_n_tv, product_composition, total_variation
from di4c.processes import MaskedProcess
from theory.limits.masked.three_bits import ABOVE, LATE, SPLIT, masked_error
from theory.tools import oracle
from theory.tools.oracle import Law
from theory.tools.unmasking import path_law


def as_tensor(law: Law) -> torch.Tensor:
    return torch.tensor([float(p) for p in law.values()], dtype=torch.float64)


def engine_tv(law: Law, grid: list[float]) -> float:
    law = as_tensor(law)
    return float(total_variation(product_composition(MaskedProcess(2), law, grid), law))


def test_the_engine_agrees():
    assert engine_tv(ABOVE, [0.0, 1.0]) == pytest.approx(108 / 343, abs=1e-14)
    assert limit_n_tv(MaskedProcess(2), as_tensor(ABOVE)) == pytest.approx(187 / 882, abs=1e-7)
    assert engine_tv(SPLIT, [0.0, 1.0]) == pytest.approx(1 / 9, abs=1e-14)
    assert engine_tv(SPLIT, [0.0, 0.98, 1.0]) == pytest.approx(305341 / 2700000, abs=1e-14)


def test_the_formula_of_the_errors():
    """Errors by path laws, on a law of full support, where the convention does not matter."""
    weights = [Fraction(w, 36) for w in (1, 2, 3, 4, 5, 6, 7, 8)]
    law = oracle.law_from(weights, 3, 2)

    def error(*partitions):
        return {x: sum(path_law(law, part)[x] - law[x] for part in partitions) for x in law}

    pairs = [((i, j), (k,)) for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0))]
    first = error(*pairs)
    second = error(*((single, pair) for pair, single in pairs))
    together = error(((0, 1, 2),))
    reveals = [LATE[k - 1] - LATE[k] for k in (2, 1)]  # the noisiest step first
    known, out = Fraction(0), dict.fromkeys(law, Fraction(0))
    for b in reveals:
        for x in law:
            out[x] += b**2 * (1 - known - b) * first[x] + b**2 * known * second[x]
            out[x] += b**3 * together[x]
        known += b
    assert sum(abs(v) for v in out.values()) / 2 == masked_error(law, LATE)
