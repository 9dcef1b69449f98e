"""Checkpoints of a training run: one file each, either complete or absent, checked on loading.

    step_00001000.pt           step, state, config and manifest, written by `torch.save`
    step_00001000.pt.sha256    SHA-256 of that file, in the format of `sha256sum --check`

A checkpoint is written under a temporary name, flushed to the disk and renamed. A process that is
killed at any moment therefore leaves the earlier checkpoints as they were. Loading a checkpoint
executes nothing that is in the file. Only one process may write to a folder at a time.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypedDict

import torch

from full_scale.models.hashes import SUFFIX as HASH
from full_scale.models.hashes import check_sha256, hash_file, write_hashed
from reporting.inputs import parsing, require_file
from reporting.typed import Within, typed

_PREFIX, _SUFFIX = "step_", ".pt"
_AGAIN = "copy the checkpoint again, or remove it to go on from an earlier one"


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` returns.

    Attributes:
        path: file of the checkpoint.
        step: optimiser steps taken.
        state: the parts, exactly as they were saved.
        sha256: SHA-256 of the file.
        config: configuration of the run, in JSON's types.
        manifest: where the checkpoint comes from, in JSON's types.
    """

    path: Path
    sha256: str
    step: int
    state: dict[str, Any]
    config: dict[str, Any]
    manifest: dict[str, Any]


class _Content(TypedDict):
    """What the file of a checkpoint holds."""

    step: Annotated[int, Within(0)]
    state: dict[str, Any]
    config: dict[str, Any]
    manifest: dict[str, Any]


def save_checkpoint(
    folder: Path | str,
    step: int,
    state: Mapping[str, Any],
    config: Mapping[str, Any],
    manifest: Mapping[str, Any] | None = None,
    keep: int | None = None,
    milestones: Collection[int] = (),
) -> Path:
    """Save the state of a run after some optimiser step.

    Args:
        folder: folder of the checkpoints; created.
        step: optimiser steps taken, at least 0.
        state: parts by name, for example `model`, `ema`, `optimizer`. Each is a nested state of
            dictionaries, lists, tuples, tensors, numbers and strings, as every `state_dict()` is.
        config: configuration of the run; JSON values.
        manifest: where the checkpoint comes from, see `reporting.manifest`; JSON values.
        keep: number of newest checkpoints that stay; None keeps all.
        milestones: steps whose checkpoints stay in any case, and do not count.

    Returns:
        File of the checkpoint.

    Raises:
        ValueError: If the step is negative, `keep` is below 1, the state holds other objects than
            those above, or there is a checkpoint of this step, which is never overwritten.
    """
    if step < 0:
        raise ValueError(f"step must be at least 0; got {step}")
    if keep is not None and keep < 1:
        raise ValueError(f"keep must be at least 1, or None to keep all; got {keep}")
    folder = Path(folder)
    path = folder / f"{_PREFIX}{step:08d}{_SUFFIX}"
    if path.exists():
        raise ValueError(f"{path} exists already; use a new folder for a new run")
    _clear_leftovers(folder)
    content = {
        "step": step,
        "state": dict(state),
        "config": json.loads(json.dumps(dict(config))),
        "manifest": json.loads(json.dumps(dict(manifest or {}))),
    }
    write_hashed(path, partial(_write, content))
    others = [old for old in checkpoints(folder) if step_of(old) not in milestones]
    for old in others[: -keep if keep else 0]:
        old.unlink()  # without this file its hash counts as a leftover
        hash_file(old).unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> Checkpoint:
    """Check every byte of a checkpoint against the saved hash, and load it.

    Args:
        path: file of the checkpoint, see `latest_checkpoint`.
        device: where the tensors go.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the file differs from what was saved, its hash is missing, or it holds
            anything but the state of a run. The message names the file.
    """
    path = require_file(path)
    found, remedy = check_sha256(path, _AGAIN), "give one that python -m full_scale.train wrote"
    with parsing(path, "the checkpoint of a training run", remedy):
        content = torch.load(path, map_location=device, weights_only=True)
        checkpoint = Checkpoint(path, found, **typed(_Content, content))
    if checkpoint.step != step_of(path):
        raise ValueError(f"{path} is of step {checkpoint.step}, so its name is wrong; {_AGAIN}")
    return checkpoint


def latest_checkpoint(folder: Path | str) -> Path | None:
    """File of the newest checkpoint in a folder; None if there is none yet."""
    found = checkpoints(Path(folder))
    return found[-1] if found else None


def weights_of(state: Mapping[str, Any], weights: str) -> dict[str, torch.Tensor]:
    """The weights of a training's state: "raw" as trained, or "averaged" over the steps."""
    return dict(state["weights"]) | (state["ema"] if weights == "averaged" else {})


def step_of(path: Path) -> int | None:
    """Number of steps in the name of a checkpoint, with or without its suffix; else None."""
    name = path.name.removesuffix(_SUFFIX)
    number = name.removeprefix(_PREFIX)
    return int(number) if name != number and number.isascii() and number.isdigit() else None


def checkpoints(folder: Path) -> list[Path]:
    """Files of the checkpoints in a folder, oldest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*{_SUFFIX}") if step_of(path) is not None]
    return sorted(found, key=lambda path: step_of(path) or 0)


def _write(content: dict[str, Any], file: BinaryIO) -> None:
    torch.save(content, file)
    file.flush()
    if unsafe := torch.serialization.get_unsafe_globals_in_checkpoint(file.name):
        raise ValueError(
            f"the state holds {', '.join(unsafe)}; it may hold tensors, strings, numbers, booleans "
            "and None, in dictionaries, lists and tuples"
        )


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed writer left: temporary files, and hashes without their checkpoint."""
    for path in folder.glob(f".{_PREFIX}*{_SUFFIX}*.tmp"):
        path.unlink()
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}{HASH}"):
        if not path.with_name(path.name.removesuffix(HASH)).exists():
            path.unlink()
