"""Weights by their source: a model file, a finished training run, or a checkpoint of any run.

    student.safetensors                            a model file
    runs/cifar10                                   model.safetensors of a finished run
    runs/cifar10/checkpoints/step_00005000         a checkpoint, also while the run goes on
    hf://owner/name@revision/file                  a model file on the Hugging Face hub

A checkpoint has the raw weights, as they are trained, and their moving average. A model file has
one of the two, and its manifest says which.
"""

from pathlib import Path
from typing import Any

from full_scale.models.model_file import Model, TrainedRun, Weights, read_model
from full_scale.models.presets import preset
from full_scale.models.sources import locate
from full_scale.training.checkpoint import (
    checkpoints,
    latest_checkpoint,
    load_checkpoint,
    step_of,
    weights_of,
)
from reporting.typed import typed

CHECKPOINTS, MODEL = "checkpoints", "model.safetensors"


def open_weights(source: Path | str, weights: Weights | None = None) -> tuple[Model, str]:
    """The model of a source, and a name of the source for records.

    Args:
        source: see the module.
        weights: which weights are wanted; None for those that the run's configuration names, or
            that a model file has.

    Raises:
        FileNotFoundError: If there is no such file, or the run is not finished.
        ValueError: If it is not a model file, or lacks the wanted weights.
    """
    path = Path(str(source)).expanduser()
    if checkpoint := checkpoint_at(path):
        return _of_checkpoint(checkpoint, weights)
    if path.is_dir():
        source = path / MODEL
        if not source.is_file():
            newest = latest_checkpoint(path / CHECKPOINTS)
            go_on = "" if newest is None else f": give its newest checkpoint, {newest}"
            raise FileNotFoundError(f"no {MODEL} in {path}; is the training finished?{go_on}")
    located = locate(source)
    model = read_model(located.path)
    held = weights_in(model.manifest)
    if weights is None or weights == held:
        return model, located.origin
    step = model.manifest.get("step")
    same = [p for p in checkpoints(path / CHECKPOINTS) if step_of(p) == step]
    if same:
        return _of_checkpoint(same[0], weights)
    raise ValueError(
        f"weights is {weights}, and {source} has {held or 'unnamed'} weights alone: leave weights "
        "out, or give a checkpoint of the run, which has both"
    )


def checkpoint_at(path: Path) -> Path | None:
    """The file of a checkpoint, whose suffix may be left out; None if the path is none."""
    if step_of(path) is None or path.is_dir():
        return None
    return path if path.suffix == ".pt" else path.with_name(f"{path.name}.pt")


def checkpoints_of(run: Path) -> list[Path]:
    """All checkpoints of a run that are kept, oldest first.

    Raises:
        ValueError: If there are none.
    """
    found = checkpoints(run / CHECKPOINTS)
    if not found:
        raise ValueError(f"{run} has no checkpoints; give the folder of a training run")
    return found


def weights_in(manifest: dict[str, Any]) -> Weights | None:
    """Which weights a model file has, as training or conversion recorded it; None if unknown."""
    return manifest.get("weights") or manifest.get("source", {}).get("weights")


def _of_checkpoint(path: Path, weights: Weights | None) -> tuple[Model, str]:
    found = load_checkpoint(path)
    given = found.config.get("run")
    if isinstance(given, dict) and "model" in given:
        raise ValueError(f"{path} is the checkpoint of a model of your own; give the run's folder")
    try:
        run: TrainedRun = typed(TrainedRun, given, "run")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; give another checkpoint") from None
    chosen = preset(run["preset"])
    chosen_weights = weights or run.get("weights", "averaged")
    about = {"run": run, "step": found.step, "weights": chosen_weights, "checkpoint": True}
    model = Model(
        network=chosen.network if run["recipe"] == "teacher" else chosen.student(),
        process=chosen.process,
        state=weights_of(found.state, chosen_weights),
        sha256=found.sha256,
        manifest=found.manifest | about,
    )
    return model, f"{path.resolve().parents[1].name}/{path.stem}"
