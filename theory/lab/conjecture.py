"""A conjecture: a file of a few lines, read, checked and evaluated in floats and exactly."""

import difflib
import inspect
import itertools
import math
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from flint import arb, fmpq
from torch import Tensor

from theory.lab.arithmetic import Number
from theory.lab.inputs import (
    GRIDS,
    INPUTS,
    LAWS,
    NOISES,
    SCHEDULES,
    Grid,
    Input,
    Kernel,
    NoiseInput,
    Setting,
    as_balls,
)
from theory.tools.enclosures import precision

RANGES = {"STATES": (2, 3), "DIMS": (2, 3), "STEPS": (1, 4)}
"""Settings that are whole numbers or ranges (first, last), with their default values."""

CHOICES = {
    "NOISE": (NOISES, "masked"),
    "SCHEDULES": (SCHEDULES, "linear"),
    "GRIDS": (GRIDS, "uniform"),
    "LAWS": (LAWS, "any"),
}
"""Settings that are words or tuples of words: the words to choose from, and the default."""

LARGEST_SPACE = 125  # states in all, masks included; kernels have the square of that many entries
BITS = (128, 512)  # of intervals; the second, where the first leaves the sign open


@dataclass(frozen=True)
class Conjecture:
    """The claim that left <= right for all inputs.

    Attributes:
        path: the file, for messages.
        text: the first sentence of the file.
        function: maps the inputs to (left, right), or to a margin that is claimed to be >= 0.
        inputs: the parameters of the function by name.
        settings: all choices from the ranges.
    """

    path: str
    text: str
    function: Callable[..., Any]
    inputs: dict[str, Input]
    settings: Sequence[Setting]

    def draw(self, setting: Setting, generator: torch.Generator) -> list[Tensor]:
        """Random free parameters of every input."""
        return [known.draw(setting, generator) for known in self.inputs.values()]

    def values(self, setting: Setting, free: Sequence[Tensor]) -> list[Any]:
        """The inputs as tensors."""
        pairs = zip(self.inputs.values(), free, strict=True)
        return [known.value(setting, part) for known, part in pairs]

    def sides(self, setting: Setting, values: Sequence[Any]) -> tuple[Number, Number]:
        """Left and right side; the left side is 0 if the function returns a margin.

        Raises:
            ValueError: if the function raises, or returns something else.
        """
        try:
            found = self.function(*values)
        except Exception as problem:
            words = " ".join(str(problem).split())
            raise ValueError(
                f"{self.path}: conjecture raised {type(problem).__name__} at {setting}: {words}"
            ) from problem
        both = found if isinstance(found, tuple | list) else (0, found)
        if len(both) != 2:
            raise ValueError(
                f"{self.path}: conjecture must return one margin or two sides (left, right); it "
                f"returned {len(both)} values"
            )
        for side in both:
            self._check_number(side)
        left, right = both
        return left, right

    def _check_number(self, side: Any) -> None:
        if isinstance(side, Tensor) and side.ndim == 0:
            return
        if isinstance(side, int | float | fmpq | arb) and not isinstance(side, bool):
            return
        shape = getattr(side, "shape", None)
        kind = type(side).__name__ if shape is None else f"an array of shape {tuple(shape)}"
        raise ValueError(
            f"{self.path}: conjecture must return numbers; it returned {kind}: sum over its axes, "
            "or take its largest entry"
        )

    def exact_sides(self, setting: Setting, exact: Sequence[Any]) -> tuple[Number, Number]:
        """Left and right side in exact numbers, from inputs in rationals.

        Rational as long as possible. A logarithm, a square root or a float makes an interval that
        contains the true number.
        """
        for bits in BITS:
            with precision(bits):
                try:
                    left, right = self.sides(setting, exact)
                except ValueError as problem:
                    if not isinstance(problem.__cause__, TypeError):
                        raise
                    # A float and a rational do not mix, a float and an interval do.
                    left, right = self.sides(setting, [as_balls(value) for value in exact])
                left, right = _exact(left), _exact(right)
                if sign(right - left) is not None:
                    break
        return left, right


