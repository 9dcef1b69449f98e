"""Reads checkpoints of other programs without running what their pickles ask for.

A pickle is a program that may call any function by name. Plain files are read by
`torch.load(weights_only=True)`. Files that hold config objects are read by the reader below. It can
build tensors, dictionaries and numbers. Every other class or function becomes a `Record`, which
keeps its name and arguments and does nothing.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from torch import Tensor

from reporting.inputs import parsing, require_file

# A few kilobytes of pickle can unfold to any number of entries, nested to any depth.
_MOST_ENTRIES = 1_000_000
_LONGEST_NAME = 1000
_LARGEST_TUPLE = 10_000
_PLAIN_PICKLES = 5  # magic number, protocol, system, content, keys of the storages


class Record:
    """An object that was not built. It keeps the name of its class and its arguments."""

    path: str = ""
    """Module and name of the class or function."""
    args: tuple[Any, ...]
    """Arguments of the call."""
    state: Any = None
    """State that would have become its attributes."""
    items: list[Any]
    """Items that were appended, and (key, value) pairs that were set."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Record":
        """Keep the arguments. Pickles of some classes call no other method."""
        record = super().__new__(cls)
        record.args = (*args, kwargs) if kwargs else args
        record.items = []
        return record

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, item: Any) -> None:
        """Keep an item of a list."""
        self.items.append(item)

    def __repr__(self) -> str:
        return f"<{self.path}, not built>"


def read_pickle(path: Path | str) -> Any:
    """The content of a file of `torch.save`: tensors and containers. Other objects are `Record`s.

    Nothing in the file is executed. All bytes are checked against the checksums of the archive.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a whole file of `torch.save`. Also if it has the format before
            torch 1.6 and holds other objects than tensors and containers.
    """
    path = require_file(path)
    remedy = "download it again, or save it again with a recent torch"
    with parsing(path, "a whole checkpoint of torch.save", remedy):
        return _read_archive(path) if zipfile.is_zipfile(path) else _read_plain(path)


def flat_tensors(content: Any) -> dict[str, Tensor]:
    """Every tensor and number of nested dictionaries and lists, named by its place.

    Levels are joined by slashes, and list entries are named by their index, as in `model/ema/0`.
    Numbers become 0-d tensors of 64 bits. Strings, None and records are left out, and so are
    entries whose keys are neither strings nor integers.

    Raises:
        ValueError: If two places get the same name, if a tensor is sparse, quantised or without
            data, or if there are too many entries for a checkpoint.
    """
    flat: dict[str, Tensor] = {}
    for place, leaf in _leaves(content):
        if isinstance(leaf, bool | float) or (isinstance(leaf, int) and abs(leaf) < 2**63):
            leaf = torch.tensor(leaf, dtype=torch.float64 if isinstance(leaf, float) else None)
        if not isinstance(leaf, Tensor):
            continue
        if leaf.layout != torch.strided or leaf.is_quantized or leaf.device.type != "cpu":
            raise ValueError(f"{place} is not a dense tensor with data; save it again as one")
        if place in flat:
            raise ValueError(f"two tensors are called {place!r}; rename one of the keys")
        flat[place] = leaf.detach()
    return flat


def _leaves(content: Any) -> Iterator[tuple[str, Any]]:
    """Leaves and their places, in order. A stack replaces recursion because files may be deep."""
    stack = [("", content)]
    for _ in range(_MOST_ENTRIES):
        if not stack:
            return
        place, value = stack.pop()
        if isinstance(value, dict):
            entries = [(k, v) for k, v in value.items() if isinstance(k, str | int)]
        elif isinstance(value, list | tuple):
            entries = list(enumerate(value))
        else:
            yield place, value
            continue
        if len(place) > _LONGEST_NAME:
            raise ValueError(f"{place[:40]}... is nested too deeply for a checkpoint of a network")
        prefix = f"{place}/" if place else ""
        stack += [(f"{prefix}{key}", item) for key, item in reversed(entries)]
    raise ValueError(f"more than {_MOST_ENTRIES} entries; this is not a checkpoint of a network")


def _read_plain(path: Path) -> Any:
    """Read the format before torch 1.6: pickles that follow each other, then the numbers."""
    with path.open("rb") as file:
        for _ in range(_PLAIN_PICKLES):
            _Rehearsal(file).load()
    return _load_trusted(path)


