"""Opens and builds what a run needs, and checks that the parts fit each other."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from di4c.rng import fold_seed
from full_scale.data import TokenData, open_data
from full_scale.data.generated import WithStartAtoms, blank, generate
from full_scale.data.share import Share
from full_scale.models.base import DenoiserConfig
from full_scale.models.load import load_model
from full_scale.models.network import latent_parameters, start_student
from full_scale.models.presets import Preset, preset
from full_scale.training.config import Run
from full_scale.training.cost import outline
from full_scale.training.objectives import Distillation, TeacherTraining, TrainingObjective


@dataclass(frozen=True)
class Assembly:
    """The parts that `Trainer` works with.

    Attributes:
        objective: network and loss.
        data: training data.
        preset: networks and noise.
        identity: everything that the result depends on. A resumed run must have the same identity.
    """

    objective: TrainingObjective
    data: TokenData
    preset: Preset
    identity: dict[str, Any]


def assemble(run: Run) -> Assembly:
    """Open and build everything that a run needs, on the CPU.

    Raises:
        ValueError: If preset, data, teacher or student are missing or do not fit each other.
    """
    config, chosen = outline(run).trained, preset(run.preset)
    assert chosen.process is not None  # outline refuses others
    data = open_data(run.data.name, run.data.folder, "train")
    if run.data.share != 1:
        data = Share(data, run.data.share)
    _check_data(run, chosen, config, data)
    identity = run.identity()
    if data.sha256 is not None:
        identity["data_sha256"] = data.sha256
    common: dict[str, Any] = {
        "process": chosen.process.build(),
        "label_dropout": run.label_dropout,
    }
    if run.recipe == "teacher":
        network = _build(config, run.seed)
        training = TeacherTraining(network=network, config=config, **common)
        return Assembly(training, data, chosen, identity)
    if run.teacher is None:
        raise ValueError(
            f"teacher is missing: give --teacher FILE, a model of {chosen.title} that "
            "python -m full_scale.convert or python -m full_scale.train has written"
        )
    teacher = load_model(run.teacher, like=run.preset, student=run.mixture_teacher)
    identity["teacher_sha256"] = teacher.sha256
    if run.data.generated:
        count, calls = run.data.generated, run.data.generated_calls
        if run.dry_run:
            data = blank(teacher, data, count)
        else:
            data = generate(teacher, data, count, calls, run.out.parent)
        _check_size(run, data)
    recipe = run.di4c_recipe
    if recipe.data_atoms:
        data = WithStartAtoms(data, recipe.data_atoms)
    start = teacher
    if run.student is not None:
        start = load_model(run.student, like=run.preset)
        identity["student_sha256"] = start.sha256
    student = _build(config, run.seed)
    start_student(student, start.backbone.state_dict())
    if run.latent_gain is not None:
        _separate_components(student, config, run.latent_gain, run.seed)
    distillation = Distillation(
        network=student,
        config=config,
        teacher=teacher.backbone,
        recipe=recipe,
        latent=chosen.latent,
        mixture_teacher=run.mixture_teacher,
        sharded=run.strategy == "fsdp",
        reference_steps=run.reference_steps,
        **common,
    )
    return Assembly(distillation, data, chosen, identity)


def _check_data(run: Run, chosen: Preset, config: DenoiserConfig, data: TokenData) -> None:
    assert chosen.process is not None
    values = chosen.process.build().num_values
    if data.num_values != values:
        raise ValueError(
            f"data {run.data.name} has {data.num_values} values per token and preset {run.preset} "
            f"has {values}, so their vocabularies differ: choose the data set that belongs to the "
            "preset"
        )
    if data.num_dims != config.num_dims:
        raise ValueError(
            f"data {run.data.name} has {data.num_dims} tokens per item and preset {run.preset} "
            f"has {config.num_dims}: choose the data set that belongs to the preset"
        )
    _check_size(run, data)
    if config.num_classes is None:
        return
    if data.num_classes is None:
        raise ValueError(
            f"data {run.data.name} has no labels and preset {run.preset} needs them: choose the "
            "data set that belongs to the preset"
        )
    if data.num_classes != config.num_classes:
        raise ValueError(
            f"data {run.data.name} has {data.num_classes} classes and preset {run.preset} has "
            f"{config.num_classes}, so labels would mean other classes: prepare the data from "
            "one folder for each class of the preset, or with --class-map FILE from some of them"
        )


def _check_size(run: Run, data: TokenData) -> None:
    if len(data) < run.batch_size:
        raise ValueError(
            f"data {run.data.name} has {len(data)} training items and a batch has "
            f"{run.batch_size}: use a smaller --batch-size or more data"
        )


def _build(config: DenoiserConfig, seed: int) -> nn.Module:
    """Build a network whose random weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(seed, 0, "weights"))
        return config.build()


def _separate_components(
    student: nn.Module, config: DenoiserConfig, gain: float, seed: int
) -> None:
    """Give zero matrices of the latent random values, so that components differ from the start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(seed, 1, "weights"))
        parameters = dict(student.named_parameters())
        for name in sorted(latent_parameters(config) & parameters.keys()):
            if parameters[name].ndim == 2 and not bool(parameters[name].any()):
                nn.init.xavier_uniform_(parameters[name], gain=gain)
