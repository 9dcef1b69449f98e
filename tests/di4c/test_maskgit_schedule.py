"""MaskGIT's schedule: how many tokens a step reveals, mask ratios, ramps and masking."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.confidence import teacher_step
from di4c.maskgit_schedule import MASK_RATIOS, mask_ratio, mask_tokens, ramp, reveal_counts
from di4c.schedules import ArccosSchedule, LinearSchedule
from tests.helpers.goodness_of_fit import generator


@settings(max_examples=50)
@given(
    st.integers(1, 300),
    st.integers(1, 24),
    st.sampled_from(sorted(MASK_RATIOS)),
)
def test_counts_sum_to_the_tokens_and_only_the_last_can_be_0(num_tokens, num_steps, schedule):
    counts = reveal_counts(num_tokens, num_steps, schedule)
    assert len(counts) == num_steps
    assert int(counts.sum()) == num_tokens
    assert num_steps == 1 or int(counts[:-1].min()) >= 1


@pytest.mark.parametrize("schedule", sorted(MASK_RATIOS))
def test_ratios_fall_from_one_to_zero(schedule):
    r = torch.linspace(0, 1, 101, dtype=torch.float64)
    ratio = mask_ratio(r, schedule)
    assert float(ratio[0]) == pytest.approx(1)
    assert float(ratio[-1]) == pytest.approx(0, abs=1e-15)
    assert bool((ratio.diff() < 0).all())


def test_ratios_are_the_complement_of_the_process_schedules():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    for name, schedule in (("arccos", ArccosSchedule()), ("linear", LinearSchedule())):
        torch.testing.assert_close(mask_ratio(1 - t, name), 1 - schedule.alpha(t))


def test_the_ramp_rises_from_0_to_1_over_the_steps():
    r = torch.arange(5, dtype=torch.float64) / 5
    torch.testing.assert_close(ramp(r, 5), torch.arange(5, dtype=torch.float64) / 4)
    assert ramp(torch.zeros(2), 1).tolist() == [1.0, 1.0]


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0.01, 0.5))
def test_a_teacher_step_leaves_the_masks_of_its_schedule(seed, r, delta):
    """The number of masks is the schedule's share rounded up, and never more than before."""
    source = generator(seed)
    num_dims = 10
    x_t = torch.where(torch.rand(2, 3, num_dims, generator=source) < 0.7, 5, 1)
    log_probs = torch.randn(2, 1, num_dims, 5, generator=source).log_softmax(-1)
    x_u = teacher_step(
        log_probs.expand(-1, 3, -1, -1),
        x_t,
        torch.tensor([r, 0.3], dtype=torch.float64),
        delta,
        5,
        generator=source,
    )
    for b, start in enumerate((r, 0.3)):
        share = math.acos(min(start + delta, 1)) / (math.pi / 2)
        before = (x_t[b] == 5).sum(-1)
        after = (x_u[b] == 5).sum(-1)
        assert torch.equal(after, before.clamp_max(math.ceil(share * num_dims - 1e-9)))
    kept = x_t != 5
    assert torch.equal(x_u[kept], x_t[kept])


def test_masking_has_the_given_ratio():
    x_0 = torch.zeros(3, 40_000, dtype=torch.long)
    ratio = torch.tensor([0.0, 0.3, 1.0])
    masked = mask_tokens(x_0, ratio, 7, generator=generator()) == 7
    share = masked.double().mean(-1).tolist()
    assert share[0] == 0
    assert share[1] == pytest.approx(0.3, abs=0.012)  # five standard deviations
    assert share[2] == 1


def test_a_schedule_of_no_tokens_is_refused():
    with pytest.raises(ValueError, match="num_tokens must be at least 1"):
        reveal_counts(0, 3)
