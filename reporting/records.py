"""Records on disk: JSON files that are whole or absent, and JSONL files that survive a kill."""

import json
import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reporting.files import is_stream, naming, write_stream, write_whole
from reporting.inputs import read_file
from reporting.locks import short_lock

DEPTH = 50
"""Objects and lists inside each other in a JSON file. A row of a log may hold such a file."""


def write_json(
    path: Path | str, payload: dict[str, Any], put: Callable[[Path, Path], None] = os.replace
) -> None:
    """Write a JSON file that readers see either whole or not at all.

    Floats keep every digit.

    Args:
        path: File to write, as in `write_whole`.
        payload: Nested dictionaries with string keys, lists, tuples, strings, numbers, None;
            arrays, tensors and their scalars become lists and numbers.
        put: As in `write_whole`.

    Raises:
        ValueError: If a number is NaN or infinite; names its key.
        TypeError: If a key or value has no JSON form; names its key.
    """
    text = json.dumps(_plain(payload, ""), indent=2, allow_nan=False) + "\n"
    write_whole(path, text.encode(), put)


def parse_json(text: str | bytes, depth: int = DEPTH) -> Any:
    """The value of a JSON text.

    Args:
        text: the text, as UTF-8 if it is bytes.
        depth: the largest number of objects and lists inside each other.

    Raises:
        ValueError: If it is not JSON, is nested too deeply, gives a key of an object twice, or
            holds a number that JSON does not have (NaN, infinity) or an integer that no 64 bits
            hold.
    """
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = json.loads(
            text,
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=_finite,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    inside: list[Any] = [[value]]
    for _ in range(depth + 1):
        parts = (v.values() if isinstance(v, dict) else v for v in inside)
        inside = [v for part in parts for v in part if isinstance(v, dict | list)]
    if inside:
        raise ValueError("it is nested too deeply")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has the key {name!r} twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no number of JSON, or too large")
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**64:
        raise ValueError(f"{text[:20]}... needs more than 64 bits")
    return value


def read_json(path: Path | str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        ValueError: If it is not a JSON object; names the file.
        OSError: If it cannot be read.
    """
    content = _content(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a JSON object")
    return content


def append_row(path: Path | str, row: dict[str, Any]) -> None:
    """Append one row to a JSONL file and flush it to the disk.

    All rows of a file begin with the same key. A file whose lines do not is somebody else's, and
    is left as it is. An incomplete last line, which a killed writer left, is removed first, so that
    the file stays valid. If the row cannot be written whole, as on a full disk, the file keeps its
    earlier rows and the row is printed, because it may have taken hours to measure. Several
    processes may append to one file.

    Args:
        path: file to extend; it and its folders are created. A device or pipe is only written to.
        row: as the payload of `write_json`.

    Raises:
        ValueError: If a number is NaN or infinite; names its key. If the file holds other lines,
            or the row is empty.
        TypeError: If a key or value has no JSON form; names its key.
        OSError: If the row cannot be written; names the file.
    """
    path = Path(path)
    if not row:
        raise ValueError(f"row is empty; a row of {path} needs at least the key it begins with")
    line = json.dumps(_plain(row, ""), allow_nan=False).encode() + b"\n"
    if is_stream(path):
        write_stream(path, line)
        return
    try:
        _append(path, line, next(iter(row)))
    except OSError:
        print(line.decode(), end="")
        raise


def _append(path: Path, line: bytes, first: str) -> None:
    """Append a line to a file whose rows begin with the key `first`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("ab+", buffering=0) as file, short_lock(file.fileno()):
        file.seek(0)
        content = file.read()
        whole = _whole_rows(path, content, first)
        tail = content[whole:]
        if tail and _parse(tail) is not None:  # the row is whole, only its newline is missing
            whole, line = len(content), b"\n" + line
        try:
            file.truncate(whole)
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(whole)
            raise


def check_rows(path: Path | str, first: str) -> None:
    """Check before the work that a file is a log of certain rows, or does not exist yet.

    Args:
        path: the file; a device or pipe passes.
        first: the key with which all rows of the file begin.

    Raises:
        ValueError: If the file holds other lines.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if path.exists() and not is_stream(path):
        _whole_rows(path, read_file(path), first)


def _whole_rows(path: Path, content: bytes, first: str) -> int:
    """Size of the whole lines of a log. Raise a ValueError if it is not a log of such rows."""
    start = json.dumps({first: 0}).removesuffix("0}").encode()
    *lines, tail = content.split(b"\n")
    number = next((i for i, line in enumerate(lines) if line and not line.startswith(start)), None)
    if number is None and not (tail.startswith(start) or start.startswith(tail)):
        number = len(lines)
    if number is not None:
        raise ValueError(
            f"{path} is not a log of rows that begin with {first!r} (line {number + 1} does not); "
            "it is left as it is: give another file"
        )
    return len(content) - len(tail)


def read_rows(path: Path | str) -> list[dict[str, Any]]:
    """Rows of a JSONL file; an incomplete last line, which a killed writer left, is ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If any other line is not a JSON object; names the file and the line.
    """
    lines = read_file(path).split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        row = _parse(line)
        if row is not None:
            rows.append(row)
        elif line and number < len(lines):  # only the last line may be incomplete
            raise ValueError(
                f"{path}, line {number}: not a JSON object; delete or repair this line"
            )
    return rows


def _content(path: Path | str) -> Any:
    try:
        return parse_json(read_file(path))
    except ValueError as error:  # also bytes that are not UTF-8
        raise ValueError(f"{path} is not JSON ({error})") from None


def _parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object on a line, or None."""
    try:
        row = parse_json(line, 2 * DEPTH)
    except ValueError:  # also bytes that are not UTF-8
        return None
    return row if isinstance(row, dict) else None


def _plain(value: Any, key: str) -> Any:
    """The value in JSON's own types; `key` is its place in the payload, for messages."""
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        value = value.tolist()
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise ValueError(f"{key} is {value}; JSON has no such number, use None for a missing one")
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"key {name!r} in {key or 'the payload'} must be a string")
        return {
            name: _plain(item, f"{key}.{name}" if key else name) for name, item in value.items()
        }
    raise TypeError(f"{key} is a {type(value).__name__}; convert it to a JSON type")
