"""Arrays of other programs. They are read only if their header agrees with the size of the file."""

import math
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from reporting.inputs import parsing, require_file

_LARGEST = 2**30  # bytes of an array in an .npz, which may be compressed
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_array(path: Path | str, remedy: str = "make it again") -> np.ndarray:
    """The array of an .npy file, mapped into memory and not writable.

    Raises:
        ValueError: If it is not a whole .npy file of numbers or texts; names the file.
        OSError: If it cannot be read.
    """
    path = require_file(path, remedy)
    with parsing(path, "a whole .npy array", remedy), path.open("rb") as file:
        size = _size(file)
        if (found := os.fstat(file.fileno()).st_size) != size:
            raise ValueError(f"it has {found} bytes instead of {size}")
        mapped = None if size == file.tell() else "r"  # what is empty cannot be mapped
        return np.load(path, mapped, allow_pickle=False)


def read_arrays(
    path: Path | str, needed: Iterable[str], optional: Iterable[str] = (), remedy: str = ""
) -> dict[str, np.ndarray]:
    """Some arrays of an .npz file, by name. Their bytes are checked against its checksums.

    Raises:
        ValueError: If it is not a whole .npz file, or lacks an array; names the file.
        OSError: If it cannot be read.
    """
    path, needed = require_file(path, remedy), [*needed]
    with parsing(path, "a whole .npz file", remedy), zipfile.ZipFile(path) as archive:
        held = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        if absent := [name for name in needed if name not in held]:
            raise ValueError(f"it has no {', '.join(absent)}")
        return {name: _member(archive, held[name]) for name in (*needed, *optional) if name in held}


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        size = _size(cast(BinaryIO, file))
    if entry.file_size != size or size > _LARGEST:
        raise ValueError(f"{entry.filename} has {entry.file_size} bytes instead of {size}")
    with archive.open(entry) as file:
        return np.lib.format.read_array(cast(BinaryIO, file), allow_pickle=False)


def _size(file: BinaryIO) -> int:
    """Bytes of the whole .npy file that begins here. Leaves the file after its header."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"it has version {version}")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds objects that could run code")
    if min(shape, default=0) < 0:
        raise ValueError(f"it has the shape {shape}")
    return file.tell() + math.prod(shape) * dtype.itemsize
