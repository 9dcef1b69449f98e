"""The general limit in other ways: integration by hand, symmetries, which zeros do harm."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import (
    forward_law,
    limit_direction,
    limit_n_tv,
    one_step_defect,
    product_composition,
    product_law,
    states,
    total_variation,
)
from di4c.processes import (
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    absorbing_process,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import ArccosSchedule, CosineSchedule, ExponentialSchedule, uniform_grid
from theory.claim import Record
from theory.lemma1.one_step import defect
from theory.limits import any_law as general_limit
from theory.limits.any_law import without_masks
from theory.theorem1.upper_bound.rate import increments
from theory.tools import oracle
from theory.tools.dense_chain import dense_chain
from theory.tools.finite_mixture import random_law
from theory.tools.laws import sparse_law


def literal_direction(rate_up: float, rate_down: float, q_0: list[float], num_dims: int):
    """V of a two-state chain with T = 1, by Gauss-Legendre integration over dictionaries."""
    law = oracle.law_from(q_0, num_dims, 2)
    rates = [[-rate_up, rate_up], [rate_down, -rate_down]]
    nodes, weights = np.polynomial.legendre.leggauss(24)
    direction = dict.fromkeys(law, 0.0)
    for t, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
        kernel = oracle.two_state_kernel(rate_up, rate_down, float(t))
        law_t = oracle.noised(law, kernel)
        for x, mass in law_t.items():
            row = defect(law_t, rates, x)
            for y, value in row.items():
                back = oracle.reverse_row(law, kernel, y)
                for z in direction:
                    direction[z] -= float(weight) * mass * value * back[z]
    return list(direction.values())


@settings(max_examples=3)
@given(st.integers(0, 10**6), st.integers(2, 3))
def test_integration_over_dictionaries(seed, num_dims):
    rng = random.Random(seed)
    rates = rng.uniform(0.1, 1), rng.uniform(0.1, 1)
    weights = [rng.uniform(0.5, 2) for _ in range(2**num_dims)]
    q_0 = [w / sum(weights) for w in weights]
    left = literal_direction(*rates, q_0, num_dims)
    right = limit_direction(two_state_process(*rates), torch.tensor(q_0, dtype=torch.float64))
    assert right.tolist() == pytest.approx(left, abs=1e-9)


@settings(max_examples=3)
@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (2, 4), (3, 3)]))
def test_direction_has_no_mass_and_masked_pairs_keep_their_marginals(seed, shape):
    generator = torch.Generator().manual_seed(seed)
    num_dims, num_states = shape
    law = random_law(generator, num_states**num_dims, spread=0.5)
    assert abs(float(limit_direction(UniformProcess(num_states), law).sum())) < 1e-9
    direction = limit_direction(MaskedProcess(num_states), law)
    assert abs(float(direction.sum())) < 1e-14
    if num_dims == 2:
        cube = direction.reshape(num_states, num_states)
        assert float(torch.cat([cube.sum(0), cube.sum(1)]).abs().max()) < 1e-14


@pytest.mark.parametrize("masked", [True, False])
def test_permuting_coordinates_permutes_the_direction(masked):
    generator = torch.Generator().manual_seed(7)
    process = MaskedProcess(2) if masked else two_state_process(0.5, 0.8)
    law = random_law(generator, 2**3, spread=0.5)
    order = (2, 0, 1)

    def permuted(vector):
        return vector.reshape(2, 2, 2).permute(order).flatten()

    left, right = limit_direction(process, permuted(law)), permuted(limit_direction(process, law))
    torch.testing.assert_close(left, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("masked", [True, False])
def test_independent_coordinates_have_no_error(masked):
    generator = torch.Generator().manual_seed(0)
    law = product_law(random_law(generator, 4, 3))
    process = MaskedProcess(3) if masked else UniformProcess(3, ExponentialSchedule())
    assert limit_n_tv(process, law) < 1e-9


def test_a_chain_at_another_speed_has_the_same_limit():
    """V depends on time through T int beta^2; at a constant speed, on the total noise only."""
    law = random_law(torch.Generator().manual_seed(2), 8, spread=0.5)
    slow, fast = two_state_process(0.3, 0.5, 1.0), two_state_process(3.0, 5.0, 0.1)
    assert limit_n_tv(slow, law) == pytest.approx(limit_n_tv(fast, law), rel=1e-8)


def test_early_stopping_is_the_limit_of_the_noised_law():
    law = sparse_law(torch.Generator().manual_seed(3), 3, 2)
    process, rest = two_state_process(0.4, 0.6, 1.0), two_state_process(0.4, 0.6, 0.8)
    early, noised = limit_direction(process, law, stop=0.2), forward_law(process, law, 0.2)
    torch.testing.assert_close(early, limit_direction(rest, noised))
    assert limit_n_tv(process, law, stop=0.2) == pytest.approx(limit_n_tv(rest, noised))


@pytest.mark.parametrize("factor", [1.001, 0.999, -1.0])
def test_other_constants_are_rejected(monkeypatch, factor):
    monkeypatch.setattr(
        general_limit, "limit_direction", lambda *args: factor * limit_direction(*args)
    )
    law = random_law(torch.Generator().manual_seed(5), 4, spread=0.5)
    record = Record()
    general_limit.compare_limits(record, two_state_process(0.3, 0.5), law, "wrong on purpose")
    assert len(record.failures) == (1 if factor < 0 else 2)  # TV does not depend on the sign


def test_the_kernel_back_to_zero_is_needed():
    """The integral of G_t without K_{0|t} differs from V by more than 10 %."""
    law = random_law(torch.Generator().manual_seed(4), 4, spread=0.5)
    process = two_state_process(1.0, 0.5)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    without = sum(
        float(w) / 2 * one_step_defect(forward_law(process, law, (1 + t) / 2), process.rate_matrix)
        for t, w in zip(nodes.tolist(), weights, strict=True)
    )
    direction = limit_direction(process, law)
    assert float((without - direction).abs().sum()) > 0.1 * float(direction.abs().sum())


@pytest.mark.parametrize(
    ("process", "num_dims"),
    [
        (MaskedProcess(2, CosineSchedule()), 4),
        (MaskedProcess(3), 2),
        (UniformProcess(2), 3),
        (absorbing_process(ExponentialSchedule()), 3),
        (gaussian_process(4, rate_sigma=1.5, stationary_sigma=2.0), 2),
    ],
)
def test_dense_chain_is_the_engine(process, num_dims):
    """Laws with zeros: both agree, also in their convention where q_t = 0."""
    law = sparse_law(torch.Generator().manual_seed(6), num_dims, process.num_values)
    grid = uniform_grid(5, process.horizon)
    left = without_masks(dense_chain(process, law, grid).generated(), process)
    torch.testing.assert_close(left, product_composition(process, law, grid), rtol=0, atol=1e-13)


def test_larger_space_against_the_engine():
    """S = 2, D = 7: extrapolated from N = 16 and 32, N TV_N is within 2 % of the limit."""
    x = states(7, 2)
    law = torch.softmax(0.8 * (x[:, 1:] == x[:, :-1]).double().sum(1), 0)
    process = UniformProcess(2, ExponentialSchedule())
    n_tv = [
        n * float(total_variation(product_composition(process, law, uniform_grid(n)), law))
        for n in (16, 32)
    ]
    assert 2 * n_tv[1] - n_tv[0] == pytest.approx(limit_n_tv(process, law), rel=0.02)


EQUAL = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
TRIANGLE = torch.tensor([0.0, 0.3, 0.3, 0.4], dtype=torch.float64)


@pytest.mark.parametrize(
    ("process", "law", "arguments", "message"),
    [
        (UniformProcess(2, ExponentialSchedule()), EQUAL, {}, "q_0 must have full support"),
        (two_state_process(0.5, 0.1), EQUAL, {}, "2 of its 4 entries are such"),
        (
            absorbing_process(CosineSchedule()),
            EQUAL.roll(1),
            {},
            "2 of 4 stay",
        ),  # no way up
        (
            absorbing_process(ExponentialSchedule()),
            TRIANGLE,
            {},
            "1 of its 4",
        ),  # 00 is a zero
        (UniformProcess(2, ArccosSchedule()), torch.ones(4) / 4, {}, "finite rate at stop"),
        (MaskedProcess(2, ArccosSchedule()), EQUAL, {}, "finite derivative; ArccosSchedule"),
        (MaskedProcess(2), EQUAL, {"stop": 0.1}, "stop must be 0 for masked noise.*got 0.1"),
        (
            UniformProcess(2),
            EQUAL,
            {"stop": 1.0},
            r"stop must lie in \[0, 1.0\); got 1.0",
        ),
        (gaussian_process(4, floor=1e-8), torch.ones(16) / 16, {}, "floor = 0"),
        (UniformProcess(2), torch.ones(4) / 3, {}, "q_0 must sum to 1"),
    ],
)
def test_errors_name_the_hypothesis(process, law, arguments, message):
    with pytest.raises(ValueError, match=message):
        limit_n_tv(process, law, **arguments)


def test_rates_that_never_mix_need_support():
    """A chain that cannot reach every state from q_0 is refused."""
    rates = torch.tensor([[-1, 1, 0], [1, -1, 0], [0, 0, 0]], dtype=torch.float64)
    law = torch.zeros(9, dtype=torch.float64)
    law[[0, 4]] = 0.5
    process = RateMatrixProcess(rates, stationary=torch.tensor([0.5, 0.5, 0.0]))
    with pytest.raises(ValueError, match="reach every state; 5 of 9 stay"):
        limit_n_tv(process, law)
    assert math.isfinite(limit_n_tv(process, torch.full((9,), 1 / 9, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("words", "harmless"),
    [
        (["000", "111"], True),
        (["0000", "1110"], True),
        (["0000", "1100"], False),
        (["000", "001", "011"], False),  # 010 lies between 000 and 011
        (["000", "001", "010", "011"], True),  # a cube: its zeros have one neighbour each
        (["000", "011", "101", "110"], False),
    ],
)
def test_which_zeros_do_harm(words, harmless):
    """The library accepts a law exactly where the increments of N (out - p_0) shrink."""
    num_dims = len(words[0])
    law = torch.zeros((2,) * num_dims, dtype=torch.float64)
    for weight, word in enumerate(words, start=2):
        law[tuple(map(int, word))] = weight
    law /= law.sum()
    process = two_state_process(1.0, 0.6)
    before, after = increments(process, law, (256, 512, 1024))
    if harmless:
        limit_n_tv(process, law)
        assert after < 0.75 * before or before < 1e-10  # a product law has no error at all
    else:
        with pytest.raises(ValueError, match="full support, or at least no zero"):
            limit_n_tv(process, law)
        assert after > 0.75 * before
