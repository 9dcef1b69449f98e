"""Theorem 2 in plain Python, on random two-state chains; smaller bounds must fail."""

import math

import pytest
import torch
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from theory.claim import Record
from theory.theorem2 import bound as theorem2
from theory.theorem2.bound import Chains, bound, coin_chain, coin_ratio, distance


def _literal_sides(start, teacher, student):
    """Both left sides and the right side with loops over lists, without code of the claim."""
    n = range(len(start))

    def compose(first, second):  # the first step, then the second one, closer to the data
        return [[sum(first[x][u] * second[u][y] for u in n) for y in n] for x in n]

    def kl(p, q):
        return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)

    law, total = start, 0.0
    for k in reversed(range(len(teacher))):
        target = compose(teacher[k], student[k - 1]) if k else teacher[0]
        total += math.sqrt(
            max(0.0, math.fsum(law[x] * kl(target[x], student[k][x]) for x in n if law[x]))
        )
        law = [sum(law[x] * teacher[k][x][y] for x in n) for y in n]
    generated = [sum(start[x] * student[-1][x][y] for x in n) for y in n]
    left = sum(abs(a - b) for a, b in zip(law, generated, strict=True)) / 2
    composed = teacher[-1]
    for kernel in reversed(teacher[:-1]):
        composed = compose(composed, kernel)
    expected = sum(
        start[x] * sum(abs(composed[x][y] - student[-1][x][y]) for y in n) / 2 for x in n
    )
    return left, expected, total / math.sqrt(2)


def test_both_sides_against_plain_python():
    for _, chains in theorem2.random_chains(batch=1, seed=7):
        if chains.start.shape[1] > 4:
            continue
        sides = _literal_sides(
            chains.start[0].tolist(),
            [k[0].tolist() for k in chains.teacher],
            [k[0].tolist() for k in chains.student],
        )
        ours = (distance(chains), theorem2.expected_distance(chains), bound(chains))
        # The square root turns a rounding error of 1e-16 in a divergence near 0 into 1e-8.
        for mine, literal in zip(ours, sides, strict=True):
            assert mine.item() == pytest.approx(literal, abs=1e-7)


@given(st.data(), st.integers(1, 4))
def test_two_state_chains(data, num_steps):
    coin = st.floats(1e-6, 1 - 1e-6).map(lambda p: [1 - p, p])
    kernel = st.lists(coin, min_size=2, max_size=2)
    start = data.draw(coin)
    teacher = data.draw(st.lists(kernel, min_size=num_steps, max_size=num_steps))
    student = data.draw(st.lists(kernel, min_size=num_steps, max_size=num_steps))
    left, expected, right = _literal_sides(start, teacher, student)
    assert left <= expected + 1e-12
    assert expected <= right + 1e-12


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_a_smaller_constant_is_rejected(num_steps):
    chains = coin_chain(num_steps, 1e-3)
    left, right = distance(chains).item(), bound(chains).item()
    assert left / right == pytest.approx(float(coin_ratio(num_steps, arb(0.001))), abs=1e-6)
    record = Record()
    record.at_most(left, right, "the constant of the theorem")
    assert record.holds
    record.at_most(left, 0.999 * right, "a smaller constant")
    assert not record.holds


def test_dropping_a_loss_is_rejected():
    # The student is consistent, so only L_distil is positive. A bound without L_distil would be 0
    # although the student is wrong.
    generator = torch.Generator().manual_seed(1)
    *teacher, first = theorem2.random_kernels("dense", generator, (3, 1), 2, 2)
    chains = Chains(
        torch.full((1, 4), 0.25, dtype=torch.float64), teacher, [first, teacher[1] @ first]
    )
    distil, consistency = theorem2.losses(chains, theorem2.generated_laws(chains))
    assert consistency.item() < 1e-15
    assert 0.05 < distance(chains).item() <= math.sqrt(distil.item() / 2)
