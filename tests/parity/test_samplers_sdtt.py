"""The recorded sampler of MDLM and SDTT: update weights, times, training step, and a whole run.

Every random draw is recorded. The network of the run is replaced by its recorded outputs.
"""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from di4c import recipe_times, recipes
from di4c.processes import MaskedProcess
from di4c.rng import exponential_race
from di4c.samplers import ancestral
from di4c.sampling_loop import call_grid
from tests.parity.recordings import description, tensors
from tests.parity.runs import MDLM_UPDATE, matching, mdlm_process, replay_sdtt, sdtt_run

FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}
FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return tensors("samplers")


@pytest.fixture(scope="module")
def mdlm() -> dict:
    return description("sdtt_process")["config"]


def _drawn(weights: Tensor, uniforms: Tensor, tokens: Tensor, accuracy: float) -> None:
    """Check that our race returns the recorded tokens, except for ties within the accuracy."""
    found = exponential_race(weights, uniforms=uniforms)
    scores = weights / -torch.log(uniforms.double() + 1e-10)
    best = scores.gather(-1, found[..., None]).squeeze(-1)
    theirs = scores.gather(-1, tokens[..., None]).squeeze(-1)
    assert bool(((found == tokens) | (theirs > best * (1 - accuracy))).all())


@pytest.fixture(scope="module")
def masked_process(recorded) -> MaskedProcess:
    return mdlm_process(recorded["sdtt/log_p_x0"].shape[-1])


def _sdtt(recorded):
    return {
        name.removeprefix("sdtt/"): tensor
        for name, tensor in recorded.items()
        if re.fullmatch(MDLM_UPDATE, name)
    }


def test_the_update_weights_are_the_reverse_kernel(recorded, masked_process):
    """MDLM's unnormalised q(x_s) is 1 - alpha_t times p_{s|t} of a masked coordinate.

    The probabilities of the network sum to Z, which is 1 only in single precision. MDLM multiplies
    the values by Z but not the mask; we normalise.
    """
    sdtt, process = _sdtt(recorded), masked_process
    t = sdtt["t"].double()
    s = t - sdtt["dt"].double()
    move_t, move_s = (1 - process.schedule.alpha(time) for time in (t, s))
    torch.testing.assert_close(move_t, sdtt["move_chance_t"], **FLOAT64)
    torch.testing.assert_close(move_s, sdtt["move_chance_s"], **FLOAT64)
    probs = sdtt["log_p_x0"].double().exp()
    everywhere = torch.full_like(sdtt["x"], process.num_values)
    weights = move_t[:, None, None] * process.reverse(probs, everywhere, s, t)
    scaled = weights * probs.sum(-1, keepdim=True)
    scaled[..., process.num_values] = weights[..., process.num_values]
    torch.testing.assert_close(scaled, sdtt["q_xs_f64"], **FLOAT64)
    torch.testing.assert_close(scaled, sdtt["q_xs"].double(), **FLOAT32)
    _drawn(weights, sdtt["uniform"], sdtt["update"], 1e-5)


def test_the_analytic_update_is_the_reverse_kernel(recorded, masked_process):
    """The analytic step of SEDD (staggered score times transition) is p_{s|t}."""
    sdtt, process = _sdtt(recorded), masked_process
    t = sdtt["t"].double()
    s = t - sdtt["dt"].double()
    weights = process.reverse(sdtt["log_p_x0"].double().exp(), sdtt["x"], s, t)
    # The reference subtracts numbers of the size alpha_s / alpha_t in float32.
    growth = process.schedule.alpha(s) / process.schedule.alpha(t)
    accuracy = (16 * 2**-24 * growth)[:, None, None] + 1e-6
    assert bool(((weights - sdtt["analytic_weights"]).abs() <= accuracy).all())
    _drawn(weights, sdtt["uniform"], sdtt["x_next_analytic"], float(accuracy.max()) * 100)
    _drawn(sdtt["analytic_weights"].double(), sdtt["uniform"], sdtt["x_next_analytic"], 1e-6)


def test_updates_by_the_sampler(recorded, masked_process):
    """Each sequence has its own times, so the sampler is called once for each."""
    sdtt = _sdtt(recorded)
    for i, t in enumerate(sdtt["t"].double().tolist()):
        row = slice(i, i + 1)
        log_probs = sdtt["log_p_x0"][row]

        def denoiser(x_t, t, latent=None, log_probs=log_probs):
            return log_probs

        x_t, s = sdtt["x"][row], t - float(sdtt["dt"][i])
        step = ancestral(masked_process, denoiser, x_t, [s, t], uniforms=[sdtt["uniform"][row]])
        assert torch.equal(step.samples, sdtt["x_next"][row])
        last = ancestral(masked_process, denoiser, x_t, [0.0, t], last="argmax")
        assert torch.equal(last.samples, sdtt["x_denoised"][row])


def test_sdtt_times(recorded, mdlm):
    for times, n in matching(recorded, r"sdtt/times_(\d+)"):
        grid = call_grid(int(n) + 1, mdlm["full_size"]["sampling_eps"])
        torch.testing.assert_close(grid.flip(0)[:-1], times.double(), **FLOAT32)


def test_the_training_step_of_sdtt(recorded, mdlm, monkeypatch):
    """The gap t - u of the recipe, with draws that give the recorded times t."""
    t, dt = recorded["sdtt/train_t"].double(), recorded["sdtt/train_dt"].double()
    rule = replace(recipes.OPENWEBTEXT.times, gap=1 / mdlm["full_size"]["T"])
    below = t < rule.split
    place = torch.where(below, t / rule.split, (t - rule.split) / (1 - rule.split))
    draws = torch.stack([torch.where(below, 0.0, 1.0), 1 - place], 1)
    monkeypatch.setattr(recipe_times, "uniform", lambda *_, **__: draws)
    found_t, found_u = rule.draw(len(t), None)
    torch.testing.assert_close(found_t, t)
    torch.testing.assert_close(found_t - found_u, dt, rtol=1e-6, atol=1e-12)


def test_a_run_of_sdtt():
    run = sdtt_run()
    process = mdlm_process(run["log_p_x0"].shape[-1])
    replay_sdtt(process, lambda call, *_: run["log_p_x0"][call])
