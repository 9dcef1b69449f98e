"""The recorded sampler of MaskGIT: schedules, masking, the teacher step, and a whole run.

Every random draw is recorded. The network of the run is replaced by its recorded outputs.
"""

import pytest
import torch
from torch import Tensor

from di4c.confidence import confidence_step, guided_logits, teacher_step
from di4c.maskgit_schedule import mask_ratio, mask_tokens, ramp, reveal_count, reveal_counts
from di4c.processes import MaskedProcess
from tests.parity.recordings import description, tensors
from tests.parity.runs import maskgit_run, matching, replay_maskgit

FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}
FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return tensors("samplers")


@pytest.fixture(scope="module")
def config() -> dict:
    return description("samplers")["config"]


def test_reveal_counts(recorded):
    for counts, schedule, num_tokens, n in matching(
        recorded, r"maskgit/counts_([a-z]+)_(\d+)_(\d+)"
    ):
        found = reveal_counts(int(num_tokens), int(n), schedule)
        assert found.tolist() == counts.tolist()


def test_ramps_of_guidance_and_noise(recorded, config):
    for values, name, n in matching(recorded, r"maskgit/(cfg_weight|gumbel_scale)_(\d+)"):
        share = ramp(torch.arange(int(n), dtype=torch.float64) / int(n), int(n))
        found = config["cfg_w"] * share if name == "cfg_weight" else config["r_temp"] * (1 - share)
        torch.testing.assert_close(found, values, **FLOAT64)


def test_masking(recorded, config):
    mask_state = config["maskgit_denoise"]["codebook_size"]
    code, r, uniforms = (recorded[f"maskgit/mask/{name}"] for name in ("code", "r", "uniform"))
    for masked, schedule in matching(recorded, r"maskgit/mask/masked_code_([a-z]+)"):
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
    assert not masked.any()  # nothing is left to reveal after the last recorded step


def test_a_run_of_maskgit_by_the_sampler():
    run = maskgit_run()
    process = MaskedProcess(run["logits_cond"].shape[-1] - 1)
    replay_maskgit(process, lambda name, step, *_: run[name][step].log_softmax(-1))
