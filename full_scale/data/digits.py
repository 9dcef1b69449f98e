"""The 8 x 8 handwritten digits of scikit-learn: 1797 images with 17 grey levels, no download.

D = 64 pixels, row by row; S = 17 values 0..16; the digit is the label. The images form three fixed
parts: 1000 for training, 300 for validation, and 497 that are held out as the test split. The parts
do not depend on the seed of a run.
"""

import hashlib
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

NUM_DIMS, NUM_VALUES, NUM_CLASSES, SIDE = 64, 17, 10, 8

PARTS = {"train": 1000, "validation": 300, "test": 497}
"""Number of images of each part."""


class Digits:
    """Images of digits, a `full_scale.data.TokenData`.

    Args:
        images: grey levels, (N, 64).
        labels: digits, (N,).

    Attributes:
        sha256: hash of all three parts, the same for each of them.
    """

    num_dims = NUM_DIMS
    num_values = NUM_VALUES
    num_classes = NUM_CLASSES

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels
        self.sha256 = _content_sha256()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x_0": self.images[index], "label": self.labels[index]}


def open_split(folder: Path | None, split: str, validation: bool = False) -> Digits:
    """Open the training images or the held-out images.

    Args:
        folder: must be None.
        split: "train" or "test".
        validation: open the validation images instead; only with the split "train".

    Raises:
        ValueError: If a folder is given, validation images of the test split are asked for, or
            scikit-learn is not installed.
    """
    if folder is not None:
        raise ValueError(f"digits come with scikit-learn and take no data folder; got {folder}")
    if validation and split != "train":
        raise ValueError(f"split must be 'train' with validation=True; got {split!r}")
    return Digits(*part("validation" if validation else split))


def part(name: str) -> tuple[Int[Tensor, "image 64"], Int[Tensor, "image"]]:
    """Images and labels of one part: "train", "validation" or "test"."""
    return _parts()[name]


@cache  # reading the text file is slow
def _parts() -> dict[str, tuple[Tensor, Tensor]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            "scikit-learn is missing; install it with: pip install -e '.[full-scale]'"
        ) from None
    images, labels = (torch.as_tensor(array).long() for array in load_digits(return_X_y=True))
    # A fixed seed, so that the parts never depend on the seed of a run.
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    places = shuffled.split(list(PARTS.values()))
    return {name: (images[own], labels[own]) for name, own in zip(PARTS, places, strict=True)}


@cache
def _content_sha256() -> str:
    """SHA-256 of images and labels, part by part, one byte for each number."""
    digest = hashlib.sha256()
    for images, labels in _parts().values():
        digest.update(images.to(torch.uint8).numpy().tobytes())
        digest.update(labels.to(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
