"""The charge of a finite batch of latents: known numbers, sampling, formulas that must fail."""

import math

import pytest
import torch

from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from theory.claim import Record
from theory.losses.latents import latent_batch
from theory.losses.latents.latent_batch import (
    charge,
    components,
    joint_bias,
    stratified_charge,
    total_correlation,
)
from theory.tools import oracle


@pytest.mark.parametrize(
    ("num_latents", "nats"), [(4, 2.631), (16, 1.998), (32, 1.470), (64, 0.874), (256, 0.147)]
)
def test_known_charges(num_latents, nats):
    assert charge(64, num_latents) == pytest.approx(nats, abs=0.0005)


@pytest.mark.parametrize(("num_latents", "nats"), [(16, 1.90), (32, 1.16), (64, 0.0)])
def test_known_stratified_charges(num_latents, nats):
    assert stratified_charge(64, num_latents, 0.05) == pytest.approx(nats, abs=0.005)


def test_one_coordinate_by_sampling():
    """20 000 batches of 16 latents at S = 64; an error of 5 standard errors has chance 1e-6."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randint(64, (20_000, 16), generator=generator)
    parts = components(64, 1, 0.05)[:, 0].exp()
    mean = parts[latents].mean(1)  # (batch, S)
    values = -(mean * 64).log().mean(1)
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean()) - charge(64, 16)) < 5 * error


@pytest.mark.parametrize("num_states", [2, 3, 5])
def test_total_correlation_by_enumeration(num_states):
    law = {x: 0.0 for x in oracle.all_states(2, num_states)}
    for part in components(num_states, 2, 0.1).exp().tolist():
        for x in law:
            law[x] += part[0][x[0]] * part[1][x[1]] / num_states
    assert oracle.total_correlation(law) == pytest.approx(total_correlation(num_states, 0.1))


def test_a_student_that_ignores_its_latent_has_loss_0():
    """The claims compare the perfect student with this product of uniform marginals."""
    uniform = torch.full((1, 4, 2, 64), -math.log(64), dtype=torch.float64)
    student = DenseMixture(uniform, torch.full((4,), -math.log(4), dtype=torch.float64))
    target = Target.from_samples(torch.zeros(1, 1, 2, dtype=torch.long), uniform[:, 0])
    terms = consistency_loss(student, target)
    assert terms.correlation.item() == pytest.approx(0, abs=1e-12)
    assert terms.marginal.item() == pytest.approx(0, abs=1e-12)


def test_sharp_components_are_charged_without_bound():
    """Components sharp to within delta cost (1 - 1/S)^L log(1 / delta) and a constant."""
    values = [charge(64, 16, delta) for delta in (1e-4, 1e-8, 1e-16)]
    missed = (1 - 1 / 64) ** 16
    assert values[1] - values[0] == pytest.approx(missed * 4 * math.log(10), rel=1e-3)
    assert values[2] - values[1] == pytest.approx(missed * 8 * math.log(10), rel=1e-3)
    assert joint_bias(64, 16, 1e-8) > joint_bias(64, 16, 1e-4)


@pytest.mark.parametrize("name", ["charge", "joint_bias"])
def test_wrong_biases_are_rejected(monkeypatch, name):
    right = getattr(latent_batch, name)
    monkeypatch.setattr(latent_batch, name, lambda s, n, d=0.05: right(s, n + 1, d))
    record = Record()
    latent_batch.verify_weights(record)
    assert not record.holds
