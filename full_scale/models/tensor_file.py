"""Safetensors files with a description of their content. Readers see a whole file or none."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from reporting.files import write_whole
from reporting.inputs import parsing, require_file
from reporting.records import parse_json

_KEY = "di4c"  # a single metadata entry: the order of several, and so the hash, would vary


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], description: Any) -> None:
    """Write a safetensors file that readers see either whole or not at all.

    Args:
        path: file to write, replaced if it exists (see `reporting.files.write_whole`).
        tensors: tensors by name, on any device, of any layout in memory.
        description: JSON value that is stored in the metadata of the file.
    """
    write_whole(path, tensor_bytes(tensors, description))


def tensor_bytes(tensors: Mapping[str, Tensor], description: Any) -> bytes:
    """The content of a file of `write_tensors`. Equal arguments give equal bytes."""
    return save(_separate(tensors), {_KEY: json.dumps(description)})


def read_tensors(
    path: Path | str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """Tensors and description of a file of `write_tensors`.

    Returns:
        The tensors by name, and the description. It is None for a file of another program.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a whole safetensors file.
    """
    require_file(path)
    with (
        parsing(path, "a whole safetensors file", "copy or convert it again"),
        safe_open(path, "pt", device=str(device)) as file,
    ):
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = parse_json(metadata[_KEY]) if _KEY in metadata else None
    return tensors, description


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with require_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors. A tensor that shares memory with an earlier one is copied."""
    separate, seen = {}, set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return separate
