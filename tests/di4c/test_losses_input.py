"""What the losses refuse: the message names the argument, the value and the remedy."""

import math

import pytest
import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, HeadMixture, LinearHead
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss, prefetch
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
    "weights in half precision": (
        lambda: Target(ATOMS, 1.1 * WEIGHTS.bfloat16()),
        r"weights must be non-negative and sum to 1; the sum is 1\.0996",
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


_HIDDEN = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
_HEAD = LinearHead(torch.randn(5, 6, generator=torch.Generator().manual_seed(1)))
STUDENTS = {
    "dense": lambda validate: DenseMixture(
        EXAMPLE.student.log_probs, EXAMPLE.student.log_weights, validate
    ),
    "head": lambda validate: HeadMixture(_HIDDEN, _HEAD, uniform_log_weights(3), validate=validate),
}
CALLS = {
    "distillation_loss": distillation_loss,
    "marginal_kl": lambda student, teacher: student.marginal_kl(teacher),
    "prefetch": lambda student, teacher: distillation_loss(
        prefetch(student, (), [teacher]), teacher
    ),
}
TEACHERS = {
    "nan": (lambda log: log.index_fill(1, torch.tensor(2), math.nan), r"nan at index \[0, 2, 0\]"),
    "twice": (lambda log: 2 * log, r"log-probabilities; the probabilities at index \[0, 0\]"),
    "probabilities": (torch.exp, "sum to .*: apply log_softmax over the last axis"),
    "whole numbers": (lambda log: log.long(), "must have a float type; got torch.int64"),
}


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("teacher", TEACHERS)
def test_a_teacher_that_is_no_law_is_refused(student, call, teacher, as_installed):
    change, message = TEACHERS[teacher]
    wrong = change(EXAMPLE.log_teacher)
    assert_refused(lambda: CALLS[call](STUDENTS[student](True), wrong), f"log_target .*{message}")


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("call", CALLS)
def test_the_loss_of_a_nan_is_nan_where_values_are_not_checked(student, call):
    """As on a GPU, where a check would wait for the device."""
    teacher = TEACHERS["nan"][0](EXAMPLE.log_teacher)
    assert CALLS[call](STUDENTS[student](False), teacher).isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("student", STUDENTS)
def test_a_teacher_may_come_from_half_precision(student, dtype):
    teacher = (5 * EXAMPLE.log_teacher).to(dtype).log_softmax(-1)
    for rounded in (teacher, teacher.float()):
        assert distillation_loss(STUDENTS[student](True), rounded).isfinite().all()
