"""What the losses refuse: the message names the argument, the value and the remedy."""

import math

import pytest
import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss
from tests.helpers.random_losses import RandomLosses
from tests.helpers.refusals import assert_refused

EXAMPLE = RandomLosses(0, 2, 3, 4, 5, 2)
ATOMS, WEIGHTS = EXAMPLE.target.atoms, EXAMPLE.target.weights
BAD = {
    "weights": (
        lambda: Target(ATOMS, 2 * WEIGHTS),
        "weights must be non-negative and sum to 1; the sum is 2, .*divide by the sum",
    ),
    "negative weights": (
        lambda: Target(ATOMS, torch.tensor([[2.0, -1.0]] * 2)),
        "weights must be non-negative and sum to 1; the sum is 1, the smallest -1",
    ),
    "nan weights": (lambda: Target(ATOMS, math.nan * WEIGHTS), "weights must .* sum is nan"),
    "other weights": (
        lambda: Target(ATOMS, WEIGHTS[:, :1]),
        r"weights must have shape \(batch, atom\) = \(2, 2\); got \(2, 1\)",
    ),
    "marginals": (
        lambda: Target(ATOMS, WEIGHTS, EXAMPLE.log_teacher.exp()),
        "log_marginals must be log-probabilities",
    ),
    "nan marginals": (
        lambda: Target(
            ATOMS, WEIGHTS, EXAMPLE.log_teacher.index_fill(1, torch.tensor(3), math.nan)
        ),
        r"log_marginals is nan at index \[0, 3, 0\]: look for an overflow",
    ),
    "nan logits": (
        lambda: DenseMixture.from_logits(
            torch.zeros(1, 2, 3, 4).index_fill(2, torch.tensor(1), math.nan), uniform_log_weights(2)
        ),
        r"logits is nan at index \[0, 0, 1, 0\]: look for an overflow",
    ),
    "no atoms": (
        lambda: Target.from_samples(torch.zeros(2, 0, 4, dtype=torch.long)),
        r"samples must have shape .*got \(2, 0, 4\)",
    ),
    "no marginals": (
        lambda: consistency_loss(EXAMPLE.student, Target(ATOMS, WEIGHTS)),
        "log_marginals of the target is None: .*control_variate=False",
    ),
    "atoms of another vocabulary": (
        lambda: consistency_loss(EXAMPLE.student, Target(ATOMS + 5, WEIGHTS, EXAMPLE.log_teacher)),
        r"atoms must be states in 0..4; got [5-9] at index \[0, 0, 0\]",
    ),
    "a teacher of another S": (
        lambda: distillation_loss(EXAMPLE.student, EXAMPLE.log_teacher[..., :4]),
        r"log_target must have shape .* = \(2, 4, 5\); got \(2, 4, 4\)",
    ),
    "a teacher of another D": (
        lambda: data_loss(
            EXAMPLE.student, Target.from_samples(ATOMS[..., :3], EXAMPLE.log_teacher[:, :3])
        ),
        r"atoms must have shape .* = \(2, any, 4\); got \(2, 2, 3\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_argument_value_and_remedy(name, as_installed):
    assert_refused(*BAD[name])
