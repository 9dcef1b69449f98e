"""The recorded noise schedule and masking of MDLM and SDTT."""

import re

import pytest
import torch

from di4c.denoisers import noise_level
from di4c.maskgit_schedule import mask_tokens
from di4c.processes import MaskedProcess
from di4c.schedules import LogLinearSchedule
from tests.parity import recordings

FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}
HALF_ULP = 2**-24  # half a unit in the last place of float32 at 1


@pytest.fixture(scope="module")
def recorded():
    return recordings.tensors("sdtt_process")


@pytest.fixture(scope="module")
def description():
    return recordings.description("sdtt_process")


@pytest.fixture(scope="module")
def schedule(description):
    return LogLinearSchedule(epsilon=description["config"]["eps"])


def test_every_recorded_tensor_is_read(recorded):
    known = (
        r"in/(t|x0|uniform)|out/(sigma|dsigma)(_f32)?|out/move_chance|out/x_t|"
        r"out/T\d+/(conditioning|move_chance|dsigma)"
    )
    assert [name for name in recorded if not re.fullmatch(known, name)] == []


def _slope(schedule, t):
    """Derivative of sigma with respect to t."""
    return -schedule.derivative(t) / schedule.alpha(t)


def test_noise_in_double_precision(recorded, schedule):
    t = recorded["in/t"]
    torch.testing.assert_close(noise_level(schedule, t), recorded["out/sigma"], **FLOAT64)
    torch.testing.assert_close(_slope(schedule, t), recorded["out/dsigma"], **FLOAT64)
    move_chance = 1 - MaskedProcess(2, schedule).survival(0.0, t)
    torch.testing.assert_close(move_chance, recorded["out/move_chance"], **FLOAT64)


def _single(found, recorded, alpha, amplified):
    """Check agreement to the precision of float32; 1 - (1 - eps) t loses a factor 1 / alpha.

    Discretised times are moved up. Where this makes alpha negative, both values are NaN.
    """
    recorded = recorded.double().reshape(found.shape)
    bound = 8 * HALF_ULP * ((1 / alpha.abs() if amplified else 1) + found.abs())
    agree = (found - recorded).abs() <= bound
    assert bool((agree | (found.isnan() & recorded.isnan())).all())


def test_noise_in_single_precision(recorded, schedule):
    t = recorded["in/t"].float().double()
    alpha = schedule.alpha(t)
    _single(noise_level(schedule, t), recorded["out/sigma_f32"], alpha, True)
    slope = _slope(schedule, t)
    _single(slope * alpha, recorded["out/dsigma_f32"] * alpha, alpha, True)


def test_the_conditioning_of_discretised_times(recorded, description, schedule):
    t = recorded["in/t"].float()
    for num_times in description["config"]["T_values"]:
        sigma = noise_level(schedule, t, num_times)
        rounded = (t * num_times).floor().double() / num_times + 1 / num_times if num_times else t
        alpha = schedule.alpha(rounded)  # negative where sigma is NaN
        recorded_at = {
            name: recorded[f"out/T{num_times}/{name}"]
            for name in ("conditioning", "move_chance", "dsigma")
        }
        _single(sigma, recorded_at["conditioning"], alpha, True)
        _single(1 - torch.exp(-sigma), recorded_at["move_chance"], alpha, False)
        slope = _slope(schedule, rounded)
        _single(slope * alpha, recorded_at["dsigma"] * alpha, alpha, True)


def test_the_ends_of_the_schedule(description, schedule):
    constants = description["constants"]
    ends = noise_level(schedule, torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    eps = description["config"]["eps"]
    assert ends[1] == pytest.approx(constants["sigma_max"], abs=8 * HALF_ULP / eps)
    # The reference adds eps to the noise at time 0.
    assert ends[0] + eps == pytest.approx(constants["sigma_min"], rel=1e-6)


def test_masking_with_the_recorded_uniforms(recorded, description, schedule):
    config = description["config"]
    assert f"out/T{config['full_size']['T']}/move_chance" in recorded
    sigma = noise_level(schedule, recorded["in/t"].float(), config["full_size"]["T"])
    share = (1 - torch.exp(-sigma)).float()
    found = mask_tokens(
        recorded["in/x0"], share, config["mask_index"], uniforms=recorded["in/uniform"]
    )
    assert torch.equal(found, recorded["out/x_t"])
