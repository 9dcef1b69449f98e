"""Noise that changes its kind over time or differs between coordinates, by dense matrices."""

import functools
import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch

from di4c import exact
from di4c.processes import (
    CoordinateProcesses,
    MaskedProcess,
    PiecewiseProcess,
    RateMatrixProcess,
    UniformProcess,
    two_state_process,
)
from di4c.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule, uniform_grid

LENGTHS = (0.5, 0.8)


def random_rates(seed, num_dims=3, num_states=3):
    """Rate matrices [piece, coordinate, from, to]."""
    rates = np.random.default_rng(seed).uniform(0.1, 1.5, (2, num_dims, num_states, num_states))
    for row in rates.reshape(-1, num_states, num_states):
        np.fill_diagonal(row, 0)
        np.fill_diagonal(row, -row.sum(1))
    return rates


def built(rates):
    """The process with these rates, one piece after the other."""
    return CoordinateProcesses(
        [
            PiecewiseProcess(list(map(RateMatrixProcess, torch.tensor(rates[:, d]), LENGTHS)))
            for d in range(rates.shape[1])
        ]
    )


def test_each_piece_has_its_own_clock():
    pieces = [UniformProcess(2, CosineSchedule()), UniformProcess(2, ExponentialSchedule())]
    process = PiecewiseProcess(pieces)
    for t, piece, since in ((0.3, 0, 0.3), (0.9, 0, 0.9), (1.2, 1, 0.2)):
        torch.testing.assert_close(process.rates(t), pieces[piece].rates(since))


def ordered(rates, d, s, t):
    """The time-ordered product of matrix exponentials of a coordinate from s to t."""
    first, second = rates[0, d], rates[1, d]
    early = max(0.0, min(t, LENGTHS[0]) - min(s, LENGTHS[0]))
    return scipy.linalg.expm(early * first) @ scipy.linalg.expm((t - s - early) * second)


def dense_sampler(law, kernels, num_dims, num_steps):
    """N product steps by joint laws of two times; kernels(s, t) are matrices on all states."""
    horizon, made = sum(LENGTHS), law @ kernels(0.0, sum(LENGTHS))
    for k in range(num_steps, 0, -1):
        s, t = horizon * (k - 1) / num_steps, horizon * k / num_steps
        joint = ((law @ kernels(0.0, s))[:, None] * kernels(s, t)).T
        cubes = (joint / joint.sum(1, keepdims=True)).reshape(len(law), *(3,) * num_dims)
        axes = range(1, num_dims + 1)
        singles = [[c.sum(tuple(a - 1 for a in axes if a != d)) for d in axes] for c in cubes]
        made = made @ np.array([functools.reduce(np.kron, row) for row in singles])
    return made


@pytest.mark.parametrize(("s", "t"), [(0.0, 0.3), (0.2, 0.9), (0.5, 1.3), (0.7, 1.1), (0.4, 0.4)])
def test_kernels_are_time_ordered_products(s, t):
    rates = random_rates(0)
    found = built(rates).transition(s, t)
    for d in range(3):
        np.testing.assert_allclose(found[d], ordered(rates, d, s, t), atol=1e-14)
    plain = scipy.linalg.expm((t - s) * rates.mean(0)[0])
    assert s == t or np.abs(found[0].numpy() - plain).max() > 1e-3


