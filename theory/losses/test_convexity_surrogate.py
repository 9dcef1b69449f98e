"""The surrogate by loops and on random pairs, and a reversed divergence that must not pass."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from di4c import exact
from theory.claim import Record
from theory.losses.convexity_surrogate import (
    divergence,
    expected_latent_divergence,
    instances,
    latent_posterior,
    surrogate,
)
from theory.tools.finite_mixture import FiniteMixture


def _literal_surrogate(teacher, student):
    return math.fsum(
        w * p * math.log(p / q)
        for w, rows in zip(student.weights.tolist(), student.probs.tolist(), strict=True)
        for marginal, row in zip(teacher.tolist(), rows, strict=True)
        for p, q in zip(marginal, row, strict=True)
        if p
    )


def test_the_surrogate_by_loops():
    for what, teacher, student in instances(count=6, seed=5):
        literal = _literal_surrogate(teacher, student)
        assert surrogate(teacher, student) == pytest.approx(literal, abs=1e-13), what


_COIN = st.floats(1e-3, 1 - 1e-3).map(lambda p: [1 - p, p])
_PAIR = st.lists(_COIN, min_size=2, max_size=2)


@given(_PAIR, st.lists(_PAIR, min_size=2, max_size=4), st.data())
def test_the_inequality_on_random_mixtures_of_two_bits(teacher, components, data):
    weights = data.draw(
        st.lists(st.integers(1, 9), min_size=len(components), max_size=len(components))
    )
    student = FiniteMixture(
        torch.tensor(weights, dtype=torch.float64) / sum(weights),
        torch.tensor(components, dtype=torch.float64),
    )
    marginals = torch.tensor(teacher, dtype=torch.float64)
    left = divergence(exact.product_law(marginals), student)
    assert left <= surrogate(marginals, student) + 1e-12


def test_the_posterior_of_the_latent_by_hand():
    weights = torch.tensor([0.25, 0.75], dtype=torch.float64)
    probs = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[0.25, 0.75], [1, 0]]], dtype=torch.float64)
    posterior = latent_posterior(FiniteMixture(weights, probs))
    # State 00 has likelihood 1/4 under both components, state 01 has likelihood 0 under the second.
    torch.testing.assert_close(posterior[0], torch.tensor([0.25, 0.75], dtype=torch.float64))
    assert posterior[1].tolist() == [1.0, 0.0]


def test_the_reversed_divergence_is_rejected():
    # E_x KL(w(.|x) || w) is another number.
    _, teacher, student = list(instances(count=3, seed=9))[2]
    law = exact.product_law(teacher)
    gap = surrogate(teacher, student) - divergence(law, student)
    posterior = latent_posterior(student)
    wrong = (law @ exact.kl(posterior, student.weights.expand_as(posterior))).item()
    record = Record()
    record.equal(gap, wrong, 1e-12, "reversed")
    assert not record.holds
    assert gap == pytest.approx(expected_latent_divergence(law, student)[0])
