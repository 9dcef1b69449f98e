"""Checkpoints of a training run: safetensors and JSON, whole or absent, checked when loaded.

A run's folder holds one folder per checkpoint:

    step_00001000/model.safetensors      one file per part of the state
    step_00001000/optimizer.safetensors
    step_00001000/checkpoint.json        step, config, manifest, SHA-256 of each file

A checkpoint is written under a temporary name, flushed to the disk and renamed, so a process that
is killed at any moment leaves the earlier ones as they were. One writer at a time.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from full_scale.models.tensor_file import file_sha256, read_tensors, write_tensors
from full_scale.nested import flatten, unflatten
from reporting import write_json
from reporting.files import flush

_RECORD = "checkpoint.json"
_PREFIX = "step_"
_TEMPORARY = ".tmp_"  # checkpoints being written or removed


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` returns."""

    path: Path
    """Folder of the checkpoint."""
    step: int
    """Optimiser steps taken."""
    state: dict[str, Any]
    """The parts as they were saved, tensors bit by bit."""
    config: dict[str, Any]
    """As saved, in JSON's types."""
    manifest: dict[str, Any]
    """As saved, in JSON's types."""


def save_checkpoint(
    folder: Path | str,
    step: int,
    state: Mapping[str, Any],
    config: Mapping[str, Any],
    manifest: Mapping[str, Any] | None = None,
    keep: int | None = None,
) -> Path:
    """Save the state of a run after some optimiser step.

    Args:
        folder: Folder of the run; created.
        step: Optimiser steps taken, at least 0.
        state: Parts by name, for example `model`, `ema`, `optimizer`; each a nested state as
            `full_scale.nested.flatten` takes it (every `state_dict()` is one) and a file of its
            own.
        config: What the run is; JSON values.
        manifest: Where it comes from, see `reporting.manifest`; JSON values.
        keep: Number of newest checkpoints that stay; None keeps all.

    Returns:
        Folder of the checkpoint. Saving the same state at the same step again changes nothing.

    Raises:
        ValueError: If the step is negative, `keep` is below 1, a name is no file name, the state
            cannot be stored, or another state was saved at this step.
    """
    if step < 0:
        raise ValueError(f"step must be at least 0; got {step}")
    if keep is not None and keep < 1:
        raise ValueError(f"keep must be at least 1, or None to keep all; got {keep}")
    for name in state:
        if not name.isidentifier():
            raise ValueError(f"state has a part {name!r}; use letters, digits and underscores")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(folder)
    path = folder / f"{_PREFIX}{step:08d}"
    temporary = folder / f"{_TEMPORARY}{path.name}"
    temporary.mkdir()
    try:
        record = _write_parts(temporary, state)
        record |= {"step": step, "config": dict(config), "manifest": dict(manifest or {})}
        write_json(temporary / _RECORD, record | {"sha256": _record_sha256(record)})
        flush(temporary)
        if path.exists():
            _check_same_files(path, record["files"])
        else:
            temporary.rename(path)
            flush(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _prune(folder, keep)
    return path


def load_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> Checkpoint:
    """Load one checkpoint; every byte is checked against the hashes that were saved.

    Args:
        path: Folder of the checkpoint, see `latest_checkpoint`.
        device: Where the tensors go.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a file is missing or differs from what was saved; names it.
    """
    path = Path(path)
    record = _read_record(path)
    state = {}
    for name, recorded in record["files"].items():
        file = path / name
        if not file.is_file():
            raise ValueError(f"{file} is missing; copy the checkpoint again or use an earlier one")
        found = _fingerprint(file)
        if found != recorded:
            differences = [
                f"{key} is {found[key]} instead of {recorded[key]}"
                for key in recorded
                if found[key] != recorded[key]
            ]
            raise ValueError(
                f"{file} is not what was saved: {', '.join(differences)}; "
                "copy the checkpoint again or use an earlier one"
            )
        tensors, structure = read_tensors(file, device)
        state[file.stem] = unflatten(tensors, structure)
    return Checkpoint(path, record["step"], state, record["config"], record["manifest"])


def latest_checkpoint(folder: Path | str) -> Path | None:
    """Folder of the newest checkpoint of a run; None if there is none yet."""
    checkpoints = _checkpoints(Path(folder))
    return checkpoints[-1] if checkpoints else None


def _write_parts(folder: Path, state: Mapping[str, Any]) -> dict[str, Any]:
    files = {}
    for name, part in state.items():
        file = folder / f"{name}.safetensors"
        write_tensors(file, *flatten(part))
        files[file.name] = _fingerprint(file)
    return {"files": files}


def _fingerprint(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": file_sha256(file)}


def _record_sha256(record: dict[str, Any]) -> str:
    """Hash of everything in checkpoint.json but the hash itself."""
    text = json.dumps({k: v for k, v in record.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_record(path: Path) -> dict[str, Any]:
    file = path / _RECORD
    if not file.is_file():
        raise FileNotFoundError(f"no checkpoint in {path}: it has no {_RECORD}; check the path")
    try:
        record = json.loads(file.read_bytes())
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("sha256") != _record_sha256(record):
        raise ValueError(
            f"{file} is not what was saved; copy the checkpoint again or use an earlier one"
        )
    return record


def _check_same_files(path: Path, files: dict[str, Any]) -> None:
    recorded = _read_record(path)["files"]
    differing = [n for n in files.keys() | recorded if files.get(n) != recorded.get(n)]
    if differing:
        raise ValueError(
            f"{path} was saved with other values of {', '.join(sorted(differing))}; "
            "use a new folder for a new run"
        )


def _checkpoints(folder: Path) -> list[Path]:
    """Folders of the checkpoints, oldest first; renamed into place, so each is complete."""
    found = [p for p in folder.glob(f"{_PREFIX}*") if p.name.removeprefix(_PREFIX).isdigit()]
    return sorted(found, key=lambda p: int(p.name.removeprefix(_PREFIX)))


def _prune(folder: Path, keep: int | None) -> None:
    """Remove the oldest; renamed first, so that what is half removed is no checkpoint any more."""
    for path in _checkpoints(folder)[: -keep if keep else 0]:
        doomed = path.rename(folder / f"{_TEMPORARY}{path.name}")
        shutil.rmtree(doomed)


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed writer left under temporary names."""
    for path in folder.glob(f"{_TEMPORARY}{_PREFIX}*"):
        shutil.rmtree(path)
