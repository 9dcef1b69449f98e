"""Guards of exact computations and processes: cases in which they alone decide the result."""

import itertools
import math
import os

import pytest
import torch

from di4c import exact
from di4c.checks import check_states
from di4c.exact.laws import require_memory
from di4c.exact.masked import tail_dims
from di4c.exact.pairs import MaskedPair
from di4c.latents import uniform_log_weights
from di4c.likelihood import HeadMixture, LinearHead
from di4c.processes import (
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    gaussian_process,
    two_state_process,
)
from di4c.processes.times import check_earlier_times, check_times
from di4c.schedules import CosineSchedule, LinearSchedule, as_time
from tests.di4c.test_processes import PROCESSES

EQUAL_BITS = torch.tensor([0.25, 0, 0, 0, 0, 0, 0, 0.75], dtype=torch.float64)


def test_the_reverse_kernel_carries_unreachable_states_over():
    """Three equal bits never become (0, 1, mask); nothing follows from that state."""
    kernel = exact.reverse_kernel(MaskedProcess(2), EQUAL_BITS, 0.25, 0.5)
    torch.testing.assert_close(kernel.sum(1), torch.ones(27, dtype=torch.float64))
    unreachable = 0 * 9 + 1 * 3 + 2
    assert kernel[unreachable].nonzero().tolist() == [[unreachable]]


def test_the_reverse_kernel_of_a_law_by_hand():
    """One bit of law (1/4, 3/4), uniform noise: Bayes' rule with alpha = 1/2 and then 0."""
    law = torch.tensor([0.25, 0.75], dtype=torch.float64)
    kernel = exact.reverse_kernel(UniformProcess(2), law, 0.5, 1.0)
    q_s = torch.tensor([0.375, 0.625], dtype=torch.float64)  # at alpha = 0 nothing is known of x_s
    torch.testing.assert_close(kernel, q_s.expand(2, 2))


def test_memory_is_refused_before_it_is_taken(monkeypatch):
    """The sizes are those of the tensors that the calls return, and of their copies."""
    asked = []
    for module in (exact.forward, exact.kernels, exact.limits):
        monkeypatch.setattr(module, "require_memory", lambda size, what: asked.append(size))
    process = UniformProcess(3)
    law = torch.full((9,), 1 / 9, dtype=torch.float64)
    table = exact.posterior_marginals(process, law, 0.2, 0.4)
    assert asked == [3 * 8 * table.numel()]  # the result, a product and a quotient
    kernel = exact.product_kernel(table)
    assert asked[1:] == [8 * kernel.numel()]
    kernel = exact.forward_kernel(process, 2, 0.2, 0.4)
    assert asked[2:] == [8 * kernel.numel()]
    exact.limit_n_tv(MaskedProcess(3), law)
    assert asked[3:] == [40 * 4**2]  # five tensors over the states with a mask


def test_a_fifth_of_the_memory_stays_free():
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    require_memory(int(0.799 * installed), "a table")
    with pytest.raises(ValueError, match="a table would take"):
        require_memory(int(0.801 * installed), "a table")


def test_some_coordinate_is_summed_by_a_matrix_product():
    assert [tail_dims(3, num_states) for num_states in (2, 17, 300, 1000)] == [3, 2, 1, 1]


