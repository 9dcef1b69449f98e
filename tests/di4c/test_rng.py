"""Random draws follow their laws, and a random stream depends only on seed, position and name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from di4c import rng
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value

LAWS = [
    [0.5, 0.5],
    [0.0, 0.2, 0.0, 0.5, 0.3, 0.0],
    [1.0, 2.0, 3.0, 4.0],  # not normalised
    [1e-3, 0.999],
]


def test_draws_can_be_on_another_device_than_the_generator():
    """The meta device stands for a GPU."""
    source, x = generator(), torch.ones(2, 3, device="meta")
    assert rng.uniform((2, 3), generator=source, device="meta").device == x.device
    numbers = rng.uniform((5,), generator=generator())
    torch.testing.assert_close(numbers, torch.rand(5, dtype=torch.float64, generator=generator()))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("draw", [rng.categorical, rng.exponential_race])
def test_draws_follow_the_weights(draw, law):
    law = torch.tensor(law, dtype=torch.float64)
    draws = draw(law.expand(200_000, -1), generator=generator())
    assert p_value(draws[:, None], law, len(law)) > P_VALUE


@pytest.mark.parametrize("draw", [rng.categorical, rng.exponential_race])
def test_the_chi_square_test_rejects_a_wrong_law(draw):
    law = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64)
    draws = draw(law.expand(200_000, -1), generator=generator())
    assert p_value(draws[:, None], torch.tensor([0.31, 0.30, 0.39]), 3) < P_VALUE


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9))
def test_inversion_by_cumulative_sums(seed, rows, num_states):
    """The first state whose cumulative sum exceeds u times the total, by numpy."""
    source = np.random.default_rng(seed)
    probs = source.random((rows, num_states)) * (source.random((rows, num_states)) < 0.7)
    probs[:, 0] += 1e-3
    uniforms = source.random(rows)
    expected = [
        int(np.argmax(np.cumsum(row) > u * row.sum()))
        for row, u in zip(probs, uniforms, strict=True)
    ]
    found = rng.invert(torch.from_numpy(probs), torch.from_numpy(uniforms))
    assert found.tolist() == expected


def test_inversion_never_returns_an_impossible_state_at_the_ends():
    probs = torch.tensor([0.0, 0.1, 0.2, 0.0])
    ends = torch.tensor([0.0, 1 - 2**-53, 1 - 2**-54], dtype=torch.float64)
    assert rng.invert(probs.expand(3, -1), ends).tolist() == [1, 2, 2]


def test_the_size_of_a_chunk_changes_nothing(monkeypatch):
    probs = torch.rand(5, 7, 11, generator=generator(1))
    whole = rng.categorical(probs, generator=generator(2))
    monkeypatch.setattr(rng, "_CHUNK_NUMBERS", 30)
    assert torch.equal(rng.categorical(probs, generator=generator(2)), whole)
    assert whole.shape == (5, 7)


def test_50_000_equal_states_are_all_drawn():
    """Cumulative sums or noise in float32 would never draw some of them."""
    law = torch.ones(50_000, dtype=torch.float32)
    draws = rng.categorical(law.expand(2_000, -1), generator=generator())
    # The half of the range, and the parity of the state, which a coarse cumulative sum loses.
    for bit in (draws >= 25_000, draws % 2 == 1):
        assert stats.binomtest(int(bit.sum()), draws.numel()).pvalue > P_VALUE


def test_empty_batches_draw_nothing():
    assert rng.categorical(torch.ones(0, 4)).shape == (0,)
    nobody = rng.SampleGenerators(0, [])
    assert rng.uniform((0, 3), generator=nobody).shape == (0, 3)
    assert rng.categorical(torch.ones(0, 4), generator=nobody).shape == (0,)


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_a_row_that_is_no_law_is_refused_by_its_number(bad):
    probs = torch.ones(4, 3)
    probs[2] = bad
    with pytest.raises(ValueError, match=r"probs .* row 2 .* sums to"):
        rng.categorical(probs)


def test_stratified_uniforms_fill_each_cell_once_and_are_uniform():
    draws = rng.stratified_uniform((20_000, 8), generator=generator())
    assert torch.equal(
        (draws * 8).floor().long().sort(-1).values, torch.arange(8).expand(20_000, 8)
    )
    for entry in draws.T[:3]:
        assert stats.kstest(entry.numpy(), "uniform").pvalue > P_VALUE
    # Two entries of a row are never in the same cell, so their correlation is -1/(n-1).
    corr = float(torch.corrcoef(draws.T)[0, 1])
    assert corr == pytest.approx(-1 / 7, abs=0.05)


def test_stratified_uniforms_stay_below_one(monkeypatch):
    """(15 + u) / 16 rounds to 1 for the largest u."""
    largest = torch.full((16,), 1.0, dtype=torch.float64).nextafter(torch.zeros(1).double())
    monkeypatch.setattr(rng, "uniform", lambda shape, **_: largest)
    assert float(rng.stratified_uniform((16,)).max()) < 1


def test_gumbel_and_poisson_draws_follow_their_laws():
    draws = rng.gumbel((100_000,), generator=generator())
    assert draws.dtype == torch.float64
    assert stats.kstest(draws.numpy(), "gumbel_r").pvalue > P_VALUE
    counts = rng.poisson(torch.full((100_000,), 1.7, dtype=torch.float64), generator=generator(3))
    law = torch.from_numpy(stats.poisson.pmf(np.arange(30), 1.7))
    tail = counts.long().clamp_max(8)
    law = torch.cat([law[:8], law[8:].sum().reshape(1)])
    assert p_value(tail[:, None], law, len(law)) > P_VALUE


@settings(max_examples=50)
@given(st.integers(-(2**40), 2**40), st.lists(st.integers(0, 2**32 - 1), min_size=2, unique=True))
def test_positions_differ_in_the_lower_half_of_the_seed(seed, positions):
    positions += [positions[0] ^ 1 << bit for bit in range(32)]  # positions that differ in one bit
    low = {rng.fold_seed(seed, position, "latent") % 2**32 for position in positions}
    assert len(low) == len(set(positions))


def test_the_cpu_generator_reads_only_half_of_a_seed():
    """fold_seed makes the lower half unique. If this fails, torch reads the whole seed now."""
    one, other = generator(5), generator(5 + 2**32)
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=other))


def test_streams_are_independent_and_repeatable():
    def first(*args):
        return torch.rand(1, dtype=torch.float64, generator=rng.generator_at(*args)).item()

    draws = [first(7, position, "noise") for position in range(5_000)]
    assert stats.kstest(draws, "uniform").pvalue > P_VALUE
    neighbours = stats.pearsonr(draws[:-1], draws[1:])
    assert neighbours.pvalue > P_VALUE
    assert first(7, 3, "noise") == draws[3]
    assert len({first(7, 3, "noise"), first(8, 3, "noise"), first(7, 3, "latent")}) == 3


def test_positions_outside_the_range_are_refused():
    for position in (-1, 2**32):
        with pytest.raises(ValueError, match="position must lie in"):
            rng.fold_seed(0, position, "x")


@pytest.mark.parametrize(
    "draw",
    [
        lambda n, g: rng.uniform((n, 3), generator=g),
        lambda n, g: rng.gumbel((n, 3), generator=g),
        lambda n, g: rng.categorical(torch.ones(n, 3, 5), generator=g),
        lambda n, g: rng.exponential_race(torch.ones(n, 3, 5), generator=g),
        lambda n, g: rng.poisson(torch.ones(n, 3), generator=g),
    ],
)
def test_a_sample_is_the_same_in_every_batch(draw):
    whole = draw(6, rng.SampleGenerators(11, range(6)))
    parts = [draw(2, rng.SampleGenerators(11, pair)) for pair in ((4, 5), (0, 1), (2, 3))]
    assert torch.equal(whole, torch.cat([parts[1], parts[2], parts[0]]))
    assert not torch.equal(whole[0], whole[1])


def test_every_sample_needs_a_stream():
    with pytest.raises(ValueError, match="3 streams for a batch of 4"):
        rng.uniform((4, 2), generator=rng.SampleGenerators(0, range(3)))
