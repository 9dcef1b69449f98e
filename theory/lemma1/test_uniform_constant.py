"""The uniform constant of Lemma 1 by the exact engine and by an optimiser; wrong ones must fail."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from di4c import exact
from di4c.processes import two_state_process
from theory.claim import Record
from theory.lemma1 import uniform_constant


def redraw_of(process, t):
    """The probability to keep a bit and the chance of a one, from the kernel of the library."""
    kernel = process.transition(0.0, t)
    kept = float(kernel.det())
    return kernel, kept, float(kernel[0, 1]) / (1 - kept)


def test_a_redraw_is_the_kernel_of_a_two_state_chain():
    kernel, kept, ones = redraw_of(two_state_process(0.4, 0.9), 0.7)
    np.testing.assert_allclose(uniform_constant.redraw(kept, ones), kernel, atol=1e-14)


@pytest.mark.parametrize("law", [[0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.0, 0.5], [0.0, 0.3, 0.7, 0.0]])
def test_the_error_of_short_steps_stays_below_the_constant(law):
    """TV / eps^2 at small eps from dense kernels, for each state, against r r delta^2 / (2 m)."""
    process, t, eps = two_state_process(0.4, 0.9), 0.7, 1e-4
    q_0 = torch.tensor(law, dtype=torch.float64)
    true = exact.reverse_kernel(process, q_0, t - eps, t)
    singles = exact.posterior_marginals(process, q_0, t - eps, t)
    errors = exact.total_variation(true, exact.product_kernel(singles)) / eps**2
    kernel, rates = process.transition(0.0, t), process.unit_rates()
    for x, error in zip(itertools.product((0, 1), repeat=2), errors.tolist(), strict=True):
        m = float(torch.stack([kernel[y, v] for v in x for y in (0, 1)]).prod())
        into = float(rates[1 - x[0], x[0]] * rates[1 - x[1], x[1]])
        assert error <= into * float(kernel.det()) ** 2 / (2 * m) * 1.001


def test_the_largest_ratio_over_many_laws_is_the_constant():
    """max |det p_0| / q_t(x)^2 over a grid of laws, without the argument of the proof."""
    kernel = np.array(uniform_constant.redraw(0.4, 0.3))
    share = np.linspace(0, 1, 41)
    for x in itertools.product((0, 1), repeat=2):
        reach = np.outer(kernel[:, x[0]], kernel[:, x[1]]).ravel()
        best = 0.0
        for a, b in itertools.product(share, share):
            for p in ([a * b, a * (1 - b), 0.0, 1 - a], [a * b, 0, a * (1 - b), 1 - a]):
                best = max(best, abs(p[0] * p[3] - p[1] * p[2]) / float(reach @ p) ** 2)
            p = [0.0, a, 1 - a, 0.0]
            best = max(best, a * (1 - a) / float(reach @ p) ** 2)
        bound = 1 / (4 * reach[0] * reach[3])
        assert 0.98 * bound <= best <= bound * (1 + 1e-12)


def test_a_smaller_constant_fails(monkeypatch):
    determinant = uniform_constant.determinant
    monkeypatch.setattr(
        uniform_constant, "determinant", lambda law: determinant(law) * Fraction(101, 100)
    )
    record = Record()
    uniform_constant.verify_uniform(record)
    assert any("attained" in line for line in record.failures)