def _load_trusted(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:  # could unfold to any size
                raise ValueError(f"{entry.filename} is compressed; torch.save does not do that")
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")
        _Rehearsal(BytesIO(archive.read(_program(archive)))).load()
        try:
            return _load_trusted(path)
        except Exception:  # it holds other objects or is broken, which the strict reader finds out
            return _Unpickler(archive).load()


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view of a storage that does not reach beyond it."""
    if not isinstance(storage, Tensor):
        raise ValueError("a tensor without storage")
    numbers = (offset, *size, *stride)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a tensor of impossible shape")
    numel = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if numel > storage.numel() or (numel and last >= storage.numel()):
        raise ValueError("a tensor reaches beyond its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Any:
    return data


_ALLOWED: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
_STORAGES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
_NEVER_WRITTEN = (pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.BYTEARRAY8)


def _weighed(code: int) -> Callable[[Any], None]:
    """The instruction that makes a tuple, followed by a look at its size."""
    load = pickle._Unpickler.dispatch[code]  # pyright: ignore[reportAttributeAccessIssue]

    def both(reader: Any) -> None:
        load(reader)
        reader.weigh()

    return both


def _program(archive: zipfile.ZipFile) -> str:
    """Name of the pickle in an archive."""
    names = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError(f"{len(names)} files data.pkl in the archive instead of one")
    return names[0]


# This is the interpreter that is written in Python. Its opcodes can be replaced, and its memory
# does not grow with the numbers in the file.
class _Rehearsal(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Runs a pickle without building anything, to refuse one that would never end.

    A dictionary computes the hash of its keys. A tuple that holds one tuple twice, 60 levels deep,
    takes 2^60 steps.
    """

    stack: list[Any]

    def __init__(self, file: IO[bytes]) -> None:
        self._sizes: dict[int, tuple[int, Any]] = {}  # the tuple is kept, so that its id is too
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Any:
        return type("Record", (Record,), {"path": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        return None

    def _build(self) -> None:
        self.stack.pop()

    def weigh(self) -> None:
        """Count the entries of the newest tuple at all levels."""
        newest = self.stack[-1]
        size = 1 + sum(self._sizes.get(id(item), (1, None))[0] for item in newest)
        if size > _LARGEST_TUPLE:
            raise ValueError("nested tuples that unfold without end")
        self._sizes[id(newest)] = size, newest

    def _refuse(self) -> None:
        raise ValueError("an instruction that torch.save does not write")

    dispatch: ClassVar[dict[int, Any]] = (
        pickle._Unpickler.dispatch  # pyright: ignore[reportAttributeAccessIssue]
        | {pickle.BUILD[0]: _build}
        | dict.fromkeys((code[0] for code in _NEVER_WRITTEN), _refuse)
        | {code[0]: _weighed(code[0]) for code in _TUPLES}
    )


class _Unpickler(_Rehearsal):
    """Unpickles an archive of torch.save. It can only call the functions in `_ALLOWED`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        name = _program(archive)
        self._archive = archive
        self._root = name.removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}
        byteorder = f"{self._root}byteorder"
        if byteorder in archive.namelist() and archive.read(byteorder) != b"little":
            raise ValueError("saved on a big-endian machine")
        super().__init__(BytesIO(archive.read(name)))

    def find_class(self, module: str, name: str) -> Any:
        """An allowed function, the dtype of a storage, or a new subclass of `Record`."""
        path = f"{module}.{name}"
        if path in _STORAGES:
            return _STORAGES[path]
        if path in _ALLOWED:
            return _ALLOWED[path]
        return type("Record", (Record,), {"path": path})

    def persistent_load(self, pid: Any) -> Tensor:
        """The storage named by ("storage", type, key, location, numel), as a flat tensor."""
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise ValueError(f"{kind!r} of unknown type instead of a storage")
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._root}data/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=torch.uint8)
        storage = self._storages[key].view(dtype)
        if storage.numel() != numel:
            raise ValueError(f"storage {key} holds {storage.numel()} numbers instead of {numel}")
        return storage

    def _build(self) -> None:
        """Set the state of an object. A record keeps it; attributes of a dictionary are dropped."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state
        elif not isinstance(self.stack[-1], OrderedDict):
            raise ValueError(f"state for a {type(self.stack[-1]).__name__}")

    dispatch: ClassVar[dict[int, Any]] = _Rehearsal.dispatch | {pickle.BUILD[0]: _build}