@pytest.mark.parametrize("name", PROCESSES)
def test_examples_of_several_axes_with_a_time_each(name):
    """Pictures with channels: (B, C, D). Each example is as it is alone."""
    process = PROCESSES[name]
    generator = torch.Generator().manual_seed(3)
    s = torch.tensor([0.1, 0.5], dtype=torch.float64) * process.horizon
    t = torch.tensor([0.3, 0.9], dtype=torch.float64) * process.horizon
    x_0 = torch.randint(process.num_values, (2, 3, 4), generator=generator)
    x_t = process.sample(x_0, 0.0, t, generator=generator)
    probs = torch.rand(2, 3, 4, process.num_values, dtype=torch.float64, generator=generator)
    probs = probs / probs.sum(-1, keepdim=True)
    weights = torch.rand(2, 3, 4, process.num_states, dtype=torch.float64, generator=generator)
    for b in range(2):
        times = float(s[b]), float(t[b])
        for found, alone in (
            (process.reverse(probs, x_t, s, t)[b], process.reverse(probs[b], x_t[b], *times)),
            (process.posterior(x_0, x_t, s, t)[b], process.posterior(x_0[b], x_t[b], *times)),
            (process.likelihood(x_t, s, t)[b], process.likelihood(x_t[b], *times)),
            (process.push(weights, s, t)[b], process.push(weights[b], *times)),
            (process.push(weights, *times)[b], process.push(weights[b], *times)),
        ):
            torch.testing.assert_close(found, alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("schedule", [None, CosineSchedule(), CosineSchedule(3.0)])
@pytest.mark.parametrize("make", [MaskedProcess, UniformProcess])
def test_nothing_moves_in_no_time_at_the_horizon(make, schedule):
    """The ratio of the two survival probabilities is 0 / 0 there."""
    process = make(2, schedule)
    end = process.horizon
    assert float(process.survival(end, end)) == 1
    kernel = process.transition(end, end)
    assert torch.equal(kernel, torch.eye(len(kernel), dtype=torch.float64))
    x = torch.arange(process.num_states)
    assert torch.equal(process.sample(x, end, end), x)


class Early(LinearSchedule):
    """No data is left from the middle of the time on."""

    def alpha(self, t):
        return (1 - 2 * as_time(t)).clamp_min(0)

    def complement(self, t):
        return (2 * as_time(t)).clamp_max(1)


def test_all_is_redrawn_where_no_data_was_left():
    """The ratio of the two survival probabilities is 0 / 0 there, too, and something may move."""
    process = MaskedProcess(2, Early())
    assert float(process.survival(0.6, 0.8)) == 0
    assert float(process.redraw_probability(0.6, 0.8)) == 1
    assert process.transition(0.6, 0.8)[:, 2].tolist() == [1, 1, 1]


@pytest.mark.parametrize("t", [0.25, 1.0])
def test_rates_from_the_mask_are_finite_where_no_data_is_left(t):
    """With the linear schedule a mask is revealed at the rate 1 / t; a value never jumps."""
    process = MaskedProcess(2)
    probs = torch.tensor([[0.3, 0.7]], dtype=torch.float64).expand(3, 2)
    rates = process.reverse_rates(probs, torch.arange(3), t)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[2, :2] = torch.tensor([0.3, 0.7], dtype=torch.float64) / t
    torch.testing.assert_close(rates, expected, rtol=1e-14, atol=0)


def test_a_step_whose_products_all_vanish_carries_over():
    """Kernels with a floor do not compose. The bit flips by t, but by neither half of the time."""
    rates = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    process = RateMatrixProcess(rates, floor=0.1)
    s, t = 0.1, 0.2
    assert process.transition(0.0, t)[0, 1] > 0
    assert process.transition(0.0, s)[0, 1] == process.transition(s, t)[0, 1] == 0
    point = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert process.reverse(point, torch.tensor([1]), s, t).tolist() == [[0.0, 1.0]]


def test_gradients_of_a_head_are_constants():
    """The backward pass is written by hand, and has no backward pass of its own."""
    hidden = torch.rand(1, 2, 1, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(4, 3, dtype=torch.float64)
    mixture = HeadMixture(hidden, LinearHead(weight), uniform_log_weights(2))
    value = mixture.marginal_kl(torch.full((1, 1, 4), 0.25, dtype=torch.float64).log())
    (gradient,) = torch.autograd.grad(value.sum(), hidden, create_graph=True)
    assert not gradient.requires_grad


def test_rates_of_the_gaussian_process_by_their_definition():
    """Eight levels, centre 4, widths 1.5 and 3: jumps inwards, and detailed balance for the rest.

    A level moves inwards to those between it and its mirror image, which is 8 - x below the centre
    and 7 - x above it.
    """
    rates = gaussian_process(8, rate_sigma=1.5, stationary_sigma=3.0).rates(0.5)
    rates = rates / rates[0, 1]  # a jump inwards by one level has the rate 1
    for x in range(8):
        for y in set(range(8)) - {x}:
            jump, inwards = math.exp(-(((abs(x - y) - 1) / 1.5) ** 2)), []
            for a, b in ((x, y), (y, x)):
                inwards.append(a < b < 8 - a if a < 4 else 7 - a < b < a and a > 4)
            balance = math.exp(((x - 3) ** 2 - (y - 3) ** 2) / (2 * 3**2))
            expected = jump if inwards[0] else jump * balance if inwards[1] else 0.0
            assert float(rates[x, y]) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_rates_may_be_large_and_rounded():
    rates = torch.tensor([[-1e6, 1e6 + 1e-5], [1e6, -1e6]], dtype=torch.float64)
    RateMatrixProcess(rates)
    with pytest.raises(ValueError, match="rows of rate_matrix must sum to 0"):
        RateMatrixProcess(rates + torch.tensor([[0.0, 0.1], [0.0, 0.0]]))
    off = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    ones = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    RateMatrixProcess(ones / 100 + 5e-10 * off)  # rates below 1 may be off by as much as 1 may
    with pytest.raises(ValueError, match="rows of rate_matrix must sum to 0"):
        RateMatrixProcess(ones + 1.5e-9 * off)
    with pytest.raises(ValueError, match=r"horizon must lie in \(0, inf\); got 0"):
        RateMatrixProcess(rates, 0.0)


def test_epsilon_counts_once_for_each_unit_of_weight():
    """Of any weights, on any axes: w (Q + epsilon) has epsilon times the sum of w in each entry."""
    plain, raised = gaussian_process(4), gaussian_process(4, epsilon=0.01)
    weights = torch.rand(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = plain.transition(0.1, 0.3) + 0.01
    torch.testing.assert_close(raised.push(weights, 0.1, 0.3), weights @ kernel)


def test_the_gaussian_process_of_cifar10_is_the_default():
    published = {"rate_sigma": 6.0, "stationary_sigma": 512.0}
    times = {"time_base": 3.0, "time_exponential": 100.0, "horizon": 1.0}
    ours, theirs = gaussian_process(), gaussian_process(256, **published, **times)
    assert torch.equal(ours.rates(0.5), theirs.rates(0.5))
    assert torch.equal(ours.prior(), theirs.prior())


def test_a_last_time_may_exceed_the_horizon_by_rounding():
    late = 3.0 * (1 + 5e-13)
    check_times(0.0, late, 3.0)
    pair = MaskedPair(p_0=torch.eye(2) / 2, schedule=LinearSchedule(3.0))
    pair.closed_form([0.0, late])
    with pytest.raises(ValueError, match=r"horizon 3.0; got 0.0 to 3.5"):
        pair.closed_form([0.0, 1.0, 3.5])
    for s, t in ((0.0, 3.0 * (1 + 5e-12)), (-0.5, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="times must satisfy"):
            check_times(s, t, 3.0)


@pytest.mark.parametrize(
    ("rates", "named"),
    [
        ((-0.5, 1.0), r"rate_up must lie in \[0, inf\); got -0.5"),
        ((1.0, -0.5), r"rate_down must lie in \[0, inf\); got -0.5"),
        ((0.0, 0.0), r"rate_up \+ rate_down must lie in \(0, inf\); got 0.0"),
        ((1e308, 1e308), r"rate_up \+ rate_down must lie in \(0, inf\); got inf"),
    ],
)
def test_wrong_rates_of_two_states_are_refused(rates, named):
    with pytest.raises(ValueError, match=named):
        two_state_process(*rates)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *itertools.product(("floor", "epsilon"), (-1e-9, 1.0, math.nan)),
        *itertools.product(("time_base", "rate_sigma"), (0.0, -1.0, math.nan)),
        *itertools.product(("time_exponential",), (1.0, 0.5, math.inf, math.nan)),
    ],
)
def test_wrong_numbers_of_the_gaussian_process_are_named(name, wrong):
    with pytest.raises(ValueError, match=rf"{name} must .*; got {wrong}"):
        gaussian_process(4, **{name: wrong})


def test_times_in_tensors_are_checked_too():
    with pytest.raises(ValueError, match="times must satisfy"):
        check_times(torch.tensor(0.5), torch.tensor(0.2), 1.0)


@pytest.mark.parametrize(("first", "second"), [(2, 3), (3, 2)])
def test_times_of_different_numbers_of_examples_are_refused(first, second):
    with pytest.raises(ValueError, match=rf"same shape; got \({first},\) and \({second},\)"):
        check_times(torch.zeros(first), torch.ones(second), 1.0)


def test_the_first_number_that_is_no_index_is_named():
    with pytest.raises(ValueError, match=r"got torch.float32 \(0\.5 at index \[0, 1\]\)"):
        check_states("x", torch.tensor([[1.0, 0.5]]), 3, "")
    with pytest.raises(ValueError, match=r"got torch.float32 \(1 at index \[0, 0\]\)"):
        check_states("x", torch.tensor([[1.0, 0.0]]), 3, "")


def test_the_defect_of_a_law_with_a_zero_is_refused():
    law = torch.tensor([0.5, 0.0, 0.25, 0.25], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"positive everywhere; its smallest entry is 0\.0"):
        exact.one_step_defect(law, UniformProcess(2).rates(0.5))


@pytest.mark.parametrize(("u", "t"), [(-0.5, 0.5), (0.5, 0.5), (0.75, 0.5), (0.5, 1.5)])
def test_an_example_with_wrong_times_is_named(u, t):
    times = torch.tensor([[0.0, u, u], [1.0, t, t]])  # the first one is named
    with pytest.raises(ValueError, match=f"example 1 has u = {u}, t = {t}"):
        check_earlier_times(times[0], times[1], 1.0)
