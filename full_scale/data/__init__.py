"""Data sets of token sequences, opened by name.

A data set is a `TokenData`. Its item i is {"x_0": (D,) int64}, perhaps with a "label", and never
changes. Only the order is random (`full_scale.data.order`). An augmented example, such as a mirror
image, is therefore a separate item. A method `examples()` then says which items come from the same
example (`full_scale.data.share`). A module `full_scale.data.NAME`, with "_" in place of "-",
provides

    open_split(folder: Path | None, split: str, **options) -> TokenData

If it finds no data, it raises a ValueError. Its one line says which command prepares the data.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

DATA = ("cifar10", "digits", "imagenet", "mnist-tokens", "openwebtext", "words")


@runtime_checkable
class TokenData(Protocol):
    """A data set of token sequences.

    Attributes:
        num_dims: D, number of tokens of an item.
        num_values: S, number of values of a token: 0..S - 1, without a mask.
        num_classes: number of classes of the labels; None without labels.
        sha256: hash of the content; None for data that comes with a package.
    """

    num_dims: int
    num_values: int
    num_classes: int | None
    sha256: str | None

    def __len__(self) -> int:
        """Number of items."""
        ...

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Item: "x_0" (D,) int64, and "label" () int64 where there are classes."""
        ...


def open_data(
    name: str, folder: Path | str | None = None, split: str = "train", **options: Any
) -> TokenData:
    """Open a data set.

    Args:
        name: one of `DATA`.
        folder: folder of the prepared data. None means data/NAME. Data that comes with a package
            has no folder.
        split: "train" or "test".
        **options: further options of `open_split` of that data set.

    Raises:
        ValueError: If there is no such data set, split or option, or its files are missing.
    """
    if name not in DATA:
        raise ValueError(f"data must be one of {', '.join(DATA)}; got {name!r}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test'; got {split!r}")
    open_split = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").open_split
    known = list(inspect.signature(open_split).parameters)[2:]
    if unknown := options.keys() - known:
        raise ValueError(
            f"{name} has no option {', '.join(sorted(unknown))}; its options are: "
            f"{', '.join(known) or 'none'}"
        )
    return open_split(None if folder is None else Path(folder), split, **options)
