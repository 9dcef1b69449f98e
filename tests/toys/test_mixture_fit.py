"""Fits of mixtures of products and their exact bounds, by other routes."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toys import components
from toys.figure1_laws import one_step_mixture
from toys.students.mixture_fit import (
    components_needed,
    fit_mixture,
    lower_bound,
    mixture_law,
    upper_bound,
)
from toys.tasks import synthetic_laws
from toys.tasks.synthetic_laws import two_moons


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _tv(p, q):
    return 0.5 * math.fsum(abs(a - b) for a, b in zip(p.tolist(), q.tolist(), strict=True))


def _mixture(seed, num_values, num_dims, count):
    rng = np.random.default_rng(seed)
    weights = torch.from_numpy(rng.dirichlet(np.ones(count)))
    rows = rng.dirichlet(np.ones(num_values), size=(count, num_dims))
    return weights, torch.from_numpy(rows)


def _by_hand(weights, rows):
    """The law of a mixture by a loop over the states."""
    num_dims, num_values = rows.shape[1:]
    return torch.tensor(
        [
            sum(
                float(w) * math.prod(float(row[d][x[d]]) for d in range(num_dims))
                for w, row in zip(weights, rows, strict=True)
            )
            for x in itertools.product(range(num_values), repeat=num_dims)
        ],
        dtype=torch.float64,
    )


SHAPES = st.sampled_from([(2, 3), (3, 2), (2, 4), (4, 2)])


@settings(max_examples=20)
@given(SHAPES, st.integers(1, 4), st.integers(0, 10**6))
def test_no_mixture_of_k_products_comes_closer_than_the_lower_bound(shape, count, seed):
    """Random mixtures, and fitted ones."""
    num_values, num_dims = shape
    law = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(num_values**num_dims)))
    other = _by_hand(*_mixture(seed + 1, num_values, num_dims, count))
    bound = lower_bound(law, num_values)
    if count < len(bound):
        assert _tv(law, other) >= float(bound[count]) - 1e-12
    fitted = mixture_law(*fit_mixture(law, num_values, count, 30, _generator(seed)))
    assert count >= len(bound) or _tv(law, fitted) >= float(bound[count]) - 1e-12


@settings(max_examples=20)
@given(SHAPES, st.integers(1, 3), st.integers(0, 10**6))
def test_the_bound_is_zero_where_the_law_is_such_a_mixture(shape, count, seed):
    law = _by_hand(*_mixture(seed, *shape, count))
    law = law / law.sum()
    bound = lower_bound(law, shape[0])
    assert count >= len(bound) or float(bound[count]) == 0
    below, above = components_needed(law, shape[0])
    assert below <= count
    assert above <= shape[0] ** (shape[1] - 1)


def test_lower_bound_of_a_pair_by_hand():
    """Singular values of [[a, b], [b, a]] / 2 are (a + b) / 2 and |a - b| / 2."""
    law = synthetic_laws.correlated_pair(0.9)
    assert lower_bound(law, 2).tolist() == pytest.approx([0.475, 0.225, 0], abs=1e-14)
    assert lower_bound(synthetic_laws.correlated_pair(0.0), 2)[1] == 0


def test_upper_bound_is_what_the_truncated_factorisation_reaches():
    rng = np.random.default_rng(4)
    law = torch.from_numpy(rng.dirichlet(np.ones(27)))
    cube = law.reshape(3, 3, 3)
    for count in (1, 4, 9):
        reached = []
        for d in range(3):
            moved = cube.movedim(d, -1).reshape(9, 3)
            kept = moved.sum(1).sort(descending=True).indices[:count]
            part = torch.zeros_like(moved)
            part[kept] = moved[kept]
            part = part / part.sum()
            back = part.reshape(3, 3, 3).movedim(-1, d).reshape(-1)
            reached.append(_tv(law, back))
        assert float(upper_bound(law, 3)[count]) == pytest.approx(min(reached), abs=1e-12)
    assert upper_bound(law, 3)[9] == 0


def test_components_that_laws_need():
    assert components_needed(synthetic_laws.parity(5), 2) == (16, 16)
    assert components_needed(synthetic_laws.permutations(4), 4) == (24, 24)
    assert components_needed(synthetic_laws.repetition(4), 2) == (2, 2)
    assert components_needed(synthetic_laws.correlated_pair(0.5), 2) == (2, 2)
    assert components_needed(synthetic_laws.checkerboard(8), 8)[0] == 2
    product = _by_hand(*_mixture(0, 3, 3, 1))
    assert components_needed(product / product.sum(), 3)[0] == 1


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.booleans())
def test_every_round_of_em_raises_the_likelihood_and_keeps_the_marginals(seed, seeded):
    law = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(27, 0.5)))
    likelihoods = []
    for rounds in range(1, 6):
        fitted = fit_mixture(law, 3, 3, rounds, _generator(seed), seeded)
        output = mixture_law(*fitted)
        torch.testing.assert_close(output, _by_hand(*fitted), atol=1e-13, rtol=1e-12)
        assert float(output.sum()) == pytest.approx(1, abs=1e-12)
        likelihoods.append(float((law * output.log()).sum()))
        for d in range(3):
            sides = [p.reshape(3**d, 3, -1).sum((0, 2)) for p in (law, output)]
            torch.testing.assert_close(*sides, atol=1e-12, rtol=0)
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(likelihoods))


def test_one_component_is_the_product_of_the_marginals():
    law = torch.from_numpy(np.random.default_rng(1).dirichlet(np.ones(8)))
    weights, rows = fit_mixture(law, 2, 1, 2, _generator())
    assert weights.tolist() == pytest.approx([1])
    single = [law.reshape(2**d, 2, -1).sum((0, 2)) for d in range(3)]
    torch.testing.assert_close(rows[0], torch.stack(single))


def test_as_many_seeds_as_states_find_a_law_exactly():
    law = synthetic_laws.parity(4)
    fitted = fit_mixture(law, 2, 8, 200, _generator(), seeded=True)
    assert _tv(law, mixture_law(*fitted)) < 1e-6


def test_a_dead_component_has_weight_zero_and_uniform_marginals(monkeypatch):
    def responsibilities(size, **_):
        share = torch.ones(size).double()
        share[1] = 0
        return share

    law = torch.zeros(4).double()
    law[2] = 1
    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", responsibilities)
        weights, rows = fit_mixture(law, 2, 3, 5, _generator())
    assert weights.tolist() == pytest.approx([0.5, 0, 0.5])
    assert rows[1].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    torch.testing.assert_close(mixture_law(weights, rows), law)


def test_patches_by_the_published_orientation():
    """Maximum-likelihood mixtures of 4 and 8 products on 3 x 3 patches: about 0.290 and 0.182."""
    law = components.find_task("digits3x3").law()
    for count, expected in ((4, 0.290), (8, 0.182)):
        fits = (fit_mixture(law, 2, count, 150, _generator(seed)) for seed in range(3))
        best = min(_tv(law, mixture_law(*fit)) for fit in fits)
        assert best == pytest.approx(expected, abs=0.01)


def test_figure_one_uses_the_same_fit():
    law = two_moons(6)
    ours = fit_mixture(law.flatten(), 6, 3, 10, _generator(5))
    torch.testing.assert_close(one_step_mixture(law, 3, 10, _generator(5)), ours)
    weights, rows = one_step_mixture(law, 6, 10, _generator())
    torch.testing.assert_close(mixture_law(weights, rows), law.flatten())
    with pytest.raises(ValueError, match=r"num_components.*7"):
        one_step_mixture(law, 7, 10, _generator())


@pytest.mark.parametrize(("count", "rounds", "name"), [(0, 5, "num_components"), (2, 0, "num_it")])
def test_bad_counts_are_named(count, rounds, name):
    with pytest.raises(ValueError, match=f"{name}.*at least 1; got 0"):
        fit_mixture(synthetic_laws.correlated_pair(0.5), 2, count, rounds, _generator())


def test_the_record_holds_fits_between_bounds(tmp_path):
    path = tmp_path / "out.json"
    components.main(["--quick", "--task", "parity8", "moons", "--json", str(path)])
    parity, moons = json.loads(path.read_text())["laws"]
    assert parity["needed"] == [128, 128]
    assert parity["proposition1"] == 128
    for row in parity["rows"] + moons["rows"]:
        assert row["lower"] <= row["tv"] + 1e-12
        assert row["lower"] <= row["upper"] + 1e-12
        assert row["tv"] <= row["worst_start"]
    teacher = {row["steps"]: row["tv"] for row in moons["teacher"]}
    assert teacher[4] == pytest.approx(teacher[1] / 4, rel=1e-9)  # masked pair: 1/N
