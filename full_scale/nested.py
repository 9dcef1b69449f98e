"""Nested states, as optimisers have them, as flat named tensors and a line of JSON; no pickle."""

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def flatten(state: Any) -> tuple[dict[str, Tensor], str]:
    """Split a nested state into its tensors and the structure that holds them.

    Args:
        state: Dictionaries with string or integer keys, lists and tuples of any depth, whose leaves
            are tensors, strings, finite numbers, booleans and None.

    Returns:
        The tensors, each named by its place, `state/0/exp_avg` for example, and the structure as
        JSON, from which `unflatten` builds the state again: key types and tuples survive.

    Raises:
        ValueError: If a leaf or a key has another type, a number is NaN or infinite, or two
            tensors get the same name; names the place.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, json.dumps(_encode(state, "", tensors))


def unflatten(tensors: Mapping[str, Tensor], structure: str) -> Any:
    """The nested state of `flatten`.

    Raises:
        ValueError: If the structure is not one of `flatten`, or names other tensors than those
            given.
    """
    names: set[str] = set()
    try:
        state = _decode(json.loads(structure), tensors, names)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"structure of the nested state does not fit its tensors ({error!r}); "
            "use the structure that was saved with them"
        ) from None
    if unused := tensors.keys() - names:
        raise ValueError(
            f"structure of the nested state has no place for {_some(unused)}; "
            "use the structure that was saved with the tensors"
        )
    return state


def _encode(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """The value with each container and tensor replaced by a tagged object that JSON can hold."""
    if isinstance(value, Tensor):
        if place in tensors:
            raise ValueError(f"two tensors of the state are called {place!r}; rename one key")
        tensors[place] = value
        return {"tensor": place}
    if isinstance(value, Mapping):
        for key in value:
            if type(key) not in (str, int):
                raise ValueError(
                    f"key {key!r} at {place or 'the top'} of the state is a "
                    f"{type(key).__name__}; use a string or an integer"
                )
        return {"dict": [[k, _encode(v, _join(place, k), tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_encode(item, _join(place, i), tensors) for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and abs(value) < float("inf"):
        return value
    raise ValueError(
        f"{place or 'the state'} is {value!r} of type {type(value).__name__}; a state holds "
        "tensors, strings, finite numbers, booleans and None"
    )


def _decode(value: Any, tensors: Mapping[str, Tensor], names: set[str]) -> Any:
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "tensor":
        names.add(content)
        return tensors[content]
    if tag == "dict":
        return {key: _decode(item, tensors, names) for key, item in content}
    items = [_decode(item, tensors, names) for item in content]
    return {"list": items, "tuple": tuple(items)}[tag]


def _join(place: str, key: str | int) -> str:
    return f"{place}/{key}" if place else str(key)


def _some(names: set[str]) -> str:
    """A few of the names, for a message."""
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
