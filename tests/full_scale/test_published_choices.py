"""What the published trainers do beside their losses: dropout of target and labels, times."""

import pytest
import torch
from scipy.stats import kstest, uniform

from di4c.latents import UniformLatent
from di4c.recipes import CIFAR10
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.objectives import Distillation, TeacherTraining
from full_scale.training.recipes import RECIPES
from tests.helpers.train_cases import CODES, TEXT


@pytest.mark.parametrize(
    ("name", "dropout"), [("cifar10", True), ("imagenet", False), ("openwebtext", False)]
)
def test_the_consistency_target_has_dropout_in_one_trainer_only(name, dropout):
    """MaskGIT and SDTT compute their targets in evaluation mode, and tauLDR does not switch.

    The calls without gradients are those of the target. The mode of each call is recorded.
    """
    network, calls = TEXT.student().build().train(), []
    network.register_forward_pre_hook(
        lambda module, _: calls.append((torch.is_grad_enabled(), module.training))
    )
    process = TEXT.process.build()
    objective = Distillation(
        network=network,
        config=TEXT.student(),
        process=process,
        teacher=TEXT.network.build().eval().requires_grad_(False),
        recipe=RECIPES[name],
        latent=UniformLatent(),
    )
    x_0 = torch.zeros(4, TEXT.network.num_dims, dtype=torch.long)
    objective.loss(network, {"x_0": x_0}, torch.Generator().manual_seed(0))
    assert set(calls) == {(True, True), (False, dropout)}
    assert network.training


def test_a_share_of_the_labels_is_dropped():
    """As many examples have no class as the option says. The others keep their own."""
    config = CODES.network
    training = TeacherTraining(
        network=torch.nn.Identity(),
        config=config,
        process=CODES.process.build(),
        label_dropout=EXPERIMENTS["imagenet"][1].label_dropout,
    )
    given = torch.arange(20_000) % config.num_classes
    labels = training.labels({"label": given}, torch.Generator().manual_seed(0))
    dropped = labels == config.num_classes
    assert float(dropped.double().mean()) == pytest.approx(0.1, abs=0.01)
    assert labels[~dropped].equal(given[~dropped])


def test_half_of_the_times_of_distillation_are_the_smallest():
    """tauLDR: t = 0.01 with probability 1/2, otherwise uniform up to 0.02."""
    assert CIFAR10.distillation.last == 0.02
    times = CIFAR10.distillation.draw(20_000, torch.Generator().manual_seed(0))
    smallest = times == 0.01
    assert float(smallest.double().mean()) == pytest.approx(0.5, abs=0.015)
    assert kstest(times[~smallest].numpy(), uniform(0.01, 0.01).cdf).pvalue > 1e-3
