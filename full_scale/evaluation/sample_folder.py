"""A folder of samples. Several processes may fill it, and a killed process loses no finished row.

run.json       model, plan and seed; every process that writes here must have the same
samples.npy    (N, D), row i is sample i; complete when all rows are done
done.npy       (N,) bool, whether the row is on the disk
samples.npy.sha256   SHA-256 of the samples; written when all rows are done
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from full_scale.evaluation.sample_record import RUN, Settings, read_record, settings_of
from full_scale.models.hashes import check_sha256, hash_file, record_sha256
from reporting import write_json
from reporting.arrays import read_array
from reporting.files import naming, write_whole

SAMPLES, DONE = "samples.npy", "done.npy"


class SampleFolder:
    """An open folder of samples. `create` makes one, `SampleFolder(folder)` opens one.

    Args:
        folder: path of the folder.

    Raises:
        ValueError: If the folder holds no samples, or a damaged record.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / RUN).is_file():
            raise ValueError(
                f"samples {folder} are missing: there is no {RUN} in it; run: python -m "
                "full_scale.sample"
            )
        self.run = read_record(self.folder)

    @classmethod
    def create(
        cls,
        folder: Path | str,
        settings: Mapping[str, Any],
        num_samples: int,
        num_dims: int,
        num_values: int,
        manifest: Mapping[str, Any],
    ) -> "SampleFolder":
        """Make the folder, or open it to continue the same run.

        Args:
            folder: path of the folder.
            settings: everything that the samples depend on, as JSON.
            num_samples: N.
            num_dims: D.
            num_values: number of values of a token, without the mask.
            manifest: record of where the samples come from.

        Raises:
            ValueError: If the folder holds samples of other settings (the message says which), or
                samples without a run.json.
        """
        folder = Path(folder)
        settings = json.loads(json.dumps(dict(settings)))
        asked = {
            "settings": settings,
            "num_samples": num_samples,
            "num_dims": num_dims,
            "num_values": num_values,
        }
        folder.mkdir(parents=True, exist_ok=True)
        dtype = np.min_scalar_type(num_values - 1)
        # Every process may be the first. The arrays come first, then run.json, which says so.
        if not (folder / RUN).is_file():
            _make_array(folder / DONE, (num_samples,), np.dtype(bool))
            _make_array(folder / SAMPLES, (num_samples, num_dims), dtype)
            run = asked | {"manifest": dict(manifest)}
            with contextlib.suppress(FileExistsError):  # another process was faster
                write_json(folder / RUN, run, put=os.link)
        found = cls(folder)
        found.seal()  # a process may have been killed after its last row
        held = {name: value for name, value in found.run.items() if name in asked}
        old, new = _flat(held), _flat(asked)
        differing = [
            f"{name} is {old.get(name)}, not {new.get(name)}"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
        if differing:
            raise ValueError(
                f"{folder} holds samples of another run ({'; '.join(differing)}); choose another "
                "folder"
            )
        return found

    @property
    def num_samples(self) -> int:
        """N."""
        return self.run["num_samples"]

    @property
    def settings(self) -> Settings:
        """What the samples depend on, as far as results repeat it.

        Raises:
            ValueError: If something is missing or wrong; names the field.
        """
        return settings_of(self.folder, self.run)

    @property
    def sha256(self) -> str:
        """The recorded SHA-256 of all samples, which `samples` compares with theirs."""
        return hash_file(self.folder / SAMPLES).read_text().split()[0]

    def todo(self, positions: Sequence[int]) -> list[int]:
        """Those of the given rows that are not done."""
        done = self._array(DONE)
        return [position for position in positions if not done[position]]

    def write(self, positions: Sequence[int], samples: np.ndarray) -> None:
        """Write rows, flush them, then mark them done.

        Raises:
            OSError: If the disk is full; names the file.
        """
        _write_rows(self.folder / SAMPLES, positions, samples)
        _write_rows(self.folder / DONE, positions, np.ones(len(positions), dtype=bool))
        self.seal()

    def num_done(self) -> int:
        """Number of rows that are done."""
        return int(self._array(DONE).sum())

    def samples(self) -> np.ndarray:
        """All samples, (N, D), memory-mapped.

        Raises:
            ValueError: If some rows are not done, or the file is not what was drawn.
        """
        if (done := self.num_done()) < self.num_samples:
            raise ValueError(
                f"samples in {self.folder} are not complete: {done} of {self.num_samples} are "
                "drawn; run the command that began them again, it draws the others"
            )
        path, remedy = self.folder / SAMPLES, "draw the samples again, into another folder"
        check_sha256(path, remedy)
        samples, limit = self._array(SAMPLES), self.run["num_values"]
        if (most := int(samples.max())) >= limit:
            raise ValueError(f"{path} must hold 0..{limit - 1}; got {most}: {remedy}")
        return samples

    def seal(self) -> None:
        """Record the hash of the samples when all rows are done. Any process may do it."""
        path = self.folder / SAMPLES
        if not hash_file(path).exists() and self.num_done() == self.num_samples:
            record_sha256(path)

    def _array(self, name: str) -> np.ndarray:
        """One of the two arrays, memory-mapped."""
        path, run = self.folder / name, self.run
        shape = (run["num_samples"], run["num_dims"]) if name == SAMPLES else (run["num_samples"],)
        dtype = np.min_scalar_type(run["num_values"] - 1) if name == SAMPLES else np.dtype(bool)
        array = read_array(path, "draw the samples again, into another folder")
        if (array.shape, array.dtype) != (shape, dtype):
            raise ValueError(
                f"{path} holds {array.dtype} of shape {array.shape} and {RUN} says {dtype} of "
                f"shape {shape}; draw the samples again, into another folder"
            )
        return array


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested dictionaries as one dictionary, whose keys are joined by dots."""
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{name}.{key}" if name else key)
    return flat


def _make_array(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Allocate an array of zeros. Finished samples are never overwritten.

    An empty array of another size, which a killed command has left, is replaced.
    """
    put: Callable[[Path, Path], None] = os.link
    if path.is_file():
        held = np.load(path, mmap_mode="r")
        begun, fits = bool(held.any()), (held.shape, held.dtype) == (shape, dtype)
        if (path.parent / RUN).is_file():
            return  # another process was faster and may have begun to write
        if begun:
            raise ValueError(
                f"{path.parent} holds samples but no {RUN}, so their model is unknown; choose "
                "another folder, or remove this one"
            )
        if fits:
            return
        put = _replace
    with contextlib.suppress(FileExistsError):  # another process was faster
        write_whole(path, lambda file: _write_zeros(file, shape, dtype), put)


def _write_zeros(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write an array of zeros in the .npy format. A disk that cannot hold it is found out here."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.flush()
    start, size = file.tell(), math.prod(shape) * dtype.itemsize
    try:
        os.posix_fallocate(file.fileno(), start, size)
    except AttributeError:  # not on this system: the file is sparse, and takes no space yet
        file.truncate(start + size)


def _write_rows(path: Path, positions: Sequence[int], rows: np.ndarray) -> None:
    """Write rows of an .npy array and flush them.

    The file is not mapped into memory: on a full disk a write to mapped memory kills the process.
    It has no buffer: one that spans several rows would write back old bytes of those between,
    which belong to other processes.
    """
    with naming(path), path.open("r+b", buffering=0) as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start, width = file.tell(), math.prod(shape[1:]) * dtype.itemsize
        for position, row in zip(positions, rows.astype(dtype), strict=True):
            file.seek(start + position * width)
            left = row.tobytes()
            while left:  # a write without a buffer may be a part
                left = left[file.write(left) :]
        os.fsync(file.fileno())


def _replace(temporary: Path, path: Path) -> None:
    if not (path.parent / RUN).is_file():  # checked last, because another process may be faster
        temporary.replace(path)
