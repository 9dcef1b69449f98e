"""Models of the miniatures, opened with checks; teachers are put into the repository."""

import shutil
from pathlib import Path
from typing import Any

import torch

from di4c.rng import fold_seed
from full_scale.data import open_data
from full_scale.miniatures import open_miniature
from full_scale.miniatures.base import Miniature
from full_scale.models.base import DenoiserConfig
from full_scale.models.hashes import check_shipped
from full_scale.models.load import Loaded, load_model
from full_scale.training.miniatures import TEACHERS
from full_scale.training.objectives import TeacherTraining
from reporting import manifest, write_json

_BATCH = 1000  # examples that go through the network at once


def shipped_teacher(name: str) -> Path:
    """Where the repository has the teacher of a miniature."""
    return TEACHERS / f"{name}.safetensors"


def open_teacher(name: str, source: str | None = None) -> Loaded:
    """The teacher of a miniature, after checks against the data.

    Args:
        name: name of the miniature.
        source: file or folder of a run; None for the teacher of the repository, whose hash is
            recorded beside it.

    Raises:
        ValueError: If it is missing, damaged, or was trained on other data.
    """
    path = shipped_teacher(name) if source is None else Path(source)
    remedy = (
        f"make it with: python -m full_scale.train {name}-teacher && python -m "
        f"full_scale.miniature {name} --teacher runs/{name}-teacher --ship"
    )
    if source is None:
        check_shipped(path, "teacher", remedy)
    try:
        teacher = load_model(path, like=name, student=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"teacher {path} cannot be read ({error}); {remedy}") from None
    own, other = open_data(name).sha256, teacher.manifest.get("data_sha256")
    if own != other:
        raise ValueError(
            f"teacher {path} was trained on data with SHA-256 {other} and the installed data "
            f"{name} have {own}: install the version of the package that it belongs to, or {remedy}"
        )
    return teacher


def open_student(source: str) -> tuple[Miniature, Loaded]:
    """A student and its miniature.

    Args:
        source: file of the student, or folder of its run.

    Raises:
        ValueError: If it is a teacher.
    """
    student = load_model(source)
    if student.latent is None:
        raise ValueError(f"RUN must be a student; {source} is a teacher")
    return open_miniature(student.manifest.get("run", {}).get("preset", source)), student


def validation_loss(name: str, teacher: Loaded, seed: int = 0, rounds: int = 4) -> float:
    """Mean cross-entropy of the validation examples, in nats an example.

    Args:
        name: name of the miniature.
        teacher: its teacher.
        seed: seed of the times and of the noise.
        rounds: number of times that each example is noised.
    """
    data = open_data(name, validation=True)
    items = [data[i] for i in range(len(data))] * rounds
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    generator = torch.Generator().manual_seed(fold_seed(seed, 0, "validation"))
    network, config = teacher.network, teacher.config
    assert isinstance(config, DenoiserConfig)
    training = TeacherTraining(network=teacher.backbone, config=config, process=network.process)
    losses = []
    with torch.no_grad():
        for place in torch.arange(len(items)).split(_BATCH):
            part = {key: value[place] for key, value in batch.items()}
            losses.append(training.loss(teacher.backbone, part, generator).loss)
    return float(torch.cat(losses).mean())


def ship(miniature: Miniature, source: str, rows: list[dict[str, Any]], seed: int) -> Path:
    """Copy a teacher into the repository, with a manifest beside it.

    Args:
        miniature: its miniature.
        source: file of the teacher, or folder of its run.
        rows: rows of real data and of the teacher.
        seed: seed of the rows.
    """
    teacher, path = open_teacher(miniature.name, source), Path(source)
    target = shipped_teacher(miniature.name)
    measuring = manifest(seed)  # before the new file makes the clone differ from its commit
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(path / "model.safetensors" if path.is_dir() else path, target)
    kept = ("recipe", "nfe", "part", "samples", *miniature.metrics)
    description = {
        "sha256": teacher.sha256,
        "data_sha256": teacher.manifest.get("data_sha256"),
        "validation_loss": validation_loss(miniature.name, teacher),
        "metrics": [{key: row[key] for key in kept} for row in rows],
        "training": teacher.manifest,
        "measuring": measuring,
    }
    write_json(target.with_suffix(".json"), description)
    return target
