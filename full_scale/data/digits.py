"""The 8 x 8 handwritten digits of scikit-learn: 1797 images with 17 grey levels, no download.

D = 64 pixels, row by row; S = 17 values 0..16; the digit is the label. Half of the images are held
out as the test split. The halves are fixed and do not depend on the seed of a run.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

NUM_DIMS, NUM_VALUES, NUM_CLASSES, SIDE = 64, 17, 10, 8


class Digits:
    """Images of digits, a `full_scale.data.TokenData`.

    Args:
        images: grey levels, (N, 64).
        labels: digits, (N,).
    """

    num_dims = NUM_DIMS
    num_values = NUM_VALUES
    num_classes = NUM_CLASSES
    sha256 = None

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x_0": self.images[index], "label": self.labels[index]}


def open_split(folder: Path | None, split: str) -> Digits:
    """Open the training half (899 images) or the held-out half (898 images).

    Raises:
        ValueError: If a folder is given, or scikit-learn is not installed.
    """
    if folder is not None:
        raise ValueError(f"digits come with scikit-learn and take no data folder; got {folder}")
    images, labels = _all_images()
    # A fixed seed, so that the halves never depend on the seed of a run.
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    half = shuffled[::2] if split == "train" else shuffled[1::2]
    return Digits(images[half], labels[half])


@cache  # reading the text file is slow
def _all_images() -> tuple[Tensor, Tensor]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            "scikit-learn is missing; install it with: pip install -e '.[full-scale]'"
        ) from None
    images, labels = load_digits(return_X_y=True)
    return torch.as_tensor(images).long(), torch.as_tensor(labels).long()
