"""Denoisers: the exact one against the plain-Python oracle, tables, and networks of logits."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.denoisers import ExactDenoiser, FromLogits, TableDenoiser, state_index
from di4c.exact import states
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import ExponentialSchedule
from tests.helpers.goodness_of_fit import generator
from theory.tools import oracle


def _law(seed: int, size: int) -> list[Fraction]:
    weights = torch.randint(1, 20, (size,), generator=generator(seed)).tolist()
    return [Fraction(w, sum(weights)) for w in weights]


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from(["masked", "uniform"]), st.integers(1, 3))
def test_the_exact_denoiser_follows_bayes_rule(seed, kind, num_dims):
    """At alpha = 1/3, for every state, against fractions."""
    values = _law(seed, 2**num_dims)
    q_0 = oracle.law_from(values, num_dims, 2)
    ratio = Fraction(1, 3)
    if kind == "masked":
        process, kernel = MaskedProcess(2), oracle.masked_kernel(ratio, 2, from_data=True)
    else:
        process, kernel = UniformProcess(2), oracle.uniform_kernel(ratio, 2)
    denoiser = ExactDenoiser(process, torch.tensor([float(v) for v in values], dtype=torch.float64))
    x_t = states(num_dims, process.num_states)
    found = denoiser(x_t, torch.full((len(x_t),), 2 / 3, dtype=torch.float64)).exp()
    for row, x in zip(found, x_t.tolist(), strict=True):
        truth = oracle.marginals(oracle.reverse_row(q_0, kernel, tuple(x)))
        for d in range(num_dims):
            for value in range(2):
                assert float(row[d, value]) == pytest.approx(
                    float(truth[d].get(value, 0)), abs=1e-12
                )


@pytest.mark.parametrize("rate", [1e-50, 1e3, 1e50])
def test_the_exact_denoiser_of_masked_noise_does_not_depend_on_its_rate(rate):
    """At half of the horizon alpha may be so small that its square underflows."""
    q_0 = torch.rand(8, generator=generator(), dtype=torch.float64)
    q_0, x_t = q_0 / q_0.sum(), states(3, 3)
    t = torch.full((len(x_t),), 0.5)
    fast = MaskedProcess(2, ExponentialSchedule(rate=rate))
    expected = ExactDenoiser(MaskedProcess(2), q_0)(x_t, t)
    torch.testing.assert_close(ExactDenoiser(fast, q_0)(x_t, t), expected, rtol=0, atol=1e-14)


def test_the_exact_denoiser_takes_a_time_for_each_example():
    process = UniformProcess(3)
    q_0 = torch.rand(9, generator=generator(), dtype=torch.float64)
    denoiser = ExactDenoiser(process, q_0 / q_0.sum(), max_tables=2)
    x_t = torch.randint(3, (6, 2), generator=generator())
    t = torch.tensor([0.2, 0.7, 0.2, 0.9, 0.7, 0.9], dtype=torch.float64)
    mixed = denoiser(x_t, t)
    for i in range(6):
        assert torch.equal(mixed[i], denoiser(x_t[i : i + 1], t[i : i + 1])[0])
    assert denoiser.table(0.9) is denoiser.table(0.9)
    assert len(denoiser._tables) == 2


def test_the_exact_denoiser_keeps_at_least_one_table():
    with pytest.raises(ValueError, match="max_tables must be at least 1; got 0"):
        ExactDenoiser(UniformProcess(2), torch.full((4,), 0.25), max_tables=0)


def test_a_table_looks_up_states_and_latents():
    log_probs = torch.randn(2, 9, 2, 2, generator=generator()).log_softmax(-1)
    table = TableDenoiser(log_probs, num_states=3)
    x_t = torch.tensor([[0, 0], [2, 1], [1, 2]])
    found = table(x_t, torch.ones(3), torch.tensor([0, 1, 0]))
    assert torch.equal(found, torch.stack([log_probs[0, 0], log_probs[1, 7], log_probs[0, 5]]))
    assert state_index(states(3, 4), 4).tolist() == list(range(64))


def test_logits_exclude_the_mask_and_keep_unmasked_coordinates():
    logits = torch.randn(2, 3, 5, generator=generator(), dtype=torch.float64)
    labels = torch.tensor([3, 1])
    x_t = torch.tensor([[4, 0, 4], [2, 4, 1]])

    def network(x, t, latent, label):
        assert x is x_t
        return logits + label[:, None, None] * latent[:, None, None] * torch.arange(5)

    latent, t = torch.tensor([0.2, 0.4]), torch.ones(2)
    plain = FromLogits(network, labels, mask_state=4)(x_t, t, latent)
    shifted = logits + torch.tensor([0.6, 0.4])[:, None, None] * torch.arange(5)
    expected = torch.softmax(shifted[..., :4], -1)
    torch.testing.assert_close(plain.exp(), expected, rtol=1e-6, atol=1e-7)
    carried = FromLogits(network, labels, mask_state=4, carry_over=True)(x_t, t, latent).exp()
    assert torch.equal(carried[1, 0], torch.tensor([0.0, 0, 1, 0], dtype=torch.float64))
    assert torch.equal(carried[x_t == 4], plain[x_t == 4].exp())
    unmasked = FromLogits(network, labels)(x_t, t, latent)
    torch.testing.assert_close(unmasked, shifted.log_softmax(-1), rtol=1e-6, atol=1e-7)


def test_half_precision_logits_are_normalised_in_float32():
    logits = torch.randn(1, 2, 4).bfloat16()
    found = FromLogits(lambda *_: logits)(torch.zeros(1, 2, dtype=torch.long), torch.ones(1))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(1, 2))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"2\^D entries; got 3"):
        ExactDenoiser(MaskedProcess(2), torch.ones(3) / 3)
    denoiser = ExactDenoiser(MaskedProcess(2), torch.ones(4).double() / 4)
    with pytest.raises(ValueError, match=r"x_t must have shape .* = \(any, 2\); got \(1, 3\)"):
        denoiser(torch.zeros(1, 3, dtype=torch.long), torch.ones(1))
    with pytest.raises(ValueError, match=r"log_probs must hold 3\^2 states on axis 1; got 8"):
        TableDenoiser(torch.zeros(1, 8, 2, 2), num_states=3)
    with pytest.raises(ValueError, match="latent must be given for a table of 2 latents"):
        TableDenoiser(torch.full((2, 9, 2, 2), 0.5).log(), num_states=3)(
            torch.zeros(1, 2, dtype=torch.long), torch.ones(1)
        )
    with pytest.raises(ValueError, match="carry_over=True needs mask_state"):
        FromLogits(lambda *_: torch.zeros(1), carry_over=True)
