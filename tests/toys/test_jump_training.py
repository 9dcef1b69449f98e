"""Training with long teacher jumps: its loss terms against exact laws, and its seeds."""

from dataclasses import replace

import pytest
import torch

from di4c.exact import (
    total_variation,
)
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value
from tests.helpers.toy_cases import SMALL, random_law, setting_of, student_of
from toys.methods import METHODS
from toys.students.jump_training import jump_student
from toys.students.losses import JumpObjective
from toys.students.network import Backbone
from toys.students.training import DataSampler
from toys.teachers.jumps import TeacherJump


@pytest.mark.parametrize("control_variate", [False, True])
def test_data_term_is_the_likelihood_of_the_enumerated_mixture(control_variate):
    setting = setting_of(random_law(8, 14), 2, 3)
    options = replace(SMALL, data=True, data_weight=0.0, control_variate=control_variate)
    student = student_of(setting, options)
    objective = JumpObjective(
        setting.process, student.network, None, student.latent, options, rows=1
    )
    x_0 = DataSampler(setting)(200, generator(7))
    (batch,) = objective.prepare(x_0[None], generator(8))
    loss = float(objective(batch, generator(9)).detach())
    law = student.law(1, student.latent.support)
    index = x_0 @ torch.tensor([4, 2, 1])
    assert loss == pytest.approx(float(-law[index].log().mean()), rel=1e-5)


def test_consistency_term_is_the_cross_entropy_of_teacher_then_student():
    """With u = t the jump ends where it starts, so the target is the student's own law."""
    setting = setting_of(random_law(8, 15), 2, 3)
    options = replace(SMALL, ratio=1.0, start_atoms=20_000)
    student = student_of(setting, options)
    jump = TeacherJump(setting.process, setting.teacher)
    objective = JumpObjective(
        setting.process, student.network, jump, student.latent, options, rows=1
    )
    x_0 = DataSampler(setting)(8, generator(10))
    (batch,) = objective.prepare(x_0[None], generator(11))
    assert torch.equal(batch.target[0][:20_000], torch.full((20_000, 3), 2))
    start, _ = objective._targets(*batch.target, generator(12))
    law = student.law(1, student.latent.support)
    assert p_value(start.atoms[0], law, 2) > P_VALUE
    assert p_value(start.atoms[0], setting.q_0, 2) < P_VALUE


def test_training_depends_on_the_seed_alone():
    law = random_law(8, 16)
    outputs = [
        next(METHODS["di4c-d"].outputs(setting_of(law, 2, 3, seed=seed), (1,))).law
        for seed in (0, 0, 1)
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert float(total_variation(outputs[0], outputs[2])) > 1e-4


def test_a_callback_sees_the_student_while_it_learns():
    setting, seen = setting_of(random_law(8, 20), 2, 3), []
    jump_student(setting, SMALL, lambda student, i: seen.append((i, type(student.network))))
    assert seen == [(i, Backbone) for i in (1, 2, 3)]
