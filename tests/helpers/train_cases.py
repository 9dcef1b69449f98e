"""Runs for the tests of training: real experiments with tiny networks, on digits or tokens."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from full_scale import train as program
from full_scale.data.packed import Description, Rows, pack
from full_scale.models import presets
from full_scale.models.model_file import write_model
from full_scale.training.assemble import assemble
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.objectives import Distillation, TeacherTraining
from full_scale.training.options import Data, Reports
from full_scale.training.trainer import Trainer
from tests.helpers.forks import as_program
from tests.helpers.tiny_models import DIT, MASKGIT, PROCESSES

ROOT = Path(__file__).parents[2]
TINY = replace(
    presets.PRESETS["digits"],
    network=replace(
        presets.PRESETS["digits"].network, base_width=8, time_features=8, multipliers=(1, 2)
    ),
)
EXACT = replace(TINY, network=replace(TINY.network, dropout=0.0))
"""Without dropout. The masks of dropout would make the result depend on the micro-batches."""

_SIZES = {"hidden_size": 16, "num_heads": 2, "num_blocks": 1, "dropout": 0.0}
"""Such networks have gradients well above the rounding errors of bfloat16."""
TEXT = presets.Preset("tiny text", replace(DIT, **_SIZES, condition_size=8), PROCESSES[DIT])
CODES = presets.Preset("tiny codes", replace(MASKGIT, **_SIZES, mlp_size=16), PROCESSES[MASKGIT])

CASES = {"tiny": TINY, "tiny-exact": EXACT, "tiny-text": TEXT, "tiny-codes": CODES}


KINDS = ("tiny-exact", "tiny-text", "tiny-codes")
"""The presets without dropout, one for each kind of network."""
_EXPERIMENT = {"tiny-text": "openwebtext", "tiny-codes": "imagenet"}


def register() -> None:
    """Add the tiny networks to the presets."""
    presets.PRESETS.update(CASES)


def write_teacher(path, preset=TINY, seed=0, network=None):
    """Write a teacher whose weights are all random. Return its path."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = (network or preset.network).build()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    write_model(path, network.config, preset.process, network.state_dict(), {})
    return path


def student_run(folder, **changes):
    """A short Di4C run with dropout, clipping, averaging and a warm-up.

    Its learning rate is constant, so that a resumed run may have more steps.
    """
    own = EXPERIMENTS["digits"][1]
    run = replace(
        own,
        recipe="cifar10",
        data=Data("digits"),
        optimizer=replace(own.optimizer, schedule="constant"),
        dropout=None,
        out=folder / "run",
        preset="tiny",
        teacher=str(folder / "teacher.safetensors"),
        num_latents=3,
        steps=6,
        batch_size=4,
        micro_batch=2,
        check_memory=False,  # the estimate takes longer than a step
        reports=Reports(log_every=4, save_every=2, keep=10, sample_every=0),
    )
    return replace(run, **changes)


def short_run(folder, preset, **changes):
    """A `student_run` with a preset of `KINDS`, on digits or on tokens of `write_tokens`."""
    if preset in _EXPERIMENT:
        name = _EXPERIMENT[preset]
        tokens = Data(name, folder / "tokens")
        changes = {"recipe": EXPERIMENTS[name][1].recipe, "data": tokens} | changes
    reports = Reports(log_every=3, save_every=2, sample_every=2, num_samples=2, sample_steps=2)
    changes = {"reports": reports, "steps": 3} | changes
    return student_run(folder, preset=preset, **changes)


def write_tokens(folder, preset, seed=0, **changes):
    """Write random tokens, with random labels if the network takes classes."""
    network = replace(preset.network, **changes)
    classes = getattr(network, "num_classes", None)
    values = preset.process.num_values
    rng = np.random.default_rng(seed)
    x_0 = rng.integers(0, values, (20, network.num_dims))
    label = None if classes is None else rng.integers(0, classes, 20)
    description = Description(network.num_dims, values, classes, {"made": "for a test"})
    pack(folder / "tokens" / "train", description, lambda _: iter([Rows(x_0, label, 0)]))


def objective_class(run):
    """The class of the run's training objective."""
    return TeacherTraining if run.recipe == "teacher" else Distillation


def trainer(run, dtype=torch.float32, precision="no"):
    """A trainer for this process, on the CPU."""
    AcceleratorState._reset_state()  # accelerate keeps the first precision of a process
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    parts = assemble(run)
    parts.objective.network.to(dtype)
    if hasattr(parts.objective, "teacher"):
        parts.objective.teacher.to(dtype)
    return Trainer(run, parts, accelerator, progress=False)


def train_as_program(run, errors, own_group=False):
    """Do what `python -m full_scale.train` does with a run, and end this process.

    Args:
        run: replaces the command line.
        errors: file that takes the standard error.
        own_group: whether to start a process group, so that signals to it spare the caller.
    """
    if own_group:
        os.setsid()
    torch.set_num_threads(1)
    register()
    program.parse = lambda argv: run
    as_program(program.main, [], errors)
