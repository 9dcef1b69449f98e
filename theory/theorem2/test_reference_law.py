"""Theorem 2 with noised data: the counter-example from the library, and smaller terms that fail."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from di4c import exact
from di4c.processes import MaskedProcess
from theory.claim import Record
from theory.theorem2.bound import Chains, bound, distance, generated_laws, random_chains
from theory.theorem2.reference_law import (
    point,
    rare_state_chain,
    reference_mismatch,
    unseen_states_example,
)
from theory.tools.oracle import law_from


@given(
    st.lists(st.integers(0, 6), min_size=8, max_size=8).filter(lambda w: sum(w[:4]) * sum(w[4:]))
)
def test_the_term_covers_any_student_on_unseen_states(weights):
    rows = [
        law_from([Fraction(w, sum(part)) for w in part], 2, 2)
        for part in (weights[:4], weights[4:])
    ]
    sides = unseen_states_example(*rows)
    assert sides["distil"] == 0
    assert sides["left"] <= sides["mismatch"] == Fraction(1, 8)


def test_the_counter_example_on_the_library_processes():
    process = MaskedProcess(2)
    equal_bits = torch.tensor([0.5, 0, 0, 0.5], dtype=torch.float64)
    teacher = [
        exact.product_kernel(exact.posterior_marginals(process, equal_bits, s, t))
        for s, t in ((0.0, 0.5), (0.5, 1.0))
    ]
    student = teacher[0].clone()
    table = exact.states(2, 3).tolist()
    for seen, wrong in (([0, 1], [0, 0]), ([1, 0], [1, 1])):
        student[table.index(seen)] = 0.0
        student[table.index(seen), table.index(wrong)] = 1.0
    laws = [exact.forward_law(process, equal_bits, t)[None] for t in (0.5, 1.0)]
    chains = Chains(
        laws[1], [k[None] for k in teacher], [student[None], (teacher[1] @ student)[None]]
    )
    assert distance(chains).item() == 0.125
    assert bound(chains, laws).item() == 0.0
    assert reference_mismatch(chains, laws).item() == 0.125
    assert bound(chains).isinf().all()  # the reference law of the theorem reaches 01 and 10


def test_no_mismatch_under_the_laws_of_the_theorem():
    for _, chains in random_chains(batch=2, seed=4):
        assert reference_mismatch(chains, generated_laws(chains)).max() < 1e-15


def test_half_the_term_is_rejected():
    sides = unseen_states_example(point((0, 0)), point((1, 1)))
    record = Record()
    record.at_most(sides["left"], sides["mismatch"] / 2, "half the term")
    assert not record.holds


def test_the_smooth_example_in_closed_form():
    chains, laws = rare_state_chain(1e-4)
    assert distance(chains).item() == pytest.approx(0.25 * 0.8)
    kl = 0.8 * torch.tensor(9.0, dtype=torch.float64).log().item()
    assert bound(chains, laws).item() == pytest.approx((1e-4 * kl / 2) ** 0.5)
    assert reference_mismatch(chains, laws).item() == pytest.approx(0.25 - 1e-4)