def test_one_time_for_each_example():
    process, s, t = built(random_rates(1)).processes[0], [0.1, 0.2, 0.6], [0.4, 0.9, 1.3]
    found = process.transition(torch.tensor(s), torch.tensor(t))
    expected = torch.stack([process.transition(a, b) for a, b in zip(s, t, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)  # float32 times
    expected = torch.stack([process.rates(b) for b in t])
    torch.testing.assert_close(process.rates(torch.tensor(t)), expected)


@pytest.mark.parametrize(("t", "piece"), [(0.2, 0), (0.5, 1), (0.9, 1), (1.3, 1)])
def test_rates_are_those_of_the_piece_that_acts(t, piece):
    rates = random_rates(2)
    np.testing.assert_allclose(built(rates).rates(t), rates[piece])
    assert built(rates).breaks == (0.5,) * 3


def test_pieces_in_pieces_jump_where_the_inner_ones_do():
    first, second = built(random_rates(2)).processes[:2]
    assert sorted(PiecewiseProcess([first, second]).breaks) == pytest.approx([0.5, 1.3, 1.8])
    assert PiecewiseProcess([first]).breaks == (0.5,)


def test_generation_starts_where_the_last_piece_leads():
    """After a long last piece nothing is left of the data and of the first piece."""
    first, last = two_state_process(0.4, 0.9, 1.0), two_state_process(1.0, 0.2, 40.0)
    process = PiecewiseProcess([first, last])
    rows = process.transition(0.0, process.horizon)
    torch.testing.assert_close(process.prior().expand(2, 2), rows)
    each = CoordinateProcesses([last, two_state_process(0.4, 0.9, 40.0)])
    torch.testing.assert_close(each.prior(), each.transition(0.0, 40.0)[:, 0])


def test_reverse_rates_carry_the_law_back():
    """d q_t / dt is minus the flow of the reverse jumps; one coordinate, its own posterior."""
    process, h = built(random_rates(3)).processes[1], 1e-5
    law = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    for t in (0.3, 0.8):
        q = law @ process.transition(0.0, t)
        x_t = torch.arange(3)
        posterior = (law[:, None] * process.transition(0.0, t) / q).T
        rates = process.reverse_rates(posterior, x_t, t)
        flow = q @ rates - q * rates.sum(1)
        slope = law @ (process.transition(0.0, t + h) - process.transition(0.0, t - h)) / (2 * h)
        torch.testing.assert_close(flow, -slope, rtol=0, atol=1e-8)


def test_laws_kernels_and_samples_by_dense_matrices():
    rates, law = random_rates(4), np.random.default_rng(5).dirichlet(np.ones(27))
    process, q_0 = built(rates), torch.from_numpy(law)

    def kernels(s, t):
        return functools.reduce(np.kron, [ordered(rates, d, s, t) for d in range(3)])

    np.testing.assert_allclose(exact.forward_kernel(process, 3, 0.2, 0.9), kernels(0.2, 0.9))
    np.testing.assert_allclose(exact.forward_law(process, q_0, 0.9), law @ kernels(0.0, 0.9))
    joint = (law @ kernels(0.0, 0.2))[:, None] * kernels(0.2, 0.9)
    reverse = exact.reverse_kernel(process, q_0, 0.2, 0.9)
    np.testing.assert_allclose(reverse, (joint / joint.sum(0)).T, atol=1e-14)
    found = exact.posterior_marginals(process, q_0, 0.2, 0.9)
    np.testing.assert_allclose(found, exact.marginals(reverse, 3, 3), atol=1e-14)
    made = exact.product_composition(process, q_0, uniform_grid(3, sum(LENGTHS)))
    np.testing.assert_allclose(made, dense_sampler(law, kernels, 3, 3), atol=1e-14)
    start = exact.product_composition(process, q_0, [1.2, 1.3], "prior")
    assert float(start.sum()) == pytest.approx(1)


def test_a_limit_over_a_jump_of_the_rates():
    """N (out_N - p_0), extrapolated from dense samplers with steps that meet the jump."""
    rates = random_rates(6, num_dims=2)
    law = np.random.default_rng(7).dirichlet(np.full(9, 5.0))

    def kernels(s, t):
        return np.kron(ordered(rates, 0, s, t), ordered(rates, 1, s, t))

    values = [n * (dense_sampler(law, kernels, 2, n) - law) for n in (26, 52, 104)]
    first, second = (2 * b - a for a, b in itertools.pairwise(values))
    limit = sum(LENGTHS) * exact.limit_direction(built(rates), torch.from_numpy(law)).numpy()
    np.testing.assert_allclose(limit, (4 * second - first) / 3, atol=2e-4 * np.abs(limit).max())


def test_equal_coordinates_and_permuted_ones():
    law = torch.from_numpy(np.random.default_rng(8).dirichlet(np.ones(8)))
    same, other = two_state_process(0.4, 0.9, 1.3), two_state_process(1.0, 0.2, 1.3)
    grid = uniform_grid(3, 1.3)
    one = exact.product_composition(same, law, grid)
    torch.testing.assert_close(
        exact.product_composition(CoordinateProcesses([same] * 3), law, grid), one
    )
    assert exact.limit_n_tv(CoordinateProcesses([same] * 3), law) == pytest.approx(
        exact.limit_n_tv(same, law)
    )
    assert CoordinateProcesses([same]).horizon == same.horizon

    def turned(tensor):
        return tensor.reshape(2, 2, 2).permute(2, 0, 1).reshape(-1)

    first, second = (
        CoordinateProcesses([same, same, other]),
        CoordinateProcesses([other, same, same]),
    )
    torch.testing.assert_close(
        exact.product_composition(second, turned(law), grid),
        turned(exact.product_composition(first, law, grid)),
    )
    direction = exact.limit_direction(first, law)
    torch.testing.assert_close(exact.limit_direction(second, turned(law)), turned(direction))


def test_masks_with_schedules_of_their_own():
    """Two bits: both are drawn apart if they are unmasked in the same step."""
    schedules = LinearSchedule(), CosineSchedule()
    process = CoordinateProcesses([MaskedProcess(2, schedule) for schedule in schedules])
    agree = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    made = exact.product_composition(process, agree, uniform_grid(3))
    alphas = [1 - k / 3 for k in range(4)], [math.cos(math.pi / 2 * k / 3) for k in range(4)]
    together = sum((a[k] - a[k + 1]) * (b[k] - b[k + 1]) for a, b in [alphas] for k in range(3))
    assert float(exact.total_variation(made, agree)) == pytest.approx(together / 2)
    with pytest.raises(ValueError, match="must be a MaskedProcess if it has a mask; got Coord"):
        exact.limit_n_tv(process, agree)


def test_noise_that_starts_slowly_on_one_coordinate_does_no_harm_to_the_limit():
    """Noise enters 01 and 10 along both coordinates; with one rate 0 at the start it may."""
    law = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    fast = UniformProcess(2, ExponentialSchedule(1.0, 1.0))
    slow = RateMatrixProcess(fast.unit_rates(), integrated_rate=lambda t: t * t)
    assert exact.limit_n_tv(CoordinateProcesses([fast, slow]), law) > 0
    with pytest.raises(ValueError, match="no zero that noise enters along two coordinates"):
        exact.limit_n_tv(CoordinateProcesses([two_state_process(0.3, 0.9), fast]), law)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PiecewiseProcess([]), "pieces must hold at least one process; got none"),
        (lambda: CoordinateProcesses([]), "processes must hold at least one process; got none"),
        (
            lambda: PiecewiseProcess([UniformProcess(2), UniformProcess(3)]),
            "pieces must have the same states.*2 states without a mask, 3 states without",
        ),
        (
            lambda: CoordinateProcesses([UniformProcess(3), MaskedProcess(2)]),
            "processes must have the same states and the same mask; got 3 states with mask 2, 3 ",
        ),
        (
            lambda: CoordinateProcesses(
                [UniformProcess(2), UniformProcess(2, ExponentialSchedule(2.0))]
            ),
            r"same horizon; got \[1.0, 2.0\]",
        ),
        (
            lambda: exact.forward_law(
                CoordinateProcesses([UniformProcess(2)] * 3), torch.full((4,), 0.25), 0.5
            ),
            "one process for each of the 2 coordinates of q_0; got 3: give as many, or one",
        ),
    ],
)
def test_wrong_calls(make, message):
    with pytest.raises(ValueError, match=message):
        make()
