"""The masked pair in other ways: the exact engine, and the steps in which bits are unmasked."""

import itertools
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import product_composition, total_variation
from di4c.exact.pairs import MaskedPair, masked_tv
from di4c.schedules import LinearSchedule
from theory.claim import Record
from theory.theorem1.pairs.masked_pair import closed_form, sampler_tv
from theory.tools import oracle
from theory.tools.pair_cases import rational_alphas, rational_weights


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(1, 6), st.booleans(), st.booleans())
def test_engine_agrees_on_any_grid(
    seed: int, num_values: int, num_steps: int, to_zero: bool, all_mask: bool
) -> None:
    draw = random.Random(seed)
    p_0 = torch.tensor([float(w) for w in rational_weights(draw, num_values**2)]).double()
    p_0 = (p_0 / p_0.sum()).reshape(num_values, num_values)
    alphas = rational_alphas(draw, num_steps, to_zero=to_zero)
    grid = [float(1 - alpha) for alpha in alphas]
    start = "prior" if all_mask else "q_T"
    pair = MaskedPair(p_0=p_0, schedule=LinearSchedule(), start=start)
    output = product_composition(pair.process, pair.data_law, grid, start)
    tv = float(total_variation(output, p_0.reshape(-1)))
    assert pair.closed_form(grid) == pytest.approx(tv, abs=1e-14)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(2, 4), st.integers(1, 7), st.booleans())
def test_both_unmasked_in_the_same_step(
    seed: int, num_values: int, num_steps: int, to_zero: bool
) -> None:
    """A sum over the steps (i, j) in which the coordinates are unmasked; N + 1: never masked."""
    draw = random.Random(seed)
    law = oracle.law_from(rational_weights(draw, num_values**2), 2, num_values)
    alphas = rational_alphas(draw, num_steps, to_zero=to_zero)
    chances = [a - b for a, b in itertools.pairwise(alphas)] + [alphas[-1]]
    independent = oracle.independent(law)
    output = dict.fromkeys(law, Fraction(0))
    for i, j in itertools.product(range(num_steps + 1), repeat=2):
        for x in law:
            lost = i == j < num_steps
            output[x] += chances[i] * chances[j] * (independent[x] if lost else law[x])
    expected = oracle.total_variation(output, law)
    assert closed_form(law, alphas, all_mask=False) == expected


def test_known_number() -> None:
    """Two bits that always agree, linear schedule, N equal steps: 1 / (2 N)."""
    equal_bits = oracle.law_from([Fraction(1, 2), 0, 0, Fraction(1, 2)], 2, 2)
    for num_steps in range(1, 6):
        alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
        assert sampler_tv(equal_bits, alphas, all_mask=False) == Fraction(1, 2 * num_steps)


@pytest.mark.parametrize("factor", [Fraction(999, 1000), Fraction(2)])
def test_a_wrong_constant_is_rejected(factor: Fraction) -> None:
    equal_bits = oracle.law_from([Fraction(1, 2), 0, 0, Fraction(1, 2)], 2, 2)
    alphas = [Fraction(1), Fraction(1, 3), Fraction(0)]
    record = Record()
    left = sampler_tv(equal_bits, alphas, all_mask=False)
    record.equal(left, factor * masked_tv(alphas, Fraction(1, 2)), 0, "wrong constant")
    assert not record.holds


@pytest.mark.parametrize(
    ("p_0", "start", "message"),
    [
        (torch.full((2, 2), 0.3), "q_T", "p_0 must sum to 1"),
        (torch.tensor([[1.2, -0.2], [0.0, 0.0]]), "q_T", "p_0 must be finite and non-negative"),
        (torch.full((2, 3), 1 / 6), "q_T", "table; got shape"),
        (torch.full((3, 2), 1 / 6), "q_T", "table; got shape"),
        (torch.full((2, 2), 0.25), "noise", "start must be"),
    ],
)
def test_bad_input_is_named(p_0: torch.Tensor, start: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskedPair(p_0=p_0, schedule=LinearSchedule(), start=start)


@pytest.mark.parametrize("grid", [[0.1, 1.0], [0.0, 1.1], [0.0, 0.5, 0.5], [0.0]])
def test_bad_grids_are_named(grid: list[float]) -> None:
    pair = MaskedPair(p_0=torch.eye(2) / 2, schedule=LinearSchedule())
    with pytest.raises(ValueError, match="grid must"):
        pair.closed_form(grid)
