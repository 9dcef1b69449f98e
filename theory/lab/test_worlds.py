"""Floats and exact numbers give the same laws, and both are those of the library."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from flint import arb, fmpq

from di4c.exact import kl as library_kl
from di4c.exact import limit_n_tv, product_composition
from di4c.exact import total_correlation as library_correlation
from di4c.processes import InterpolatingProcess, MaskedProcess, UniformProcess, absorbing_process
from di4c.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule
from theory import lab
from theory.lab.conjecture import sign
from theory.lab.inputs import INPUTS, SCHEDULES, Grid, Kernel, Law, Noise, Setting
from theory.lab.random_laws import KINDS, orbits

NOISES = ("masked", "uniform", "absorbing", "any")


def tenth(value: float) -> Fraction:
    return Fraction(f"{value:.1e}")


def both_worlds(setting: Setting, seed: int, *kinds: type):
    """Inputs of these kinds, in exact numbers and as the tensors of the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    exact = []
    for kind in kinds:
        known = INPUTS[kind]
        value = known.value(setting, known.draw(setting, generator))
        exact.append(known.rounded(setting, value, tenth))
    return exact, [as_tensors(value) for value in exact]


def as_tensors(value):
    if isinstance(value, Noise):
        law, rate = (
            as_tensors(value.stationary),
            torch.tensor(float(value.rate), dtype=torch.float64),
        )
        return Noise(law, value.schedule, rate, value.masked)
    return torch.tensor(np.vectorize(float)(value), dtype=torch.float64)


def library_process(setting: Setting, noise: Noise):
    schedule = {
        "linear": LinearSchedule(),
        "cosine": CosineSchedule(),
        "exponential": ExponentialSchedule(rate=float(noise.rate)),
    }[setting.schedule]
    if setting.noise == "absorbing":
        return absorbing_process(schedule)
    if setting.noise == "any":
        return InterpolatingProcess(noise.stationary, schedule)
    return {"masked": MaskedProcess, "uniform": UniformProcess}[setting.noise](2, schedule)


def close(exact, tensor) -> None:
    found = np.vectorize(float)(exact)
    np.testing.assert_allclose(found, tensor.numpy(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("noise", NOISES)
def test_both_worlds_are_the_library(noise, schedule):
    setting = Setting(2, 3, 2, noise, schedule, "any", "any")
    exact, floats = both_worlds(setting, 1, Law, Noise, Grid)
    out = lab.generate(*floats)
    process = library_process(setting, floats[1])
    expected = product_composition(process, floats[0].reshape(-1), floats[2])
    torch.testing.assert_close(out.reshape(-1), expected, atol=1e-12, rtol=0)
    close(lab.generate(*exact), out)
    for k, (rows, matrix) in enumerate(
        zip(lab.product_kernels(*exact), lab.product_kernels(*floats), strict=True)
    ):
        close(rows, matrix)
        assert matrix.shape == (setting.noisy_states**3, (setting.noisy_states if k else 2) ** 3)
    time = exact[2][1]
    close(lab.noised(*exact[:2], time), lab.noised(*floats[:2], floats[2][1]))


def test_the_kernels_make_the_generated_law():
    setting = Setting(2, 2, 2, "masked", "linear", "uniform", "any")
    for law, noise, grid in both_worlds(setting, 2, Law, Noise, Grid):
        last, first = lab.product_kernels(law, noise, grid)
        start = lab.noised(law, noise, grid[2]).reshape(-1)
        difference = lab.generate(law, noise, grid).reshape(-1) - start @ first @ last
        assert max(abs(float(v)) for v in difference) < 1e-15


def test_quantities_are_those_of_the_library():
    setting = Setting(3, 2, 1, "uniform", "linear", "uniform", "positive")
    exact, floats = both_worlds(setting, 3, Law, Law)
    p, q = (law.reshape(-1) for law in floats)
    expected = {
        lab.kl: library_kl(p, q),
        lab.total_variation: (p - q).abs().sum() / 2,
        lambda a, b: lab.total_correlation(a): library_correlation(p, 2, 3),
        lambda a, b: lab.mutual_information(a, (0,), (1,)): library_correlation(p, 2, 3),
        lambda a, b: lab.sqrt(lab.entropy(b)): torch.special.entr(q).sum().sqrt(),
    }
    for function, value in expected.items():
        for laws in (exact, floats):
            assert float(function(*laws)) == pytest.approx(float(value), abs=1e-13)


@pytest.mark.parametrize(("num_states", "num_dims"), [(2, 2), (2, 3), (3, 3), (2, 4)])
def test_limit(num_states, num_dims):
    setting = Setting(num_states, num_dims, 1, "masked", "linear", "uniform", "any")
    exact, floats = both_worlds(setting, 4, Law, Noise)
    expected = limit_n_tv(MaskedProcess(num_states), floats[0].reshape(-1))
    assert float(lab.limit(*floats)) == pytest.approx(expected, rel=1e-6)
    assert float(lab.limit(*exact)) == pytest.approx(expected, rel=1e-6)


def test_grids():
    exact = np.array([fmpq(0), fmpq(1, 4), fmpq(1)])
    assert [*lab.refined(exact)] == [fmpq(k, 8) for k in (0, 1, 2, 5, 8)]
    assert lab.without(torch.tensor([0.0, 0.25, 1.0]), 1).tolist() == [0, 1]
    assert [*lab.uniform_grid(exact, 2)] == [0, fmpq(1, 2), 1]


def test_arithmetic_knows_what_is_certain():
    assert sign(fmpq(-1, 3)) == -1
    assert sign(lab.log(fmpq(2)) - lab.log(fmpq(2))) is None  # an interval around 0
    assert sign(arb("nan")) is None
    assert sign(lab.minimum(fmpq(1, 2), lab.log(fmpq(2)), 1) - fmpq(1, 2)) is not None
    assert lab.sqrt(lab.log(fmpq(2)) - lab.log(fmpq(2))).contains(0)
    assert not lab.sqrt(lab.log(fmpq(2)) - lab.log(fmpq(2))).is_nan()
    assert lab.kl(np.array([fmpq(1), fmpq(0)]), np.array([fmpq(0), fmpq(1)])) == arb("inf")


@pytest.mark.parametrize("kind", KINDS)
def test_random_laws(kind):
    generator = torch.Generator().manual_seed(5)
    for num_states, num_dims in ((2, 2), (3, 2), (2, 4)):
        weights = KINDS[kind](num_states, num_dims, generator).exp()
        assert weights.shape == (num_states**num_dims,)
        assert bool(torch.isfinite(weights).all())
        assert int((weights > 0).sum()) >= 2
        if kind == "exchangeable":
            index = orbits(num_states, num_dims)
            first = [int((index == orbit).nonzero()[0]) for orbit in index]
            assert weights.tolist() == weights[first].tolist()


def test_kernel_rows_are_laws():
    setting = Setting(2, 2, 1, "masked", "linear", "uniform", "any")
    exact, floats = both_worlds(setting, 6, Kernel)
    assert exact[0].shape == (9, 4)
    assert all(sum(row) == 1 for row in exact[0])
    close(exact[0], floats[0])
