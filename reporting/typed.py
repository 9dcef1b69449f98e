"""Checks JSON against Python types: names, types and bounds. What passes can be used as it is.

    class Header(TypedDict):
        num_rows: Size
        num_classes: Size | None

    header = read_as("header.json", Header)   # a dictionary, or one line that names file and field

A type may be a TypedDict (further keys are allowed), a dataclass (none are), `Any`, `Literal`, a
union, list, tuple, dict with string keys, bool, int, float, str, None, or one of these `Annotated`
with `Within`.
"""

import contextlib
import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from reporting.records import read_json, read_rows

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Within:
    """Bounds of a number or of a length, both included."""

    low: float = -math.inf
    high: float = math.inf


Size = Annotated[int, Within(1, 2**40)]
"""A number of things, at least one."""

Count = Annotated[int, Within(0, 2**40)]
"""A number of things, or none."""

Distance = Annotated[float, Within(0, 1.000001)]
"""A total variation distance, up to rounding."""

Sha256 = Annotated[str, Within(64, 64)]
"""A SHA-256 in hexadecimal digits."""

_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_SHOWN = 40  # characters of a wrong value that a message shows


def read_as(path: Path | str, kind: type[T], remedy: str = "make it again") -> T:
    """The object that a JSON file holds, checked against a type.

    Args:
        path: file to read.
        kind: a TypedDict, or another type of those above.
        remedy: what to do if it does not fit, for the message.

    Raises:
        ValueError: If the file is not JSON, or a field is missing or wrong; names file and field.
        OSError: If it cannot be read.
    """
    with checking(path, remedy):
        return typed(kind, read_json(path))


def read_rows_as(
    path: Path | str, kind: type[T], remedy: str = "delete or repair this row"
) -> list[T]:
    """The rows of a JSONL file, each checked against a type; see `read_rows`.

    Args:
        path: file to read.
        kind: type of a row.
        remedy: what to do if a row does not fit, for the message.

    Raises:
        ValueError: If a line is no JSON object, or a field is missing or wrong; names file and row.
        OSError: If it cannot be read.
    """
    rows = read_rows(path)
    with checking(path, remedy):
        return [typed(kind, row, f"rows[{i}]") for i, row in enumerate(rows)]


@contextlib.contextmanager
def checking(path: Path | str, remedy: str) -> Iterator[None]:
    """Check the content of a file: an error begins with its name and ends with what to do.

    Raises:
        ValueError: In place of each ValueError.
    """
    try:
        yield
    except ValueError as error:
        text = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise ValueError(f"{text}; {remedy}") from None


def typed(kind: Any, value: Any, name: str = "") -> Any:
    """The value, if it has this type. Lists become tuples, and dictionaries dataclasses.

    Args:
        kind: a type of those above.
        value: content of JSON.
        name: place of the value, for messages.

    Raises:
        ValueError: If the value has another type or lies outside bounds; names the field.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return _bounded(typed(args[0], value, name), args[1], name)
    if origin in (typing.Required, typing.NotRequired):
        return typed(args[0], value, name)
    if origin in (Union, types.UnionType):
        return _one_of(args, value, name)
    if origin is Literal:
        if not any(type(value) is type(option) and value == option for option in args):
            raise _wrong(name, f"one of {', '.join(map(repr, args))}", value)
        return value
    if origin in (list, tuple):
        return _sequence(origin, args, value, name)
    if origin is dict or kind is dict:
        return _mapping(args[1] if args else Any, value, name)
    if typing.is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return _fields(kind, value, name)
    if kind is type(None) or kind is None:
        if value is not None:
            raise _wrong(name, "null", value)
        return None
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or value != value:
        raise _wrong(name, _PLAIN[kind], value)
    return value


def check_fields(instance: Any) -> None:
    """Check the fields of a dataclass against their types and bounds, in its `__post_init__`.

    Raises:
        ValueError: If one is wrong; names it.
    """
    kinds = typing.get_type_hints(type(instance), include_extras=True)
    for field in dataclasses.fields(instance):
        typed(kinds[field.name], getattr(instance, field.name), field.name)


def _bounded(value: Any, bound: Within, name: str) -> Any:
    has_length = isinstance(value, str | list | tuple)
    number = len(value) if has_length else value
    for wrong, what, limit in (
        (number < bound.low, "at least", bound.low),
        (number > bound.high, "at most", bound.high),
    ):
        if wrong:
            raise _wrong(name, f"{what} {limit}{' long' if has_length else ''}", value)
    return value


def _one_of(options: tuple[Any, ...], value: Any, name: str) -> Any:
    errors = []
    for option in options:
        try:
            return typed(option, value, name)
        except ValueError as error:
            if option is not type(None):
                errors.append(error)
    raise errors[0]


def _sequence(origin: type, args: tuple[Any, ...], value: Any, name: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(name, "a list", value)
    if origin is tuple and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise _wrong(name, f"a list of {len(args)} entries", value)
        pairs = enumerate(zip(args, value, strict=True))
        return tuple(typed(kind, item, f"{name}[{i}]") for i, (kind, item) in pairs)
    return origin(typed(args[0], item, f"{name}[{i}]") for i, item in enumerate(value))


def _mapping(kind: Any, value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return {key: typed(kind, item, _inside(name, key)) for key, item in value.items()}


def _fields(kind: Any, value: Any, name: str) -> Any:
    value = _mapping(Any, value, name)
    kinds = typing.get_type_hints(kind, include_extras=True)
    if typing.is_typeddict(kind):
        needed, known, make = kind.__required_keys__, kinds.keys() | value.keys(), dict
    else:
        fields = [field for field in dataclasses.fields(kind) if field.init]
        needed = {f.name for f in fields if f.default is f.default_factory}  # both are MISSING
        known, make = {field.name for field in fields}, kind
    for problem, names in (("lacks", needed - value.keys()), ("has no", value.keys() - known)):
        if names:
            raise ValueError(f"{name or 'it'} {problem} {', '.join(sorted(names))}")
    return make(
        **{key: typed(kinds.get(key, Any), item, _inside(name, key)) for key, item in value.items()}
    )


def _inside(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _wrong(name: str, right: str, value: Any) -> ValueError:
    return ValueError(f"{name or 'it'} must be {right}; got {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
