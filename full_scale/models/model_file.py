"""A model in one file: weights as safetensors, and its network and noise in the metadata.

`check_fit` checks that weights fit a network: no name is missing or left over, all shapes agree.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import torch
from torch import Tensor

from di4c.latents import Redraw
from full_scale.models.base import BackboneConfig
from full_scale.models.presets import from_json, to_json
from full_scale.models.processes import ProcessConfig
from full_scale.models.tensor_file import file_sha256, read_tensors, write_tensors
from reporting.typed import Sha256, Within, typed

FORMAT = "di4c model 1"
_SHOWN = 6  # names of each kind that a message lists

Weights = Literal["averaged", "raw"]
"""Weights as they are trained, or their moving average."""


@dataclass(frozen=True)
class Model:
    """What a model file holds.

    Attributes:
        network: sizes of the network.
        process: the noise that it was made for; None for a VQGAN.
        state: state dict of the network.
        sha256: of the file.
        manifest: record of where the weights come from.
    """

    network: BackboneConfig
    process: ProcessConfig | None
    state: dict[str, Tensor]
    sha256: str
    manifest: dict[str, Any]


class TrainedRun(TypedDict):
    """What is used of the configuration of a training run."""

    preset: str
    recipe: str
    weights: NotRequired[Weights]
    redraw: NotRequired[Redraw | None]


class _Conversion(TypedDict):
    """What is used of the record of a conversion."""

    weights: NotRequired[Weights]


class _Manifest(TypedDict, total=False):
    """What is used of a manifest."""

    weights: Weights
    step: Annotated[int, Within(0)]
    checkpoint: bool
    data_sha256: str
    run: TrainedRun
    source: _Conversion


class _Description(TypedDict):
    """What the metadata of a model file say."""

    format: str
    network: dict[str, Any]
    process: dict[str, Any] | None
    manifest: _Manifest
    sha256: NotRequired[Sha256]


def write_model(
    path: Path | str,
    network: BackboneConfig,
    process: ProcessConfig | None,
    state: dict[str, Tensor],
    manifest: dict[str, Any],
) -> None:
    """Write a model file. Readers see either the whole file or none."""
    description = {
        "format": FORMAT,
        "network": to_json(network),
        "process": None if process is None else to_json(process),
        "manifest": manifest,
    }
    write_tensors(path, state, description | {"sha256": _content_sha256(state, description)})


def read_model(path: Path | str) -> Model:
    """Read a model file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a model file.
    """
    state, description = read_tensors(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a model file of this project; convert it first: python -m "
            "full_scale.convert"
        )
    try:
        described: _Description = typed(_Description, description)
        network, process = _configs(described)
        recorded = described.pop("sha256", None)
        if recorded not in (None, _content_sha256(state, described)):
            raise ValueError("its content has another SHA-256 than it says")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; get it again") from None
    return Model(network, process, state, file_sha256(path), dict(described["manifest"]))


def _content_sha256(state: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    """SHA-256 of weights and description. It shows damage that leaves the file readable."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _configs(described: _Description) -> tuple[BackboneConfig, ProcessConfig | None]:
    network, noise = from_json(described["network"]), described["process"]
    if not isinstance(network, BackboneConfig):
        raise ValueError(f"network is of kind {network.kind}, which is noise")
    process = None if noise is None else from_json(noise)
    if isinstance(process, BackboneConfig):
        raise ValueError(f"process is of kind {process.kind}, which is a network")
    if (process is None) != (network.default_process() is None):
        raise ValueError(f"process must {'not ' * (process is not None)}be given for this network")
    return network, process


class Misfit(ValueError):
    """Weights that do not fit a network.

    Attributes:
        missing: names that only the network has.
        unexpected: names that only the weights have.
        other_shapes: names that both have with different shapes, and these shapes.
    """

    def __init__(
        self, what: str, missing: list[str], unexpected: list[str], other_shapes: list[str]
    ) -> None:
        self.missing, self.unexpected = missing, unexpected
        self.other_shapes = other_shapes
        findings = {
            "missing": missing,
            "unexpected": unexpected,
            "of another shape": other_shapes,
        }
        lists = (f"{name}: {_shown(names)}" for name, names in findings.items() if names)
        super().__init__(f"{what}; {'; '.join(lists)}")


def check_fit(what: str, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Check that weights have the names and shapes of a network.

    Args:
        what: beginning of the message, as in "teacher_state does not fit the student".
        wanted: state dict of the network.
        given: the weights.

    Raises:
        Misfit: If a name or a shape differs.
    """
    other_shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    if missing or unexpected or other_shapes:
        raise Misfit(what, missing, unexpected, other_shapes)


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
