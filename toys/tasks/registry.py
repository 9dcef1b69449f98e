"""The tasks of the benchmark: laws that are known exactly, synthetic and real.

Every law is a vector over S^D states, small enough for the exact engine. No law is estimated from
random samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.laws import as_law
from reporting.arrays import read_array
from toys.tasks import synthetic_laws
from toys.tasks.real_laws import NUM_LETTERS, patch_law, window_law
from toys.tasks.synthetic_laws import PICTURE_STATES


@dataclass(frozen=True)
class Task:
    """A law to learn.

    Attributes:
        name: what `--task` takes.
        title: the name in pictures.
        num_values: S, values of one coordinate (no mask).
        num_dims: D.
        law: makes the law, (S^D,), float64, summing to 1; computed once in each Python process.
        picture: whether D = 2 and the law makes a picture.
    """

    name: str
    title: str
    num_values: int
    num_dims: int
    law: Callable[[], Float[Tensor, "atom"]]
    picture: bool = False


def _patches(size: int) -> Tensor:
    return patch_law(size)[0]


def _windows(length: int) -> Tensor:
    return window_law(length)[0]


def _moons() -> Tensor:
    return synthetic_laws.two_moons(PICTURE_STATES).flatten()


@cache
def _law(function: Callable[..., Tensor], *arguments: float) -> Tensor:
    return function(*arguments)


def _task(
    name: str,
    title: str,
    num_values: int,
    num_dims: int,
    law: Callable[..., Tensor],
    *arguments: float,
    picture: bool = False,
) -> Task:
    return Task(name, title, num_values, num_dims, partial(_law, law, *arguments), picture)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _task("pair", "correlated pair", 2, 2, synthetic_laws.correlated_pair, 0.9),
        _task("parity8", "parity of 8 bits", 2, 8, synthetic_laws.parity, 8),
        _task("repetition8", "one bit, 8 times", 2, 8, synthetic_laws.repetition, 8),
        # Correlation lengths 1.3, 3.7 and 27 on a ring of 12 spins.
        _task("ising12-hot", "Ising ring, hot", 2, 12, synthetic_laws.ring_ising, 12, 0.5),
        _task("ising12-warm", "Ising ring, warm", 2, 12, synthetic_laws.ring_ising, 12, 1.0),
        _task("ising12-cold", "Ising ring, cold", 2, 12, synthetic_laws.ring_ising, 12, 2.0),
        _task("digits3x3", "digit patches, 3 x 3", 2, 9, _patches, 3),
        _task("digits4x4", "digit patches, 4 x 4", 2, 16, _patches, 4),
        _task("letters3", "words, 3 letters", NUM_LETTERS, 3, _windows, 3),
        _task("letters4", "words, 4 letters", NUM_LETTERS, 4, _windows, 4),
        _task("permutations5", "permutations of 5", 5, 5, synthetic_laws.permutations, 5),
        _task("hmm8", "hidden Markov chain", 4, 8, synthetic_laws.hidden_markov, 8, 4),
        _task("checkerboard", "checkerboard", 32, 2, synthetic_laws.checkerboard, 32, picture=True),
        _task("moons", "two moons", 32, 2, _moons, picture=True),
        _task("digit32", "a digit", 32, 2, synthetic_laws.digit_picture, 32, picture=True),
    )
}


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: If there is none; the message lists all names.
    """
    if name not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {name!r}")
    return TASKS[name]


def task_from_file(path: Path | str) -> Task:
    """A user's own law: a .npy array of shape (S,)*D that sums to 1, named after the file.

    Raises:
        ValueError: If the file holds anything else; the message says what it holds.
    """
    path = Path(path)
    array = np.array(read_array(path, "give a law as numpy.save writes it"))
    if array.ndim < 2 or len(set(array.shape)) != 1:
        shape = getattr(array, "shape", None)
        raise ValueError(
            f"law {path} must be one array of shape (S,)*D with D >= 2; got shape {shape}"
        )
    if array.shape[0] < 2 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"law {path} must hold probabilities of at least 2 values a coordinate; got "
            f"{array.dtype} of shape {array.shape}"
        )
    num_values = array.shape[0]
    if array.dtype.kind != "f" or array.dtype.itemsize > 4:  # `as_law` is laxer with short floats
        array = array.astype(np.float64)
    try:
        law, num_dims = as_law(torch.from_numpy(array), num_values)
    except ValueError as error:
        raise ValueError(f"law {path}: {error}") from None
    law = law / law.sum()  # products of D marginals would raise a rounding error to the power D
    make = partial(torch.clone, law)
    return Task(path.stem, path.stem, num_values, num_dims, make, picture=num_dims == 2)
