"""The training loop and the trained teacher."""

from dataclasses import replace

import torch

from di4c.exact import (
    kl,
    states,
)
from tests.helpers.toy_cases import setting_of
from toys.students.training import fit, make_network, train_teacher, training_teacher
from toys.tasks.setting import Budget


def test_fit_visits_every_iteration_and_ends_at_rate_zero():
    weight = torch.nn.Parameter(torch.tensor(3.0))
    module, seen, moves = torch.nn.Module(), [], []
    module.weight = weight

    def watch(iteration):
        seen.append(iteration)
        moves.append(float(weight.detach()))

    fit(module, lambda _: weight.square(), 200, seed=0, learning_rate=0.1, callback=watch)
    assert seen == list(range(1, 201))
    assert abs(moves[-1]) < 0.1
    assert abs(moves[-1] - moves[-2]) < 1e-4


def test_trained_teacher_learns_the_marginals():
    law = torch.full((8,), 0.02, dtype=torch.float64)
    law[[0, 7]] = 0.44
    setting = setting_of(law, 2, 3, budget=Budget("some", 300 * 256, 256))
    x_t = states(3, 3)
    t = torch.full((len(x_t),), 0.5, dtype=torch.float64)
    exact = setting.teacher(x_t, t)
    before = kl(exact.exp(), make_network(setting, None, "teacher").denoiser(x_t, t).exp().double())
    network = train_teacher(setting)
    after = kl(exact.exp(), network.denoiser(x_t, t).exp().double())
    assert float(after.mean()) < 0.1 * float(before.detach().mean())
    assert not any(p.requires_grad for p in network.parameters())
    trained = replace(setting, make_teacher=lambda _: network.denoiser)
    assert training_teacher(trained) == network.denoiser
