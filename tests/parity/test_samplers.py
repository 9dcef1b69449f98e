"""The recorded samplers: schedules, update weights, and whole runs with every draw given.

Everything is read from the files: shapes, names and hyper-parameters of another recording of the
same layout go through the same tests, and a tensor that no test knows is a failure.
"""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from di4c import recipes
from di4c.confidence import confidence_step, guided_logits, teacher_step
from di4c.maskgit_schedule import mask_ratio, mask_tokens, ramp, reveal_count, reveal_counts
from di4c.processes import MaskedProcess, gaussian_process
from di4c.rng import exponential_race
from di4c.samplers import ancestral, hybrid
from di4c.sampling_loop import call_grid
from tests.parity.recordings import description, tensors
from tests.parity.runs import (
    maskgit_run,
    mdlm_process,
    replay_maskgit,
    replay_sdtt,
    sdtt_run,
)

FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}
FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}

# Every tensor of the fixture, by the test that reads it.
READ = {
    "timepoints": r"tauldr/timepoints_\d+",
    "hybrid": r"tauldr/uses_student_\d+_\d+",
    "counts": r"maskgit/counts_[a-z]+_\d+_\d+",
    "ramps": r"maskgit/(cfg_weight|gumbel_scale)_\d+",
    "masking": r"maskgit/mask/(code|r|uniform|masked_code_[a-z]+)",
    "teacher step": r"maskgit/denoise/(code|r|logits_(un)?cond)",
    "teacher step, per variant": (
        r"maskgit/denoise/(nocfg|cfg)/(logits|pred_code|gumbel|num_reveal|new_code|num_changed)"
    ),
    # The labels went into the network, whose outputs are given here.
    "run of MaskGIT": (
        r"maskgit/run/(labels|counts|code_before|z|logits_(un)?cond|log_probs_guided|pred_code|"
        r"gumbel|mask_after|code_final)"
    ),
    "MDLM update": (
        r"sdtt/(x|log_p_x0|t|dt|q_xs|q_xs_f64|move_chance_[ts]|uniform|update|x_next|x_denoised|"
        r"analytic_weights|x_next_analytic)"
    ),
    "times": r"sdtt/(times_\d+|train_t|train_dt)",
    "run of SDTT": r"sdtt/run/(t|x_before|z|log_p_x0|uniform|x_final)",
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return tensors("samplers")


@pytest.fixture(scope="module")
def config() -> dict:
    return description("samplers")["config"]


@pytest.fixture(scope="module")
def mdlm() -> dict:
    return description("sdtt_process")["config"]


def _matching(recorded: dict[str, Tensor], pattern: str) -> list[tuple[Tensor, ...]]:
    """(tensor, *groups of the pattern) of all names that match; at least one."""
    found = [
        (tensor, *match.groups())
        for name, tensor in recorded.items()
        if (match := re.fullmatch(pattern, name))
    ]
    assert found, f"nothing recorded under {pattern}"
    return found


def _drawn(weights: Tensor, uniforms: Tensor, tokens: Tensor, accuracy: float) -> None:
    """Our race returns the recorded tokens, but for ties closer than the recorded precision."""
    found = exponential_race(weights, uniforms=uniforms)
    scores = weights / -torch.log(uniforms.double() + 1e-10)
    best = scores.gather(-1, found[..., None]).squeeze(-1)
    theirs = scores.gather(-1, tokens[..., None]).squeeze(-1)
    assert bool(((found == tokens) | (theirs > best * (1 - accuracy))).all())


def test_every_recorded_tensor_is_read(recorded):
    unread = [
        name
        for name in recorded
        if not any(re.fullmatch(pattern, name) for pattern in READ.values())
    ]
    assert not unread


# tauLDR


def test_tauldr_times(recorded, config):
    for times, n in _matching(recorded, r"tauldr/timepoints_(\d+)"):
        grid = call_grid(int(n), config["tauldr"]["min_time"])
        torch.testing.assert_close(grid.flip(0)[:-1], times.double(), **FLOAT32)


def test_hybrids_call_the_recorded_networks(recorded, config):
    process = gaussian_process(4, time_base=0.01)
    for uses_student, n, last_teacher in _matching(recorded, r"tauldr/uses_student_(\d+)_(\d+)"):
        order = []

        def network(number, order=order):
            def denoiser(x_t, times, latent=None):
                order.append((number, float(times[0])))
                return torch.zeros(*x_t.shape, 4).log_softmax(-1)

            return denoiser

        grid = call_grid(int(n), config["tauldr"]["min_time"])
        result = hybrid(
            process,
            network(1),
            torch.zeros(2, 3, dtype=torch.long),
            grid,
            teacher=network(0),
            teacher_steps=int(last_teacher),
            last="argmax",
        )
        assert [number for number, _ in order] == uses_student.tolist()
        assert [t for _, t in order] == pytest.approx(grid.flip(0)[:-1].tolist())
        assert result.nfe == int(n)


# MaskGIT


def test_reveal_counts(recorded):
    for counts, schedule, num_tokens, n in _matching(
        recorded, r"maskgit/counts_([a-z]+)_(\d+)_(\d+)"
    ):
        found = reveal_counts(int(num_tokens), int(n), schedule)
        assert found.tolist() == counts.tolist()


def test_ramps_of_guidance_and_noise(recorded, config):
    for values, name, n in _matching(recorded, r"maskgit/(cfg_weight|gumbel_scale)_(\d+)"):
        share = ramp(torch.arange(int(n), dtype=torch.float64) / int(n), int(n))
        found = config["cfg_w"] * share if name == "cfg_weight" else config["r_temp"] * (1 - share)
        torch.testing.assert_close(found, values, **FLOAT64)


def test_masking(recorded, config):
    mask_state = config["maskgit_denoise"]["codebook_size"]
    code, r, uniforms = (recorded[f"maskgit/mask/{name}"] for name in ("code", "r", "uniform"))
    for masked, schedule in _matching(recorded, r"maskgit/mask/masked_code_([a-z]+)"):
        found = mask_tokens(code, mask_ratio(r, schedule), mask_state, uniforms=uniforms)
        assert torch.equal(found, masked)


@pytest.mark.parametrize("variant", ["nocfg", "cfg"])
def test_the_teacher_step_of_maskgit(recorded, config, variant):
    sizes = config["maskgit_denoise"]
    num_latents, num_steps = sizes["latent_bsize"], sizes["teacher_steps"]
    mask_state, num_tokens = sizes["codebook_size"], sizes["tokens"]
    read = {name: recorded[f"maskgit/denoise/{name}"] for name in ("code", "r")}
    x_t, r = read["code"].flatten(1), read["r"]
    assert x_t.shape[1] == num_tokens
    batch = len(x_t)

    def of(name):
        return recorded[f"maskgit/denoise/{variant}/{name}"]

    weight = (config["cfg_w"] if variant == "cfg" else 0.0) * ramp(r, num_steps)
    logits = guided_logits(
        recorded["maskgit/denoise/logits_cond"],
        recorded["maskgit/denoise/logits_uncond"],
        weight,
    )
    torch.testing.assert_close(logits, of("logits"), **FLOAT32)
    delta = config["r_delta_denoise"]
    masked = x_t == mask_state
    num_reveal = reveal_count((r + delta).clamp_max(1), masked.sum(-1), num_tokens)
    assert num_reveal.tolist() == of("num_reveal").tolist()
    per_latent = (batch, num_latents, num_tokens)
    x_u = teacher_step(
        logits.log_softmax(-1)[:, None].expand(-1, num_latents, -1, -1),
        x_t[:, None].expand(per_latent),
        r,
        delta,
        mask_state,
        num_steps=num_steps,
        temperature=config["r_temp"],
        predictions=of("pred_code").view(per_latent),
        gumbels=of("gumbel").view(per_latent),
    )
    assert torch.equal(x_u, of("new_code").view(per_latent))
    assert torch.equal((x_u != x_t[:, None]).sum(-1), of("num_changed"))


def test_a_run_of_maskgit_step_by_step(config):
    run = maskgit_run()
    num_done, batch, num_tokens = run["code_before"].shape
    num_steps = len(run["counts"])
    assert reveal_counts(num_tokens, num_steps).tolist() == run["counts"].tolist()
    masked = torch.ones(batch, num_tokens, dtype=torch.bool)
    for i, count in enumerate(run["counts"][:num_done].tolist()):
        share = ramp(torch.full((batch,), i / num_steps, dtype=torch.float64), num_steps)
        guided = guided_logits(
            run["logits_cond"][i], run["logits_uncond"][i], config["cfg_w"] * share
        ).log_softmax(-1)
        torch.testing.assert_close(guided, run["log_probs_guided"][i].double(), **FLOAT32)
        x_s, masked = confidence_step(
            guided,
            run["code_before"][i],
            masked,
            torch.full((batch,), count),
            config["r_temp"] * (1 - share),
            predictions=run["pred_code"][i],
            gumbels=run["gumbel"][i],
        )
        assert torch.equal(masked, run["mask_after"][i] > 0)
        if i + 1 < num_done:
            assert torch.equal(x_s, run["code_before"][i + 1])
    assert not masked.any()  # nothing was left to the steps after the last recorded one


def test_a_run_of_maskgit_by_the_sampler():
    run = maskgit_run()
    process = MaskedProcess(run["logits_cond"].shape[-1] - 1)
    replay_maskgit(process, lambda name, step, *_: run[name][step].log_softmax(-1))


# MDLM and SDTT


@pytest.fixture(scope="module")
def masked_process(recorded) -> MaskedProcess:
    return mdlm_process(recorded["sdtt/log_p_x0"].shape[-1])


def _sdtt(recorded):
    return {
        name.removeprefix("sdtt/"): tensor
        for name, tensor in recorded.items()
        if re.fullmatch(READ["MDLM update"], name)
    }


def test_the_update_weights_are_the_reverse_kernel(recorded, masked_process):
    """MDLM's unnormalised q(x_s) is 1 - alpha_t times p_{s|t} of a masked coordinate.

    They differ by rounding of the given log-probabilities, whose sum Z is 1 only to single
    precision: MDLM scales the values by Z and not the mask, we normalise.
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
    """Staggered score times transition, SEDD's analytic step, is p_{s|t} itself."""
    sdtt, process = _sdtt(recorded), masked_process
    t = sdtt["t"].double()
    s = t - sdtt["dt"].double()
    weights = process.reverse(sdtt["log_p_x0"].double().exp(), sdtt["x"], s, t)
    # They subtract numbers of the size alpha_s / alpha_t in float32.
    growth = process.schedule.alpha(s) / process.schedule.alpha(t)
    accuracy = (16 * 2**-24 * growth)[:, None, None] + 1e-6
    assert bool(((weights - sdtt["analytic_weights"]).abs() <= accuracy).all())
    _drawn(weights, sdtt["uniform"], sdtt["x_next_analytic"], float(accuracy.max()) * 100)
    _drawn(sdtt["analytic_weights"].double(), sdtt["uniform"], sdtt["x_next_analytic"], 1e-6)


def test_updates_by_the_sampler(recorded, masked_process):
    """Each sequence has times of its own: one call of the sampler each."""
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
    for times, n in _matching(recorded, r"sdtt/times_(\d+)"):
        grid = call_grid(int(n) + 1, mdlm["full_size"]["sampling_eps"])
        torch.testing.assert_close(grid.flip(0)[:-1], times.double(), **FLOAT32)


def test_the_training_step_of_sdtt(recorded, mdlm, monkeypatch):
    """The recipe's t - u, at the recorded times put in place of its draws."""
    t, dt = recorded["sdtt/train_t"].double(), recorded["sdtt/train_dt"].double()
    rule = replace(recipes.OPENWEBTEXT.times, gap=1 / mdlm["full_size"]["T"])
    below = t < rule.split
    place = torch.where(below, t / rule.split, (t - rule.split) / (1 - rule.split))
    draws = torch.stack([torch.where(below, 0.0, 1.0), 1 - place], 1)
    monkeypatch.setattr(recipes, "uniform", lambda *_, **__: draws)
    found_t, found_u = rule.draw(len(t), None)
    torch.testing.assert_close(found_t, t)
    torch.testing.assert_close(found_t - found_u, dt, rtol=1e-6, atol=1e-12)


def test_a_run_of_sdtt():
    run = sdtt_run()
    process = mdlm_process(run["log_p_x0"].shape[-1])
    replay_sdtt(process, lambda call, *_: run["log_p_x0"][call])
