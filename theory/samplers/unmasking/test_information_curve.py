"""The information curve by conditional entropies, known curves, and right ends of batches."""

import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.claim import Record
from theory.samplers.unmasking.information_curve import (
    batched_curve,
    batched_mask_averaged_kl,
    copies,
    information_curve,
    mask_averaged_kl,
    optimal_sizes,
    riemann_gap,
)
from theory.tools import oracle
from theory.tools.exact_logs import ZERO, entropy, log, restrict
from theory.tools.laws import rational_law
from theory.tools.unmasking import compositions, ordered_partitions


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from(list(compositions(3))), st.booleans())
def test_total_correlations_add_up_along_every_path(seed, sizes, zeros):
    """A third route: conditional entropies of coordinates, averaged over all paths."""
    law = rational_law(random.Random(seed), 3, 2, -3 if zeros else 1)

    def h(coordinates):
        return entropy(restrict(law, sorted(coordinates)))

    partitions = list(ordered_partitions(range(3), sizes))
    mean = ZERO
    for partition in partitions:
        known = []
        for batch in partition:
            for i in batch:
                mean += Fraction(1, len(partitions)) * (h([*known, i]) - h(known))
            known += batch
    assert mask_averaged_kl(law, sizes) == mean - entropy(law)
    assert riemann_gap(information_curve(law), sizes) == mean - entropy(law)


def test_batched_routes_agree_with_the_exact_one():
    law = rational_law(random.Random(4), 3, 2)
    tensor = torch.tensor([float(p) for p in law.values()], dtype=torch.float64).reshape(1, 2, 2, 2)
    for dense, exact in zip(batched_curve(tensor), information_curve(law), strict=True):
        assert float(dense) == pytest.approx(float(exact), abs=1e-14)
    for sizes in compositions(3):
        left = float(batched_mask_averaged_kl(tensor, sizes))
        assert left == pytest.approx(float(mask_averaged_kl(law, sizes)), abs=1e-14)


def test_known_curves():
    parity = {x: Fraction(1, 4) for x in oracle.all_states(3, 2) if sum(x) % 2 == 0}
    assert information_curve(parity) == [ZERO, ZERO, log(2)]
    assert information_curve(copies(4)) == [ZERO, log(2), log(2), log(2)]
    independent = oracle.independent(rational_law(random.Random(8), 3, 2))
    assert information_curve(independent) == [ZERO] * 3
    # Parity costs log 2 unless the last batch is a single coordinate.
    for sizes in compositions(3):
        assert mask_averaged_kl(parity, sizes) == (ZERO if sizes[-1] == 1 else log(2))


def test_optimal_sizes_of_known_curves():
    assert optimal_sizes(information_curve(copies(5)), 2) == (1, 4)
    parity = [ZERO, ZERO, ZERO, log(2)]
    assert optimal_sizes(parity, 2) == (3, 1)
    straight = [Fraction(j) for j in range(8)]
    assert optimal_sizes(straight, 4) == (2, 2, 2, 2)


def test_the_right_end_of_each_batch_is_rejected():
    """The staircase that takes its values at the right ends is another number."""
    law = rational_law(random.Random(2), 3, 2)
    curve = information_curve(law)
    record = Record()
    record.equal(mask_averaged_kl(law, (3,)), 3 * curve[2] - sum(curve, ZERO), 0, "right ends")
    assert not record.holds


def test_bad_arguments_are_refused_by_name():
    curve = [Fraction(0), Fraction(1), Fraction(2)]
    with pytest.raises(ValueError, match=r"sizes must sum to n = 3; got \[2, 2\]"):
        riemann_gap(curve, (2, 2))
    for num_steps in (0, 4):
        with pytest.raises(ValueError, match=f"num_steps must lie in 1..3 = n; got {num_steps}"):
            optimal_sizes(curve, num_steps)
