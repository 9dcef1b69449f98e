"""The checks of arguments, at the ends of what they accept."""

import numpy as np
import pytest
import torch

from di4c import exact
from di4c.checks import check_choice, check_count, check_device, check_number, shown
from di4c.confidence import confidence_sampling
from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.network_call import check_same_states
from di4c.processes import MaskedProcess, UniformProcess
from di4c.recipe_times import FixedGap, LogUniformGap, SmallTimesOften
from di4c.samplers import hybrid
from tests.helpers.uninformed import Uninformed

LAW = torch.full((9,), 1 / 9, dtype=torch.float64)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1]", (0, 0.5, 1, np.float32(0.5)), (-1e-9, 1.0001, float("nan"))),
        ("(0, 1)", (1e-9, 0.999), (0, 1, None)),
        ("[0, inf)", (0.0, 1e300), (float("inf"), "0.5")),
        ("(-inf, inf)", (-3.0, 0, 4), (float("inf"), -float("inf"), float("nan"), 1j)),
    ],
)
def test_a_number_lies_in_its_interval(interval, inside, outside):
    for value in inside:
        check_number("x", value, interval)
    for value in outside:
        with pytest.raises(ValueError, match=r"x must lie in .*; got .*: repair it"):
            check_number("x", value, interval, "repair it")


def test_whole_numbers_have_ends_and_are_no_bools():
    check_count("n", 1)
    check_count("n", np.int64(3), 0, most=3)
    check_count("n", -(10**30), None)
    for value, said in ((0, "at least 1; got 0"), (True, "whole number; got True")):
        with pytest.raises(ValueError, match=said):
            check_count("n", value)
    with pytest.raises(ValueError, match=r"n must lie in 0\.\.3; got 4: count$"):
        check_count("n", 4, 0, "count", most=3)


def test_choices_and_devices_are_named():
    check_choice("kind", "b", ("a", "b"))
    with pytest.raises(ValueError, match="kind must be one of 'a', 'b'; got list"):
        check_choice("kind", ["a"], ("a", "b"))
    check_device("device", None)
    check_device("device", torch.device("cpu"))
    assert [shown(value) for value in (None, 2.5, "x", LAW)] == ["None", "2.5", "'x'", "Tensor"]


def test_times_at_the_ends_of_their_range_are_accepted():
    FixedGap(1.0)
    SmallTimesOften(split=1.0, share=1.0)
    t, u = LogUniformGap(first=0.0, shortest=0.5, longest=1.0).draw(100, None)
    assert bool((u >= 0).all())
    assert bool((t <= 1).all())


def test_the_exact_denoiser_takes_states_and_times_at_the_ends():
    masked, uniform = MaskedProcess(3), UniformProcess(3)
    x_t = torch.tensor([[0, 3], [3, 3]])
    assert ExactDenoiser(masked, LAW)(x_t, torch.tensor([0.0, 1.0])).isfinite().any()
    found = ExactDenoiser(uniform, LAW)(x_t % 3, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(found[1].exp(), torch.full((2, 3), 1 / 3, dtype=torch.float64))


def test_networks_of_other_states_are_known_by_their_process():
    masked, uniform = MaskedProcess(3), UniformProcess(4)
    check_same_states("network", ExactDenoiser(masked, LAW), MaskedProcess(3))
    check_same_states("network", Uninformed(3), uniform)  # made for no process
    for network in (ExactDenoiser(masked, LAW), as_mixture(ExactDenoiser(masked, LAW))):
        with pytest.raises(ValueError, match="network must be made for a process with 4 states"):
            check_same_states("network", network, uniform)  # as many states, but no mask


@pytest.mark.usefixtures("as_installed")
def test_a_hybrid_without_teacher_steps_needs_no_teacher():
    start = torch.zeros(5, 2, dtype=torch.long)
    found = hybrid(
        UniformProcess(3), Uninformed(3), start, [0.0, 1.0], teacher=None, teacher_steps=0
    )
    assert found.nfe == 1


def test_the_confidence_sampler_draws_every_value():
    process = MaskedProcess(3)
    start = torch.full((2000, 2), process.mask_state)
    generator = torch.Generator().manual_seed(0)
    found = confidence_sampling(process, Uninformed(3), start, 2, generator=generator).samples
    shares = found.flatten().bincount(minlength=4) / found.numel()
    torch.testing.assert_close(shares, torch.tensor([1, 1, 1, 0]) / 3, atol=0.03, rtol=0)


def test_marginals_need_the_entries_of_the_space():
    assert exact.marginals(LAW, 2, 3).shape == (2, 3)
    with pytest.raises(ValueError, match=r"probs must have 3\^3 entries .*; got 9"):
        exact.marginals(LAW, 3, 3)
