"""The confidence sampler: steps, guidance, calls, infilling, and what is refused."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.confidence import confidence_sampling, confidence_step, guided_logits, teacher_step
from di4c.denoisers import TableDenoiser
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.processes import MaskedProcess
from di4c.rng import SampleGenerators
from tests.helpers.goodness_of_fit import generator

DIMS, VALUES = 3, 2
PROCESS = MaskedProcess(VALUES)


def _table() -> TableDenoiser:
    """A random denoiser with two latents."""
    shape = (2, (VALUES + 1) ** DIMS, DIMS, VALUES)
    logits = torch.randn(shape, generator=generator(1), dtype=torch.float64)
    return TableDenoiser(logits.log_softmax(-1), VALUES + 1)


def test_guidance_keeps_impossible_values_impossible():
    cond = torch.tensor([[[0.0, -1.0, -torch.inf]]])
    uncond = torch.tensor([[[1.0, 2.0, -torch.inf]]])
    expected = torch.tensor([[[-2.0, -7.0, -torch.inf]]])
    torch.testing.assert_close(guided_logits(cond, uncond, 2.0), expected)
    torch.testing.assert_close(guided_logits(cond, uncond, torch.tensor([2.0])), expected)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_guidance_ignores_values_impossible_without_condition(weight):
    cond = torch.tensor([[[0.0, -1.0]]])
    uncond = torch.tensor([[[-1.0, -torch.inf]]])
    expected = torch.tensor([[[weight, -1.0]]])
    torch.testing.assert_close(guided_logits(cond, uncond, weight), expected)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(-2, 8))
def test_a_step_reveals_the_given_number_of_masked_positions(seed, num_dims, count):
    source = generator(seed)
    log_probs = torch.randn(4, num_dims, 3, generator=source).log_softmax(-1)
    masked = torch.rand(4, num_dims, generator=source) < 0.6
    x_t = torch.where(masked, 3, 0)
    x_s, left = confidence_step(
        log_probs,
        x_t,
        masked,
        torch.full((4,), count),
        torch.ones(4),
        generator=source,
    )
    revealed = masked & ~left
    assert torch.equal(revealed.sum(-1), masked.sum(-1).clamp_max(max(0, count)))
    assert torch.equal(x_s[~revealed], x_t[~revealed])
    assert not bool((left & ~masked).any())
    assert bool((x_s[revealed] < 3).all())


def test_infilling_keeps_the_known_values():
    start = torch.tensor([[2, 0, 2], [1, 1, 2], [0, 1, 0]])
    options = {"latent": LatentPolicy(law=FiniteLatent(torch.arange(2)))}
    result = confidence_sampling(PROCESS, _table(), start, 2, trajectory=True, **options)
    known = start != 2
    assert torch.equal(result.samples[known], start[known])
    assert int(result.samples.max()) < 2
    assert torch.equal(result.trajectory[0], start)
    assert torch.equal(result.trajectory[-1], result.samples)
    done = confidence_sampling(PROCESS, _table(), start[2:], 3, **options)
    assert done.nfe == 0


def test_calls_are_counted_in_both_branches_and_see_the_same_latent():
    calls = []

    def network(name):
        def denoiser(x_t, t, latent=None):
            calls.append((name, float(t[0]), latent))
            return torch.zeros(*x_t.shape, 2).log_softmax(-1)

        return denoiser

    result = confidence_sampling(
        PROCESS,
        network("cond"),
        torch.full((3, 8), 2),
        4,
        unconditional=network("uncond"),
        guidance=1.0,
        latent=LatentPolicy(),
    )
    # The first step has guidance 0 and makes no unconditional call.
    assert result.nfe == len(calls) == 7
    assert [t for name, t, _ in calls if name == "cond"] == [1.0, 0.75, 0.5, 0.25]
    for (_, t, latent), (_, other_t, other) in itertools.pairwise(calls[1:]):
        assert (t == other_t) == torch.equal(latent, other)


def test_sample_i_is_the_same_in_every_batch():
    def run(positions):
        return confidence_sampling(
            PROCESS,
            _table(),
            torch.full((len(positions), DIMS), 2),
            2,
            latent=LatentPolicy(law=FiniteLatent(torch.arange(2))),
            generator=SampleGenerators(3, positions),
        ).samples

    whole = run(range(8))
    assert torch.equal(torch.cat([run(range(3)), run(range(3, 8))]), whole)


def test_sample_i_is_the_same_next_to_one_with_more_masks():
    few = torch.full((1, 16), 2)
    few[0, :8] = 1
    whole = torch.full((1, 16), 2)

    def denoiser(x_t, t, latent=None):
        logit = (x_t * torch.arange(16)).double().sin() + torch.arange(16) / 16
        return torch.stack([logit, -logit], -1).log_softmax(-1)

    def run(start, seed):
        generators = SampleGenerators(seed, range(len(start)))
        return confidence_sampling(
            PROCESS, denoiser, start, 4, generator=generators, trajectory=True
        ).trajectory[:, 0]

    for seed in range(20):
        assert torch.equal(run(few, seed), run(torch.cat([few, whole]), seed))


def test_a_mask_that_is_left_at_the_end_becomes_the_last_value():
    """A published network may predict the mask itself."""
    only_mask = torch.tensor([0.0, 0.0, 0.0, 1.0]).log().expand(2, 3, 4)
    start = torch.tensor([[3, 3, 3], [0, 3, 1]])
    sampled = confidence_sampling(MaskedProcess(3), lambda *_: only_mask, start, 2).samples
    assert sampled.tolist() == [[2, 2, 2], [0, 2, 1]]


def test_bad_arguments_are_refused():
    start = torch.full((2, 3), 2)
    with pytest.raises(ValueError, match=r"schedule must be one of 'arccos', .*; got 'sine'"):
        confidence_sampling(PROCESS, _table(), start, 2, schedule="sine")
    with pytest.raises(ValueError, match="num_steps must be at least 1; got 0"):
        confidence_sampling(PROCESS, _table(), start, 0)
    with pytest.raises(ValueError, match=r"unconditional must be given for guidance = 3\.0"):
        confidence_sampling(PROCESS, _table(), start, 2, guidance=3.0)
    with pytest.raises(ValueError, match=r"start must be states in 0\.\.2; got 3"):
        confidence_sampling(PROCESS, _table(), start + 1, 2)
    with pytest.raises(ValueError, match=r"start must be int64.*torch.int32: use \.long\(\)"):
        confidence_sampling(PROCESS, _table(), start.int(), 2)
    with pytest.raises(ValueError, match="log_probs returned by the denoiser must have shape"):
        confidence_sampling(PROCESS, lambda *_: torch.zeros(2, 3, 5), start, 2)


@pytest.mark.parametrize(("noise", "first"), [(1.5, 0), (1.65, 1)])
def test_the_noise_of_a_teacher_step_at_three_quarters_of_eight(noise, first):
    """Its scale is 4.5 (1 - 6/7) = 0.643: one nat of confidence outweighs 1.555 of noise."""
    one_nat = torch.tensor([0.9, 0.9 / math.e])
    log_probs = torch.stack([one_nat, 1 - one_nat], -1).log()[None]
    moved = teacher_step(
        log_probs,
        torch.full((1, 2), 2),
        torch.tensor([0.75]),
        0.01,
        2,
        predictions=torch.zeros(1, 2, dtype=torch.long),
        gumbels=torch.tensor([[0.0, noise]]),
    )
    assert moved.tolist() == [[0, 2] if first == 0 else [2, 0]]


def test_a_callback_sees_where_each_step_begins_and_ends():
    seen = []
    start = torch.full((2, DIMS), VALUES)
    options = {"num_steps": 4, "latent": LatentPolicy(law=FiniteLatent(torch.arange(2)))}
    confidence_sampling(
        PROCESS, _table(), start, **options, callback=seen.append, generator=generator(0)
    )
    assert [(step.t, step.s) for step in seen] == [(1, 0.75), (0.75, 0.5), (0.5, 0.25), (0.25, 0)]
