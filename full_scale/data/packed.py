"""Token sequences in a folder. They are written batch by batch and read through a memory map.

x_0.bin         (N, D), row by row, in the smallest unsigned integers that hold S values
label.bin       (N,) uint16, if there are classes
header.json     description of the data, and SHA-256 of both files; written last
progress.json   number of rows so far and where to continue; only while rows are written

A folder with a header is complete. Interrupted writing can be continued.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from full_scale.data.packed_records import (
    HEADER,
    PROGRESS,
    Header,
    Progress,
    check_same,
    read_record,
)
from full_scale.models.tensor_file import file_sha256
from reporting import only_writer, write_json
from reporting.files import flush, naming

X_0, LABEL = "x_0.bin", "label.bin"
_LABEL_TYPE = "uint16"
_BLOCK = 2**16  # rows that are checked at once


class Rows(NamedTuple):
    """Some rows of a data set, and the place in the source where the next ones start.

    Attributes:
        x_0: values, (n, D).
        label: classes, (n,), or None.
        cursor: JSON value. The source continues after these rows when it gets this value back.
    """

    x_0: np.ndarray
    label: np.ndarray | None
    cursor: Any


class Description(NamedTuple):
    """Description of the data that a folder is to hold.

    Attributes:
        num_dims: D.
        num_values: S.
        num_classes: number of classes of the labels; None without labels.
        source: where the rows come from, JSON. A folder is written from one source only.
    """

    num_dims: int
    num_values: int
    num_classes: int | None
    source: Mapping[str, Any]


Source = Callable[[Any], Iterator[Rows]]
"""Takes the cursor of the last rows that were written, None at first; yields the next rows."""


def pack(
    folder: Path | str,
    description: Description,
    source: Source,
    manifest: Mapping[str, Any] | None = None,
) -> "PackedTokens":
    """Write the rows of a source, or continue where an earlier call was interrupted.

    Rows count once they are flushed to the disk and recorded. Later bytes, which a killed writer
    may have left, are cut off. Only one batch is held in memory. A second process that writes to
    the folder at the same time is refused.

    Args:
        folder: folder to write to; created.
        description: what the folder is to hold.
        source: yields the rows.
        manifest: code version and command, recorded in the header.

    Raises:
        ValueError: If the folder holds data of another source, another process writes to it, or a
            value or label is out of range.
    """
    folder = Path(folder)
    asked = json.loads(json.dumps(description._asdict()))
    if not (folder / HEADER).is_file():
        with only_writer(folder):
            if not (folder / HEADER).is_file():  # another process may just have ended
                _write(folder, description, asked, source, manifest)
    check_same(folder, read_record(folder / HEADER, Header), asked)
    return PackedTokens(folder, verify=False)


def _write(
    folder: Path,
    description: Description,
    asked: dict[str, Any],
    source: Source,
    manifest: Mapping[str, Any] | None,
) -> None:
    """Write the files of a folder, or the rest of them."""
    progress = {**asked, "num_rows": 0, "cursor": None}
    if (folder / PROGRESS).is_file():
        progress = {**read_record(folder / PROGRESS, Progress)}
        check_same(folder, progress, asked)
    write_json(folder / PROGRESS, progress)
    widths = {X_0: description.num_dims * _dtype(description.num_values).itemsize}
    if description.num_classes is not None:
        widths[LABEL] = np.dtype(_LABEL_TYPE).itemsize
    for name, width in widths.items():
        _cut(folder / name, progress["num_rows"] * width)
    for rows in source(progress["cursor"]):
        _check_rows(rows, description, progress["num_rows"])
        _append(folder / X_0, rows.x_0.astype(_dtype(description.num_values)))
        if rows.label is not None:
            _append(folder / LABEL, rows.label.astype(_LABEL_TYPE))
        progress["num_rows"] += len(rows.x_0)
        progress["cursor"] = rows.cursor
        write_json(folder / PROGRESS, progress)
    if progress["num_rows"] == 0:
        raise ValueError(
            f"the source gave no rows for {folder}; check its contents: {dict(description.source)}"
        )
    hashes = {name: file_sha256(folder / name) for name in widths}
    header = {**asked, "num_rows": progress["num_rows"], "sha256": hashes}
    write_json(folder / HEADER, header | {"manifest": dict(manifest or {})})
    (folder / PROGRESS).unlink(missing_ok=True)


class PackedTokens:
    """The data that `pack` has written, memory-mapped: a `full_scale.data.TokenData`.

    Args:
        folder: folder of the data.
        advice: how to get the data, for the message if it is not there.
        verify: whether to read every byte, see `verify`. Eighteen gigabytes take half a minute.

    Raises:
        ValueError: If there is no complete data, or a file is not what was written.
    """

    def __init__(
        self,
        folder: Path | str,
        advice: str = "see python -m full_scale.prepare",
        verify: bool = True,
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / HEADER).is_file():
            begun = (self.folder / PROGRESS).is_file()
            state = "is not complete" if begun else "is missing"
            raise ValueError(f"data in {self.folder} {state}; {advice}")
        self.header = read_record(self.folder / HEADER, Header)
        self.num_dims = self.header["num_dims"]
        self.num_values = self.header["num_values"]
        self.num_classes = self.header["num_classes"]
        hashes = "".join(sha256 for _, sha256 in sorted(self.header["sha256"].items()))
        self.sha256 = hashlib.sha256(hashes.encode()).hexdigest()  # of both files
        rows = self.header["num_rows"]
        self.x_0 = self._map(X_0, _dtype(self.num_values), (rows, self.num_dims))
        self.label = None
        if self.num_classes is not None:
            self.label = self._map(LABEL, np.dtype(_LABEL_TYPE), (rows,))
        if verify:
            self.verify()

    def __len__(self) -> int:
        return len(self.x_0)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {"x_0": torch.from_numpy(self.x_0[index].astype(np.int64))}
        if self.label is not None:
            item["label"] = torch.tensor(int(self.label[index]))
        return item

    def examples(self) -> Tensor:
        """The example of each item: its own, or that of a pair of mirror images (`imagenet`)."""
        return torch.arange(len(self)) // (2 if self.header["source"].get("mirror") else 1)

    def __reduce__(self) -> tuple[type["PackedTokens"], tuple[Path, str, bool]]:
        # Processes that read ahead map the files again instead of receiving a copy.
        return PackedTokens, (self.folder, "", False)

    def verify(self) -> None:
        """Read every byte, compare hashes, and check that all values are in range.

        Raises:
            ValueError: If a file differs from what was written. The message names the file.
        """
        remedy = f"remove {self.folder} and prepare it again"
        for name, values, limit in (
            (X_0, self.x_0, self.num_values),
            (LABEL, self.label, self.num_classes),
        ):
            if values is None or limit is None:
                continue
            path, recorded = self.folder / name, self.header["sha256"].get(name)
            if (found := file_sha256(path)) != recorded:
                raise ValueError(f"{path} has SHA-256 {found} instead of {recorded}; {remedy}")
            blocks = (values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK))
            if (most := max(int(block.max()) for block in blocks)) >= limit:
                raise ValueError(f"{path} must hold 0..{limit - 1}; got {most}: {remedy}")

    def _map(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
        path, expected = self.folder / name, math.prod(shape) * dtype.itemsize
        size = path.stat().st_size if path.is_file() else 0
        if size != expected:
            raise ValueError(
                f"{path} has {size} bytes instead of {expected}; remove {self.folder} and prepare "
                "it again"
            )
        return np.memmap(path, dtype, "r", shape=shape)


class WithMirrorImages:
    """Pictures, followed by their mirror images: item N + i is the mirror image of item i.

    In a shuffled order this has the law of random horizontal flips, while each item stays fixed.

    Args:
        data: pictures, flattened from (channels, height, width).
        shape: channels, height, width.
    """

    def __init__(self, data: PackedTokens, shape: tuple[int, int, int]) -> None:
        self.data, self.shape = data, shape
        self.num_dims, self.num_values = data.num_dims, data.num_values
        self.num_classes, self.sha256 = data.num_classes, data.sha256

    def __len__(self) -> int:
        return 2 * len(self.data)

    def examples(self) -> Tensor:
        """The example of each item. A mirror image has that of its picture."""
        return self.data.examples().repeat(2)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        mirrored, place = divmod(index, len(self.data))
        if mirrored not in (0, 1):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        item = self.data[place]
        if mirrored:
            item["x_0"] = item["x_0"].reshape(self.shape).flip(-1).reshape(-1)
        return item


def _dtype(num_values: int) -> np.dtype:
    """The smallest unsigned integers that hold the values, little-endian."""
    return np.min_scalar_type(num_values - 1).newbyteorder("<")


def _check_rows(rows: Rows, description: Description, start: int) -> None:
    count = len(rows.x_0)
    _check_values("x_0", rows.x_0, (count, description.num_dims), description.num_values, start)
    if description.num_classes is not None:
        label = np.empty(0) if rows.label is None else rows.label
        _check_values("label", label, (count,), description.num_classes, start)


def _check_values(
    name: str, values: np.ndarray, shape: tuple[int, ...], limit: int, start: int
) -> None:
    if values.shape != shape:
        raise ValueError(
            f"{name} must have shape {shape}; rows from {start} on have {values.shape}"
        )
    if values.size and not (values.min() >= 0 and values.max() < limit):
        raise ValueError(
            f"{name} must lie in 0..{limit - 1}; rows from {start} on hold {values.min()} to "
            f"{values.max()}: check the data set and the tokenizer"
        )


def _cut(path: Path, size: int) -> None:
    """Keep the first `size` bytes of a file. Raise a ValueError if it is shorter."""
    with path.open("ab") as file:
        if file.tell() < size:
            raise ValueError(
                f"{path} has {file.tell()} bytes, fewer than the {size} that were recorded; remove "
                f"{path.parent} and prepare it again"
            )
        file.truncate(size)


def _append(path: Path, values: np.ndarray) -> None:
    with naming(path):
        with path.open("ab") as file:
            file.write(values.tobytes())
        flush(path)