def _exact(side: Number) -> Number:
    """A float is a rational number too; infinity becomes an interval."""
    if isinstance(side, float):
        return fmpq(*side.as_integer_ratio()) if math.isfinite(side) else arb(side)
    return side


def sign(margin: Number) -> int | None:
    """-1, 0 or 1; None if an interval leaves it open."""
    if isinstance(margin, arb):
        if margin.is_nan():
            return None
        return -1 if margin < 0 else 1 if margin > 0 else 0 if margin == 0 else None
    return (margin > 0) - (margin < 0)


def load(path: Path) -> Conjecture:
    """Read a conjecture.

    Raises:
        ValueError: if the file cannot be run, or does not describe a conjecture.
        OSError: if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such conjecture file", str(path))
    try:
        names = runpy.run_path(str(path))
    except Exception as problem:
        words = " ".join(str(problem).split())
        raise ValueError(f"{path}: the file raised {type(problem).__name__}: {words}") from problem
    function = names.get("conjecture")
    if not callable(function):
        raise ValueError(f"{path}: the file must define a function `conjecture`; see --help")
    inputs = {name: _input(path, name, kind) for name, kind in _parameters(function).items()}
    if not inputs:
        raise ValueError(f"{path}: conjecture must have parameters, such as `law: Law`")
    ranges = {name: _range(path, name, names.get(name, d)) for name, d in RANGES.items()}
    choices = {
        name: _choice(path, name, names.get(name, default), known)
        for name, (known, default) in CHOICES.items()
    }
    for name in names:
        _check_name(path, name)
    kinds = {type(known) for known in inputs.values()}
    if Grid not in kinds:  # what the conjecture does not ask for is not varied
        ranges["STEPS"], choices["GRIDS"] = ranges["STEPS"][:1], choices["GRIDS"][:1]
    if NoiseInput not in kinds:
        choices["NOISE"], choices["SCHEDULES"] = choices["NOISE"][:1], choices["SCHEDULES"][:1]
    settings = [
        Setting(*picked) for picked in itertools.product(*ranges.values(), *choices.values())
    ]
    noisy = kinds & {NoiseInput, Kernel}
    largest = max((s.noisy_states if noisy else s.num_states) ** s.num_dims for s in settings)
    if largest > LARGEST_SPACE:
        raise ValueError(
            f"{path}: STATES and DIMS allow {largest} states; the most is {LARGEST_SPACE}: "
            "take fewer"
        )
    text = " ".join((names.get("__doc__") or path.stem).strip().split("\n\n")[0].split())
    return Conjecture(str(path), text, function, inputs, settings)


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.annotation for p in parameters}


def _input(path: Path, name: str, kind: Any) -> Input:
    if kind not in INPUTS:
        known = ", ".join(sorted(known.__name__ for known in INPUTS))
        shown = "nothing" if kind is inspect.Parameter.empty else getattr(kind, "__name__", kind)
        raise ValueError(
            f"{path}: the parameter {name} of conjecture must be annotated with one of {known}; "
            f"got {shown}"
        )
    return INPUTS[kind]


def _range(path: Path, name: str, value: Any) -> range:
    ends = value if isinstance(value, tuple) else (value, value)
    least = 1 if name == "STEPS" else 2
    whole = len(ends) == 2 and all(isinstance(end, int) for end in ends)
    if not (whole and least <= ends[0] <= ends[1]):
        raise ValueError(
            f"{path}: {name} must be a whole number of at least {least}, or a pair (first, last) "
            f"of them; got {value!r}"
        )
    return range(ends[0], ends[1] + 1)


def _choice(path: Path, name: str, value: Any, known: Sequence[str]) -> Sequence[str]:
    words = value if isinstance(value, tuple) else (value,)
    if not words or any(word not in known for word in words):
        raise ValueError(
            f"{path}: {name} must be one of {', '.join(known)}, or a tuple of them; got {value!r}"
        )
    return tuple(words)


def _check_name(path: Path, name: str) -> None:
    """Refuse a setting whose name is misspelt: it would be ignored."""
    known = [*RANGES, *CHOICES]
    if name.isupper() and name not in known and not name.startswith("_"):
        close = difflib.get_close_matches(name, known)
        if close:
            raise ValueError(f"{path}: no setting is called {name}; did you mean {close[0]}?")
