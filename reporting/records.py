"""Records on disk: JSON files that are whole or absent, and JSONL files that survive a kill."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reporting.files import is_stream, write_stream, write_whole


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


def read_json(path: Path | str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        ValueError: If it is not a JSON object; names the file.
        OSError: If it cannot be read.
    """
    try:
        content = json.loads(Path(path).read_bytes().decode())
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
        raise ValueError(f"{path} is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a JSON object")
    return content


def append_row(path: Path | str, row: dict[str, Any]) -> None:
    """Append one row to a JSONL file and flush it to the disk.

    An incomplete last line, which a killed writer left, is removed first, so that the file stays
    valid. Only one process may write at a time.

    Args:
        path: file to extend; it and its folders are created. A device or pipe is only written to.
        row: as the payload of `write_json`.

    Raises:
        ValueError: If a number is NaN or infinite; names its key.
        TypeError: If a key or value has no JSON form; names its key.
    """
    path = Path(path)
    line = json.dumps(_plain(row, ""), allow_nan=False).encode() + b"\n"
    if is_stream(path):
        write_stream(path, line)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        content = file.read()
        whole, tail = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
        if tail and _parse(tail) is None:
            file.truncate(len(whole))
        elif tail:  # the row is whole, only its newline is missing
            file.write(b"\n")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path | str) -> list[dict[str, Any]]:
    """Rows of a JSONL file; an incomplete last line, which a killed writer left, is ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If any other line is not a JSON object; names the file and the line.
    """
    lines = Path(path).read_bytes().split(b"\n")
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


def _parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object on a line, or None."""
    try:
        row = json.loads(line)
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
