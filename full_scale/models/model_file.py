"""A model in one file: weights as safetensors, and in its metadata what network and noise it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from full_scale.models import BackboneConfig
from full_scale.models.presets import ProcessConfig, from_json, to_json
from full_scale.models.tensor_file import file_sha256, read_tensors, write_tensors


@dataclass(frozen=True)
class Model:
    """What a model file holds.

    Attributes:
        network: sizes of the network.
        process: the noise that it was made for; None for a tokenizer.
        state: state dict of the network.
        sha256: of the file.
        manifest: where it comes from.
    """

    network: BackboneConfig
    process: ProcessConfig | None
    state: dict[str, Tensor]
    sha256: str
    manifest: dict[str, Any]


def write_model(
    path: Path | str,
    network: BackboneConfig,
    process: ProcessConfig | None,
    state: dict[str, Tensor],
    manifest: dict[str, Any],
) -> None:
    """Write a model file, whole or not at all."""
    description = {
        "format": FORMAT,
        "network": to_json(network),
        "process": None if process is None else to_json(process),
        "manifest": manifest,
    }
    write_tensors(path, state, description)


def read_model(path: Path | str) -> Model:
    """Read a model file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a model file.
    """
    state, description = read_tensors(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a converted model; convert it first: python -m full_scale.convert"
        )
    process = description["process"]
    return Model(
        network=from_json(description["network"]),  # type: ignore[arg-type]
        process=None if process is None else from_json(process),  # type: ignore[arg-type]
        state=state,
        sha256=file_sha256(path),
        manifest=description["manifest"],
    )


FORMAT = "di4c model 1"
