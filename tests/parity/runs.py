"""The recorded samplers: their tensors by name, and the runs of MaskGIT and SDTT, replayed.

A replay takes every random draw from the recording and the outputs of the network from its caller.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from di4c.confidence import confidence_sampling
from di4c.processes import MaskedProcess
from di4c.samplers import ancestral
from di4c.sampling_loop import call_grid
from di4c.schedules import LogLinearSchedule
from tests.parity.recordings import description, tensors

# Names of the tensors of one update of MDLM.
MDLM_UPDATE = (
    r"sdtt/(x|log_p_x0|t|dt|q_xs|q_xs_f64|move_chance_[ts]|uniform|update|x_next|x_denoised|"
    r"analytic_weights|x_next_analytic)"
)


def matching(recorded: dict[str, Tensor], pattern: str) -> list[tuple[Tensor, ...]]:
    """(tensor, *groups of the pattern) for every name that matches, of which there must be one."""
    found = [
        (tensor, *match.groups())
        for name, tensor in recorded.items()
        if (match := re.fullmatch(pattern, name))
    ]
    assert found, f"nothing recorded under {pattern}"
    return found


def maskgit_run() -> dict[str, Tensor]:
    """Tensors of the run of MaskGIT, with codes of shape (step, batch, dim)."""
    run = tensors("samplers", "maskgit/run/")
    for name in ("code_before", "mask_after"):
        run[name] = run[name].flatten(2)
    run["code_final"] = run["code_final"].flatten(1)
    return run


def replay_maskgit(
    process: MaskedProcess, answer: Callable[[str, int, Tensor, Tensor, Tensor], Tensor]
) -> None:
    """Check that our sampler visits the recorded codes and ends at the recorded result.

    Args:
        process: a process whose last state is the mask.
        answer: returns log-probabilities for (recorded name of the logits, step, x_t, t, latent).
    """
    run, config = maskgit_run(), description("samplers")["config"]
    num_steps = len(run["counts"])
    num_done = len(run["code_before"])  # fewer steps if everything was revealed earlier
    asked = []

    def network(name):
        def denoiser(x_t, t, latent=None):
            step = round((1 - float(t[0])) * num_steps)
            assert torch.equal(x_t, run["code_before"][step])
            assert torch.equal(latent, run["z"][step])  # the same latent in both branches
            asked.append((name, step))
            return answer(name, step, x_t, t, latent)

        return denoiser

    result = confidence_sampling(
        process,
        network("logits_cond"),
        torch.full_like(run["code_final"], process.mask_state),
        num_steps,
        temperature=config["r_temp"],
        unconditional=network("logits_uncond"),
        guidance=config["cfg_w"],
        latent=run["z"],
        recorded=list(zip(run["pred_code"], run["gumbel"], strict=True)),
    )
    assert torch.equal(result.samples, run["code_final"])
    # The first step is not guided. No step is guided if the weight is 0.
    guided = range(1, num_done) if config["cfg_w"] else ()
    assert [step for name, step in asked if name == "logits_cond"] == list(range(num_done))
    assert [step for name, step in asked if name == "logits_uncond"] == list(guided)
    assert result.nfe == len(asked)


def mdlm_process(num_states: int) -> MaskedProcess:
    """MDLM's process on states of which the last one is the mask."""
    epsilon = description("sdtt_process")["config"]["eps"]
    return MaskedProcess(num_states - 1, LogLinearSchedule(epsilon=epsilon))


def sdtt_run() -> dict[str, Tensor]:
    """Tensors of the run of SDTT."""
    return tensors("samplers", "sdtt/run/")


def replay_sdtt(
    process: MaskedProcess, answer: Callable[[int, Tensor, Tensor, Tensor], Tensor]
) -> None:
    """Check that our sampler visits the recorded tokens at the recorded times.

    Args:
        process: see `mdlm_process`.
        answer: returns log-probabilities for (call, x_t, t, latent).
    """
    run = sdtt_run()
    num_steps = description("samplers")["config"]["sd_run_steps"]
    last_time = description("sdtt_process")["config"]["full_size"]["sampling_eps"]
    grid = call_grid(num_steps + 1, last_time)
    times = grid.flip(0)[: len(run["t"])]
    torch.testing.assert_close(run["t"].double(), times, rtol=0, atol=1e-6)
    asked = []

    def denoiser(x_t, t, latent=None):
        call = len(asked)
        assert torch.equal(x_t, run["x_before"][call])
        assert torch.equal(latent, run["z"][call])
        asked.append(float(t[0]))
        return answer(call, x_t, t, latent)

    result = ancestral(
        process,
        denoiser,
        torch.full_like(run["x_final"], process.mask_state),
        grid,
        latent=run["z"],
        last="argmax",
        uniforms=run["uniform"],
    )
    assert torch.equal(result.samples, run["x_final"])
    # Our sampler stops at the last mask. The reference makes more updates, which change nothing.
    assert asked == times[: result.nfe].tolist()
    assert all(torch.equal(x, run["x_final"]) for x in run["x_before"][result.nfe :])
