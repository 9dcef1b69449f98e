"""Checks of arguments that need no other module of the library."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor


def shown(value: object) -> str:
    """A value in one line, for errors: a number or a text itself, anything else by its type."""
    plain = value is None or isinstance(value, numbers.Number | str)
    return repr(value) if plain else type(value).__name__


def require_tensor(name: str, value: object, *, with_values: bool = True) -> None:
    """Raise TypeError unless the value is a tensor, by default one that holds numbers."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor; got {shown(value)}: use torch.as_tensor")
    if with_values and value.is_meta:
        raise TypeError(f"{name} must be a tensor with values; got one on the device meta")


def require_type(name: str, value: object, kind: Any, what: str) -> None:
    """Raise TypeError unless the value is of a type or of a union of types.

    Args:
        name: what to call the value in the error.
        value: the value.
        kind: the types.
        what: what the value must be, for the error.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {what}; got {shown(value)}")


def require_callable(name: str, value: object) -> None:
    """Raise TypeError unless the value can be called, as a network can."""
    if not callable(value):
        raise TypeError(f"{name} must be a function or a network; got {shown(value)}")


def check_count(
    name: str, value: object, least: int | None = 1, remedy: str = "", *, most: int | None = None
) -> None:
    """Raise ValueError unless the value is a whole number in the range, and no bool.

    Args:
        name: what to call the value in the error.
        value: the value.
        least: the smallest number; None for none.
        remedy: what the error advises.
        most: the largest number; None for none.
    """
    bound = f"be at least {least}" if most is None else f"lie in {least}..{most}"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        bound = "be a whole number"
    elif (least is None or least <= value) and (most is None or value <= most):
        return
    raise ValueError(f"{name} must {bound}; got {shown(value)}{remedy and ': '}{remedy}")


def check_number(name: str, value: object, interval: str = "[0, inf)", remedy: str = "") -> None:
    """Raise ValueError unless the value is a number in the interval, such as "(0, 1]"."""
    number = float(value) if isinstance(value, numbers.Real) else math.nan
    low, high = map(float, interval[1:-1].split(","))
    above = low < number or (low == number and interval[0] == "[")
    below = number < high or (number == high and interval[-1] == "]")
    if not (above and below):
        raise ValueError(
            f"{name} must lie in {interval}; got {shown(value)}{remedy and ': '}{remedy}"
        )


def check_time_scale(name: str, value: object) -> None:
    """Raise ValueError unless the value is a horizon or a rate of which squares are numbers too."""
    check_number(name, value, "[1e-50, 1e50]", "choose another unit of time")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    choices = list(choices)
    if value not in choices:
        names = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {names}; got {shown(value)}")


def check_device(name: str, device: torch.device | str | None) -> None:
    """Raise ValueError unless this machine has the device."""
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError, TypeError):
        raise ValueError(
            f"{name} must be a device of this machine, such as 'cpu'; got {str(device)!r}"
        ) from None


def check_floating(name: str, tensor: Tensor) -> None:
    """Raise ValueError unless the tensor has a float type, as probabilities have."""
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must have a float type; got {tensor.dtype}: use .float()")


def check_index_type(name: str, x: Tensor) -> None:
    """Raise ValueError unless x is int64."""
    if x.dtype != torch.int64:
        first = ""
        if x.is_floating_point() and x.numel():
            broken = (x % 1 != 0).nonzero()
            index = broken[0].tolist() if len(broken) else [0] * x.ndim
            first = f" ({float(x[tuple(index)]):.6g} at index {index})"
        raise ValueError(
            f"{name} must be int64, the dtype of indices; got {x.dtype}{first}: use .long()"
        )


def check_states(name: str, x: Tensor, num_states: int, remedy: str) -> None:
    """Raise ValueError unless x is int64 and every entry is a state in 0..num_states-1."""
    check_index_type(name, x)
    bad = (x < 0) | (x >= num_states)
    if bool(bad.any()):
        index = first_index(bad)
        raise ValueError(
            f"{name} must be states in 0..{num_states - 1}; got {int(x[index])} at index "
            f"{list(index)}: {remedy}"
        )


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Index of the first true entry."""
    return tuple(mask.nonzero()[0].tolist())


def may_be_read(values: Tensor) -> bool:
    """Whether values may be checked: on a GPU and under `torch.compile` this would cost time."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()
