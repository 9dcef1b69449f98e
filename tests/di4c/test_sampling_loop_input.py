"""What the samplers refuse: the message names the argument, the value and the remedy."""

import pytest
import torch
from torch import Tensor

from di4c.latents import LatentPolicy, UniformLatent
from di4c.processes import (
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
)
from di4c.samplers import ancestral, hybrid, tau_leaping
from di4c.schedules import uniform_grid
from tests.helpers.goodness_of_fit import generator
from tests.helpers.uninformed import Uninformed

MASKED, UNIFORM = MaskedProcess(3), UniformProcess(4)
RATES = RateMatrixProcess(torch.tensor([[-1.0, 1.0], [2.0, -2.0]], dtype=torch.float64))


def _all_masked(batch: int = 5, num_dims: int = 6) -> Tensor:
    return torch.full((batch, num_dims), MASKED.num_values)


def _nan(x_t, t, latent=None):
    log_probs = torch.zeros(*x_t.shape, 3).log_softmax(-1)
    log_probs[1, 2, 0] = torch.nan
    return log_probs


BAD_RUNS = {
    r"grid must increase from data": {"grid": [0.0, 0.6, 0.4]},
    r"grid must end at the horizon": {"grid": [0.0, 1.5]},
    r"last must be one of 'sample', 'argmax'; got 'mean'": {"last": "mean"},
    r'last="argmax" needs a grid that starts at 0; got 0.2': {"last": "argmax", "grid": [0.2, 1.0]},
    r"start must have shape \(batch, dim\)": {"start": torch.zeros(0, 6, dtype=torch.long)},
    r"start must be states in 0..3; got 4 at index \[0, 0\]": {"start": torch.full((2, 2), 4)},
    r"log_probs returned by the denoiser must have shape \(batch, dim, value\) = \(5, 6, 3\)": {
        "denoiser": Uninformed(7)
    },
    r"log_probs returned by the denoiser is nan at index \[1, 2, 0\]": {"denoiser": _nan},
    r"probabilities at index \[0, 0\] sum to 3": {
        "denoiser": lambda x_t, t, latent=None: torch.zeros(*x_t.shape, 3)
    },
    r"latent must have one entry for each of the 5 samples": {"latent": torch.rand(2, 4)},
    r"5 samples on its first axis; call 0 got shape \(\)": {"latent": torch.rand(2)},
    r"latent must hold one entry for each network call; call 1 finds none left": {
        "latent": torch.rand(1, 5)
    },
    r"uniforms must hold one entry for each step; got 1, and step 1": {
        "uniforms": torch.rand(1, 5, 6, 4, generator=generator()),
        "grid": [0.0, 0.9, 1.0],
    },
    r"uniforms must have shape": {"uniforms": torch.rand(2, 5, 6, 3)},
}


@pytest.mark.parametrize("message", BAD_RUNS)
def test_bad_arguments_are_refused_with_value_and_remedy(message):
    good = {"denoiser": Uninformed(3), "start": _all_masked(), "grid": [0.0, 0.1, 1.0]}
    run = good | BAD_RUNS[message]
    with pytest.raises(ValueError, match=message):
        ancestral(
            MASKED,
            run.pop("denoiser"),
            run.pop("start"),
            run.pop("grid"),
            generator=generator(),
            **run,
        )


def test_a_mask_must_have_no_probability():
    logits = torch.zeros(5, 6, 4)
    with pytest.raises(ValueError, match=r"\[0, 0\] sum to 0.75: give the mask no prob"):
        ancestral(MASKED, lambda *_: logits.log_softmax(-1), _all_masked(), [0.0, 1.0])
    logits[..., 3] = -1e6  # MDLM uses this number for minus infinity
    result = ancestral(MASKED, lambda *_: logits.log_softmax(-1), _all_masked(), [0.0, 1.0])
    assert int(result.samples.max()) < 3


def test_value_checks_can_be_switched_off():
    result = ancestral(
        MASKED, lambda x_t, *_: torch.zeros(*x_t.shape, 3), _all_masked(), [0.0, 1.0],
        validate=False,
    )  # fmt: skip
    assert result.nfe == 1


def test_bad_arguments_of_hybrid_and_tau_leaping_are_refused():
    start, grid = torch.zeros(2, 2, dtype=torch.long), uniform_grid(3)
    for teacher_steps in (-1, 4):
        with pytest.raises(ValueError, match=r"teacher_steps must lie in 0\.\.3"):
            hybrid(
                *(UNIFORM, Uninformed(4), start, grid),
                teacher=Uninformed(4),
                teacher_steps=teacher_steps,
            )
    with pytest.raises(ValueError, match="jumps must be one of 'poisson', 'single'; got 'two'"):
        tau_leaping(RATES, Uninformed(2), start, grid, jumps="two")
    with pytest.raises(ValueError, match='jumps="poisson" adds up jumps between ordered states'):
        tau_leaping(MASKED, Uninformed(3), start, grid)
    with pytest.raises(ValueError, match=r"reverse rates are not finite at t = 1\.0"):
        tau_leaping(UNIFORM, Uninformed(4), start, grid)


def test_an_unknown_latent_policy_is_refused():
    with pytest.raises(ValueError, match="redraw must be one of"):
        LatentPolicy("sometimes", law=UniformLatent())
