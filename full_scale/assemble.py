"""From a run's configuration to the objects it needs; what does not fit is found here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from di4c.recipes import SeparateDistillation
from di4c.rng import fold_seed
from full_scale.backbones import DenoiserConfig, MaskGITConfig
from full_scale.data import TokenData, open_data
from full_scale.experiments import Run
from full_scale.memory import Estimate, activation_bytes, num_parameters
from full_scale.model_file import Model, read_model
from full_scale.networks import start_student
from full_scale.presets import Preset, preset, to_json
from full_scale.problems import Distillation, Problem, TeacherTraining

_BYTES_A_WEIGHT = 20  # weight, gradient, two moments, average: float32


@dataclass(frozen=True)
class Assembly:
    """What `Trainer` takes.

    Attributes:
        problem: what is trained.
        data: on what.
        preset: networks and noise.
        identity: what a resumed run must agree in.
    """

    problem: Problem
    data: TokenData
    preset: Preset
    identity: dict[str, Any]

    def parameters(self) -> dict[str, int]:
        """Parameter counts."""
        counts = {"trained": num_parameters(self.problem.network)}
        if isinstance(self.problem, Distillation):
            counts["teacher"] = num_parameters(self.problem.teacher)
        return counts

    def estimate(self, run: Run, num_processes: int) -> Estimate:
        """The memory that one of so many processes will take."""
        problem, config = self.problem, self.problem.config
        distils = isinstance(problem, Distillation)
        rows = run.micro_batch * (run.recipe.num_latents if distils else 1)
        with torch.device("meta"):
            network = config.build().train()
            x_t = torch.zeros(rows, self.data.num_dims, dtype=torch.long)
            numbers = torch.zeros(rows, dtype=torch.float64)
            second = numbers.long() if isinstance(config, MaskGITConfig) else numbers
            latents = numbers.float() if config.latent else None
            activations = activation_bytes(network, x_t, second, latents)
        if distils and isinstance(run.recipe.distillation, SeparateDistillation):
            activations *= 2  # a second pass of the student
        if run.precision == "bf16":
            activations /= 2
        teacher = num_parameters(problem.teacher) if distils else 0
        shards = num_processes if run.strategy == "fsdp" else 1
        weights = _BYTES_A_WEIGHT * num_parameters(problem.network) / shards
        return Estimate(weights, 4 * teacher, activations)


def assemble(run: Run) -> Assembly:
    """Everything that a run needs, on the CPU.

    Raises:
        ValueError: If preset, data, teacher or student are missing or do not fit each other.
    """
    chosen = preset(run.preset)
    if chosen.process is None or not isinstance(chosen.network, DenoiserConfig):
        raise ValueError(f"preset is {run.preset}, {chosen.title}, which cannot be trained here")
    data = open_data(run.data.name, run.data.folder, "train")
    _check_data(run, chosen, data)
    identity = run.identity()
    common: dict[str, Any] = {
        "process": chosen.process.build(),
        "label_dropout": run.label_dropout,
    }
    if run.method == "teacher":
        network = _build(chosen.network, run.seed)
        problem: Problem = TeacherTraining(network=network, config=chosen.network, **common)
        return Assembly(problem, data, chosen, identity)
    if run.teacher is None:
        raise ValueError(
            f"teacher is missing: --teacher FILE, a checkpoint of {chosen.title} from "
            "python -m full_scale.convert or python -m full_scale.train"
        )
    wanted = chosen.student() if run.mixture_teacher else chosen.network
    teacher = _read(run.teacher, "teacher", wanted, chosen)
    identity["teacher_sha256"] = teacher.sha256
    start = teacher
    if run.student is not None:
        start = read_model(run.student)
        identity["student_sha256"] = start.sha256
    student = _build(chosen.student(), run.seed)
    start_student(student, start.state)
    problem = Distillation(
        network=student,
        config=chosen.student(),
        teacher=_load(wanted.build(), teacher.state),
        recipe=run.recipe,
        latent=chosen.latent,
        mixture_teacher=run.mixture_teacher,
        **common,
    )
    return Assembly(problem, data, chosen, identity)


def _check_data(run: Run, chosen: Preset, data: TokenData) -> None:
    assert chosen.process is not None
    values = chosen.process.build().num_values
    if data.num_values != values:
        raise ValueError(
            f"data {run.data.name} has {data.num_values} values a token and preset {run.preset} "
            f"has {values}: another vocabulary; choose the data set that belongs to the preset"
        )
    num_dims = getattr(chosen.network, "num_dims", data.num_dims)
    if data.num_dims != num_dims:
        raise ValueError(
            f"data {run.data.name} has {data.num_dims} tokens an item and preset {run.preset} has "
            f"{num_dims}: choose the data set that belongs to the preset"
        )
    if isinstance(chosen.network, MaskGITConfig) and "label" not in data[0]:
        raise ValueError(f"data {run.data.name} has no labels, which preset {run.preset} needs")


def _read(path: Path, role: str, wanted: DenoiserConfig, chosen: Preset) -> Model:
    """A model whose network and process are those wanted."""
    model = read_model(path)
    assert chosen.process is not None
    for found, expected in ((model.network, wanted), (model.process, chosen.process)):
        given, right = to_json(found) if found else {}, to_json(expected)
        differing = [
            f"{key} {given.get(key)} instead of {right[key]}"
            for key in right
            if given.get(key) != right[key] and key not in ("dropout", "floor", "epsilon")
        ]
        if differing:
            raise ValueError(
                f"{role} {path} does not fit {chosen.title}: {', '.join(differing[:4])}; give the "
                "checkpoint that belongs to the recipe"
            )
    return model


def _build(config: DenoiserConfig, seed: int) -> nn.Module:
    """A network whose random weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(seed, 0, "weights"))
        return config.build()


def _load(network: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    network.load_state_dict(state)
    return network
