"""Likelihoods at each time: against the exact law of three bits, and on a student."""

import math
from dataclasses import dataclass
from itertools import product

import pytest
import torch

from di4c import ExactDenoiser, MaskedProcess
from di4c.schedules import CosineSchedule
from full_scale.miniatures.likelihoods import log_likelihood, main, token_by_token
from reporting import read_json
from tests.full_scale.miniatures.conftest import write_tiny

LAW = torch.tensor([0.3, 0.05, 0.1, 0.05, 0.02, 0.18, 0.1, 0.2], dtype=torch.float64)
PROCESS = MaskedProcess(2, CosineSchedule())
STATES = list(product((0, 1), repeat=3))


@dataclass(frozen=True)
class ExactTeacher:
    """The exact marginals of the law, called as a network."""

    process: MaskedProcess = PROCESS
    keep_mask: bool = True

    def denoise(self, x_t, t, latent):
        return ExactDenoiser(PROCESS, LAW)(x_t, t, latent)


def probability(fits):
    return sum(float(p) for p, state in zip(LAW, STATES, strict=True) if fits(state))


@pytest.mark.parametrize("shown", [(), (1,), (0, 2), (0, 1, 2)])
def test_token_by_token_is_the_conditional_law(shown):
    """The chain rule holds in every order."""
    x_0 = torch.tensor([1, 0, 1])
    x_t = torch.full((3,), PROCESS.mask_state)
    x_t[list(shown)] = x_0[list(shown)]
    given = probability(lambda state: all(state[d] == x_0[d] for d in shown))
    exact = math.log(float(LAW[5]) / given)
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        assert token_by_token(ExactTeacher(), x_0, x_t, generator) == pytest.approx(exact)


def test_one_call_is_the_product_of_conditional_marginals():
    """The first bit is shown, so it counts nothing."""
    x_t = torch.tensor([[1, PROCESS.mask_state, PROCESS.mask_state]])
    found = log_likelihood(ExactTeacher(), torch.tensor([1, 0, 1]), x_t, 0.6)
    given = probability(lambda state: state[0] == 1)
    second = probability(lambda state: state[:2] == (1, 0)) / given
    third = probability(lambda state: state[0] == 1 and state[2] == 1) / given
    assert found[0].exp().tolist() == pytest.approx([1, second, third])


def test_command_measures_a_student(teacher, tmp_path, capsys):
    run = {"preset": "words", "recipe": "words"}
    source = write_tiny(tmp_path / "student", student=True, run=run)
    options = ["--samples", "2", "--json", str(tmp_path / "found.json")]
    main([str(source), "--teacher", str(teacher), *options])
    assert "token by token" in capsys.readouterr().out
    rows = read_json(tmp_path / "found.json")["rows"]
    assert [row["noise"] for row in rows] == [0.25, 0.5, 0.75, 1.0]
    assert all(row["student"] > 0 for row in rows)


def test_a_teacher_is_refused(teacher):
    with pytest.raises(ValueError, match=r"RUN must be a student; .* is a teacher"):
        main([str(teacher)])
