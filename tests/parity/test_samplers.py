"""The recorded samplers of tauLDR, and a check that some test reads every recorded tensor.

The samplers of MaskGIT, MDLM and SDTT are in test_samplers_maskgit.py and test_samplers_sdtt.py.
All shapes, names and hyper-parameters are read from the files, so another recording of the same
layout passes through the same tests.
"""

import re

import pytest
import torch
from torch import Tensor

from di4c.processes import gaussian_process
from di4c.samplers import hybrid
from di4c.sampling_loop import call_grid
from tests.parity.recordings import description, tensors
from tests.parity.runs import MDLM_UPDATE, matching

FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}

# Names of all tensors in the file, by the test that reads them.
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
    # The labels are inputs of the network, whose outputs are recorded, too.
    "run of MaskGIT": (
        r"maskgit/run/(labels|counts|code_before|z|logits_(un)?cond|log_probs_guided|pred_code|"
        r"gumbel|mask_after|code_final)"
    ),
    "MDLM update": MDLM_UPDATE,
    "times": r"sdtt/(times_\d+|train_t|train_dt)",
    "run of SDTT": r"sdtt/run/(t|x_before|z|log_p_x0|uniform|x_final)",
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return tensors("samplers")


@pytest.fixture(scope="module")
def config() -> dict:
    return description("samplers")["config"]


def test_every_recorded_tensor_is_read(recorded):
    unread = [
        name
        for name in recorded
        if not any(re.fullmatch(pattern, name) for pattern in READ.values())
    ]
    assert not unread


def test_tauldr_times(recorded, config):
    for times, n in matching(recorded, r"tauldr/timepoints_(\d+)"):
        grid = call_grid(int(n), config["tauldr"]["min_time"])
        torch.testing.assert_close(grid.flip(0)[:-1], times.double(), **FLOAT32)


def test_hybrids_call_the_recorded_networks(recorded, config):
    process = gaussian_process(4, time_base=0.01)
    for uses_student, n, last_teacher in matching(recorded, r"tauldr/uses_student_(\d+)_(\d+)"):
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
