"""Unmasking: known counts, and the output law against an enumerated sampler."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.tools.laws import rational_law
from theory.tools.unmasking import compositions, ordered_partitions, output_law, path_law


@pytest.mark.parametrize("n", range(1, 8))
def test_counts(n):
    assert len(list(compositions(n))) == 2 ** (n - 1)
    for k in range(1, n + 1):
        found = list(compositions(n, k))
        assert len(set(found)) == len(found) == math.comb(n - 1, k - 1)
        assert all(sum(sizes) == n and min(sizes) >= 1 for sizes in found)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_ordered_partitions_are_counted_by_the_multinomial(sizes):
    n = sum(sizes)
    found = list(ordered_partitions(range(n), sizes))
    assert len(set(found)) == len(found)
    assert len(found) == math.factorial(n) // math.prod(map(math.factorial, sizes))
    for partition in found:
        assert [len(batch) for batch in partition] == sizes
        assert sorted(i for batch in partition for i in batch) == list(range(n))


def test_sizes_must_cover_the_coordinates():
    with pytest.raises(ValueError, match=r"sum to the number of coordinates 3; got \[1, 1\]"):
        list(ordered_partitions(range(3), (1, 1)))


def _sampled_law(law, sizes):
    """The law of random-order unmasking, from all partial states, one batch at a time."""
    n = len(next(iter(law)))
    hidden = (None,) * n
    current = {hidden: Fraction(1)}
    for size in sizes:
        following = {}
        for state, mass in current.items():
            masked = [i for i in range(n) if state[i] is None]
            agree = {x: p for x, p in law.items() if _matches(state, x)}
            norm = sum(agree.values())
            batches = [b for b in _subsets(masked) if len(b) == size]
            for batch in batches:
                filled = {state: mass / len(batches)}
                for i in batch:
                    single = {}
                    for x, p in agree.items():
                        single[x[i]] = single.get(x[i], 0) + p / norm
                    filled = {
                        (*s[:i], v, *s[i + 1 :]): m * q
                        for s, m in filled.items()
                        for v, q in single.items()
                    }
                for s, m in filled.items():
                    following[s] = following.get(s, 0) + m
        current = following
    return current


def _matches(state, x):
    return all(s in (None, v) for s, v in zip(state, x, strict=True))


def _subsets(items):
    return [[i for k, i in enumerate(items) if bits >> k & 1] for bits in range(2 ** len(items))]


@pytest.mark.parametrize("sizes", list(compositions(3)))
def test_the_output_law_is_what_the_sampler_generates(sizes):
    law = rational_law(random.Random(3), 3, 2)
    assert output_law(law, sizes) == _sampled_law(law, sizes)


def test_one_coordinate_at_a_time_is_exact_in_every_order():
    law = rational_law(random.Random(1), 3, 2, least=-3)
    support = {x: p for x, p in law.items() if p}
    for partition in ordered_partitions(range(3), (1, 1, 1)):
        assert path_law(law, partition) == support


def test_one_batch_is_the_product_of_the_marginals():
    law = rational_law(random.Random(5), 2, 3)
    path = path_law(law, ((0, 1),))
    for x in law:
        rows = sum(law[x[0], v] for v in range(3))
        columns = sum(law[v, x[1]] for v in range(3))
        assert path[x] == rows * columns
