"""Estimates of the operations and the memory of a run, compared with real steps and by hand."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from di4c.kept_latent import KeptLatent
from di4c.latents import UniformLatent
from di4c.recipes import Weight
from di4c.rng import SampleGenerators
from di4c.start_term import StartTerm
from full_scale.models import UNetConfig
from full_scale.models.presets import preset
from full_scale.training import cost
from full_scale.training.cost import (
    GIB,
    Estimate,
    activation_bytes,
    free_memory,
    outline,
    require_fits,
)
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.objectives import Distillation, TeacherTraining
from full_scale.training.options import Data
from full_scale.training.recipes import RECIPES
from reporting import ROOT

CHANGES = {
    "start": {"start": StartTerm(atoms=5, teacher_steps=2), "target_atoms": 4},
    "start of data": {
        "start": StartTerm(weight=0.0, data_weight=1.0, latent_factor=3),
        "data_weight": Weight(1.0),
        "consistency_weight": 0.0,
    },
    "kept": {
        "kept": KeptLatent(pool=5, states=4),
        "start": None,
        "data_weight": Weight(0.0),
        "consistency_weight": 0.0,
    },
}


@pytest.mark.parametrize("mixture_teacher", [False, True])
@pytest.mark.parametrize("recipe", ["teacher", "cifar10", "digits", *CHANGES])
def test_estimated_operations_match_those_of_a_real_step(recipe, mixture_teacher, monkeypatch):
    """PyTorch counts the operations of a real loss and its gradients.

    The estimate includes a gradient of the first layer's input, which is never computed. It omits
    the operations of the losses. Both are small.
    """
    for name, change in CHANGES.items():
        monkeypatch.setitem(RECIPES, name, replace(RECIPES["digits"], **change))
    run = replace(
        EXPERIMENTS["digits" if recipe != "teacher" else "digits-teacher"][1],
        recipe=recipe,
        batch_size=2,
        micro_batch=2,
        num_latents=None if recipe == "teacher" else 3,
        data=Data("digits"),
        mixture_teacher=mixture_teacher,
    )
    plan = outline(run)
    network = plan.trained.build().train()
    process = preset(run.preset).process.build()
    if plan.teacher is None:
        objective = TeacherTraining(network=network, config=plan.trained, process=process)
    else:
        objective = Distillation(
            network=network,
            config=plan.trained,
            process=process,
            teacher=plan.teacher.build().eval().requires_grad_(False),
            recipe=run.di4c_recipe,
            latent=UniformLatent(),
            mixture_teacher=mixture_teacher,
        )
    batch = {"x_0": torch.randint(17, (2, 64), generator=torch.Generator().manual_seed(0))}
    with FlopCounterMode(display=False) as counter:
        loss = objective.loss(network, batch, SampleGenerators(0, range(2), "test")).loss
        loss.sum().backward()
    assert plan.operations() == pytest.approx(counter.get_total_flops(), rel=0.03)


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "openwebtext", "openwebtext-round2"])
def test_operations_in_the_help_text_are_the_estimated_ones(name):
    text, run = EXPERIMENTS[name]
    counted = f"{run.steps * outline(run).operations():.1e}".replace("e+", "e")
    assert f"{counted} operations" in " ".join(text.split())


def test_hours_in_the_readme_are_the_estimated_ones():
    run = EXPERIMENTS["cifar10"][1]
    hours = run.steps * outline(run).operations() / 50e12 / 3600
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"{hours:.0f} hours on one GPU that sustains 50 TFLOP/s" in text


def test_activation_bytes_match_a_count_by_hand():
    """The backward pass of Linear, ReLU, Linear needs the input and the output of the ReLU."""
    with torch.device("meta"):
        network = torch.nn.Sequential(torch.nn.Linear(3, 7), torch.nn.ReLU(), torch.nn.Linear(7, 2))
        inputs = torch.zeros(5, 3)
    assert activation_bytes(network, inputs) == 4 * (5 * 3 + 5 * 7)


def test_activations_grow_with_the_micro_batch():
    with torch.device("meta"):
        network = UNetConfig(num_states=17, channels=1, height=8, width=8, base_width=8).build()
        sizes = [
            activation_bytes(network, torch.zeros(n, 64).long(), torch.zeros(n)) for n in (2, 4)
        ]
    assert 1.8 < sizes[1] / sizes[0] <= 2


@pytest.mark.parametrize("version", [1, 2])
def test_memory_that_a_container_uses_is_not_free(tmp_path, monkeypatch, version):
    """The cache of files that were read counts as free. `version` is the version of cgroup."""
    monkeypatch.setattr(cost, "_CGROUP", tmp_path)
    folder = tmp_path / "memory" if version == 1 else tmp_path
    folder.mkdir(exist_ok=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit, use, inactive = names if version == 1 else ("memory.max", "memory.current", names[2][6:])
    unlimited = free_memory(torch.device("cpu"))
    if unlimited is None:
        pytest.skip("the system does not report its free memory")
    mib = 2**20
    (folder / use).write_text(f"{5 * mib}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{inactive} {mib}\n")
    for text, expected in ((f"{8 * mib}\n", 4 * mib), (f"{3 * mib}\n", 0)):
        (folder / limit).write_text(text)
        assert free_memory(torch.device("cpu")) == expected
    (folder / limit).write_text("max\n" if version == 2 else f"{2**63 - 4096}\n")
    assert free_memory(torch.device("cpu")) > 8 * mib


def test_a_run_that_exceeds_the_free_memory_is_refused():
    estimate = Estimate(weights=2.0 * GIB, teacher=1.0 * GIB, activations=0.5 * GIB)
    assert estimate.total == 3.5 * GIB
    require_fits(estimate, 4 * GIB)
    require_fits(estimate, None)
    with pytest.raises(ValueError, match=r"about 3.50 GiB a device: student 2.00 .*; 3.00 GiB are"):
        require_fits(estimate, 3 * GIB)
