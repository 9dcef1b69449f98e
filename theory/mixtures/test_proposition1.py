"""Proposition 1 by other routes: sampling the latent, known numbers, brute-force search."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from theory.claim import Record
from theory.mixtures.proposition1 import (
    boxes_inside,
    conditional_mixture,
    cover_number,
    inverse_cdf,
    latent_measure,
    matrix_rank,
    mixture_law,
)
from theory.tools.laws import uniform_on, zero_sum_law
from theory.tools.oracle import all_states, law_from


@given(st.lists(st.integers(0, 9), min_size=9, max_size=9).filter(any))
def test_inverse_cdf_and_conditioning_give_back_the_law(weights):
    law = law_from([Fraction(w, sum(weights)) for w in weights], 2, 3)
    assert latent_measure(law) == law
    assert mixture_law(conditional_mixture(law, 3), 2, 3) == law


def test_sampled_latents_follow_the_law():
    # 20000 draws, fixed seed. Chi-square with 7 degrees of freedom exceeds 40.5 with chance 1e-6.
    law = law_from([Fraction(k + 1, 36) for k in range(8)], 3, 2)
    draws = torch.rand(20000, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    counts = dict.fromkeys(law, 0)
    for latent in draws.tolist():
        counts[inverse_cdf(law, Fraction(latent))] += 1
    expected = {x: 20000 * float(p) for x, p in law.items()}
    assert sum((counts[x] - e) ** 2 / e for x, e in expected.items()) < 40.5


def test_a_latent_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match="latent must lie in"):
        inverse_cdf(zero_sum_law(2, 2), Fraction(1))


@pytest.mark.parametrize(
    ("support", "num_dims", "expected"),
    [
        ([(0, 0), (1, 1)], 2, 2),  # two bits that always agree
        ([(0, 0, 0), (1, 1, 1)], 3, 2),  # equal bits need two, whatever D
        ([(0, 0), (0, 1), (1, 0)], 2, 2),
        ([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], 3, 3),  # at most one bit set: D boxes
        (list(itertools.product((0, 1), repeat=3)), 3, 1),  # a box is its own cover
    ],
)
def test_known_cover_numbers(support, num_dims, expected):
    assert cover_number(uniform_on(support, num_dims, 2), num_dims, 2) == expected


def test_cover_number_against_all_subsets_of_boxes():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        keep = torch.rand(9, generator=generator) < 0.6
        keep[0] = True
        support = [x for x, k in zip(all_states(2, 3), keep.tolist(), strict=True) if k]
        boxes = boxes_inside(frozenset(support), 2, 3)
        fewest = next(
            count
            for count in itertools.count(1)
            if any(
                frozenset().union(*chosen) == frozenset(support)
                for chosen in itertools.combinations(boxes, count)
            )
        )
        assert cover_number(uniform_on(support, 2, 3), 2, 3) == fewest


def test_parity_cannot_be_fitted_with_fewer_components():
    # A product law inside even parity is a point mass. A mixture of 3 components is thus a mixture
    # of 3 of the 4 points, and non-negative least squares leaves a residual for every choice.
    law = zero_sum_law(3, 2)
    target = [float(p) for p in law.values()]
    atoms = [x for x, p in law.items() if p]
    for chosen in itertools.combinations(atoms, 3):
        columns = [[float(x == atom) for atom in chosen] for x in law]
        assert nnls(torch.tensor(columns).numpy(), target)[1] == pytest.approx(0.25)


def test_matrix_rank_against_floating_point():
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        rows = torch.randint(-1, 2, (4, 4), generator=generator)
        exact_rank = matrix_rank([[Fraction(v) for v in row] for row in rows.tolist()])
        assert exact_rank == torch.linalg.matrix_rank(rows.double())


def test_one_component_less_is_rejected():
    law = zero_sum_law(4, 2)
    record = Record()
    record.equal(len(conditional_mixture(law, 2)), 2**3 - 1, 0, "wrong number")
    assert not record.holds
    dropped = mixture_law(conditional_mixture(law, 2)[1:], 4, 2)
    assert dropped != law
    assert math.isclose(sum(dropped.values()), 7 / 8)
