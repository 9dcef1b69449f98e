"""Damages a file in every way that we know. Each mutant is a name and a function of the path."""

import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]

_WRONG = [None, True, "8", -1, 0, 10**4, 10**30, 1.5, 1e308, "", [], {}, [[]], "x" * 10_000]
"""Values that replace each value of a JSON file in turn."""

_TEXTS = {
    "NaN": "NaN",
    "infinity": "1e999",
    "digits": "9" * 5000,
    "deep": "[" * 100_000,
    "deep and closed": "[" * 5000 + "]" * 5000,
    "text": '"text"',
}
"""What else may stand in the place of a value."""


def mutants(path: Path, chance: random.Random, number: int) -> Iterator[tuple[str, Damage]]:
    """Mutants of a file: those that every file can suffer, and those of its format.

    Args:
        path: the undamaged file.
        chance: source of randomness.
        number: about so many of each kind.
    """
    content = path.read_bytes()
    yield from _places()
    yield from _bytes(content, chance, number)
    if path.suffix == ".json":
        yield from _values(content.decode(), chance, number, lambda text: text.encode())
    if path.suffix == ".jsonl":
        first, _, rest = content.partition(b"\n")
        whole = lambda text: text.encode() + b"\n" + rest  # noqa: E731
        yield from _values(first.decode(), chance, number, whole)
    if path.suffix == ".safetensors":
        yield from _described(content, chance, number)
    if path.suffix in (".npy", ".npz"):
        yield from _arrays(content, path.suffix)


def _write(content: bytes) -> Damage:
    return lambda path: (path.unlink(), path.write_bytes(content))[0]


def _places() -> Iterator[tuple[str, Damage]]:
    """Something else in the place of the file."""
    yield "missing", Path.unlink
    yield "a folder", lambda path: (path.unlink(), path.mkdir())[0]
    for name, target in (
        ("a link to nothing", "nothing"),
        ("a link to itself", None),
        ("a link to endless zeros", "/dev/zero"),
        ("a link to an empty device", "/dev/null"),
        ("a link to its folder", "."),
    ):
        yield name, lambda p, target=target: (p.unlink(), p.symlink_to(target or p.name))[0]
    yield "a pipe", lambda path: (path.unlink(), os.mkfifo(path))[0]


def _bytes(content: bytes, chance: random.Random, number: int) -> Iterator[tuple[str, Damage]]:
    size = len(content)
    for cut in {0, 1, 7, size // 2, size - 1, *(chance.randrange(size) for _ in range(number))}:
        yield f"cut at {cut}", _write(content[:cut])
    for _ in range(2 * number):
        place, bit = chance.randrange(size), chance.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        yield f"bit {bit} of byte {place}", _write(bytes(flipped))
    for _ in range(number):
        place, length = chance.randrange(size), chance.randrange(1, 64)
        noise = chance.randbytes(length)
        yield f"noise at {place}", _write(content[:place] + noise + content[place + length :])
        yield f"inserted at {place}", _write(content[:place] + noise + content[place:])
    yield "zeros", _write(bytes(size))
    yield "noise", _write(chance.randbytes(size))
    yield "twice", _write(content + content)
    yield "more at the end", _write(content + b"more")


def _values(
    text: str, chance: random.Random, number: int, whole: Callable[[str], bytes]
) -> Iterator[tuple[str, Damage]]:
    """Every value replaced, removed, or in a text that is hard to parse."""
    places = [*_leaves(json.loads(text), ())]
    for place in places:
        for value in chance.sample(_WRONG, min(len(_WRONG), number)):
            changed = json.loads(text)
            _put(changed, place, value)
            yield f"{place} is {value!r:.20}", _write(whole(json.dumps(changed)))
        changed = json.loads(text)
        _remove(changed, place)
        yield f"{place} is removed", _write(whole(json.dumps(changed)))
        name, wrong = chance.choice([*_TEXTS.items()])
        changed = json.loads(text)
        _put(changed, place, "@@")
        yield f"{place} is {name}", _write(whole(json.dumps(changed).replace('"@@"', wrong)))
    for name, wrong in (*_TEXTS.items(), ("nothing", ""), ("a list", "[]"), ("null", "null")):
        yield f"all is {name}", _write(whole(wrong))
    yield "not UTF-8", _write(b"\xff\xfe" + whole(text))


def _leaves(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*place, key))
    elif isinstance(value, list) and value:
        yield from _leaves(value[0], (*place, 0))


def _put(value: Any, place: tuple[Any, ...], new: Any) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = new


def _remove(value: Any, place: tuple[Any, ...]) -> None:
    for key in place[:-1]:
        value = value[key]
    del value[place[-1]]


def _described(content: bytes, chance: random.Random, number: int) -> Iterator[tuple[str, Damage]]:
    """Mutants of the description in the metadata of a safetensors file, and of its own header."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])

    def whole(text: str) -> bytes:
        head = json.dumps(header | {"__metadata__": {"di4c": text}}).encode()
        return struct.pack("<Q", len(head)) + head + content[8 + size :]

    yield from _values(header["__metadata__"]["di4c"], chance, number, whole)
    for length in (0, 2**62, size - 1, len(content)):
        yield f"header of {length} bytes", _write(struct.pack("<Q", length) + content[8:])


def _arrays(content: bytes, suffix: str) -> Iterator[tuple[str, Damage]]:
    """False shapes and types, bombs, and the one format under the name of the other."""
    import numpy as np

    def npy(array: Any) -> bytes:
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=True)
        return file.getvalue()

    def said(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
        file = io.BytesIO()
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        return file.getvalue() + bytes(64)

    alone = {
        "huge shape": said((10**6, 10**6)),
        "overflowing shape": said((2**62, 2**62)),
        "negative shape": said((-1, 8)),
        "other type": said((8,), "<U2"),
        "objects": npy(np.array([print, None], dtype=object)),
        "complex": npy(np.ones((3, 3), dtype=complex)),
        "NaN": npy(np.full((3, 3), np.nan)),
        "empty": npy(np.zeros((0, 3))),
        "a scalar": npy(np.array(1.0)),
    }
    for name, array in alone.items():
        if suffix == ".npy":
            yield name, _write(array)
            yield f"{name}, in a zip", _write(_zip({"mu.npy": array}))
        else:
            yield name, _write(_zip({"mu.npy": array, "sigma.npy": array}))
            yield f"{name}, without a zip", _write(array)

    def bomb(path: Path) -> None:
        content = said((2**27,)) + bytes(2**27)
        _write(_zip({"mu.npy": content, "sigma.npy": content}))(path)

    yield "a bomb", bomb  # made only where it is tried, as that takes a second
    yield "no arrays", _write(_zip({}))
    yield "other arrays", _write(_zip({"a.npy": alone["NaN"]}))


def _zip(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()
