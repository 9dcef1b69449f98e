"""CIFAR-10 as pixels: D = 3 x 32 x 32, channel by channel; S = 256 levels; 10 classes.

python -m full_scale.prepare cifar10 --source uoft-cs/cifar10
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from full_scale.data.packed import Description, PackedTokens, Rows, WithMirrorImages, pack
from full_scale.data.tables import open_table
from reporting import manifest

SHAPE = (3, 32, 32)
NUM_VALUES, NUM_CLASSES = 256, 10
HUB_NAME = "uoft-cs/cifar10"
FOLDER = Path("data/cifar10")
_BATCH = 1000


def open_split(
    folder: Path | None, split: str, mirror: bool | None = None
) -> PackedTokens | WithMirrorImages:
    """Open the 50 000 training or 10 000 test pictures that `prepare` has written.

    Args:
        folder: folder of the prepared pictures; data/cifar10 if None.
        split: "train" or "test".
        mirror: whether to add the mirror images. None adds them to the training pictures, because
            tauLDR and Di4C flip training pictures at random.

    Raises:
        ValueError: If the pictures are not there.
    """
    path = (folder or FOLDER) / split
    data = PackedTokens(path, f"run: python -m full_scale.prepare cifar10 --out {path.parent}")
    mirror = split == "train" if mirror is None else mirror
    return WithMirrorImages(data, SHAPE) if mirror else data


def prepare(folder: Path, split: str, source: str = HUB_NAME) -> PackedTokens:
    """Write one split, or continue where an earlier call was interrupted.

    Args:
        folder: folder to write to; each split gets a folder inside.
        split: "train" or "test".
        source: data set with the columns img (pictures) and label, see `tables.open_table`.

    Raises:
        ValueError: If the source cannot be used, or the folder holds other data.
    """
    table = open_table(source, split, ("img", "label"), picture="img")
    described = {"data": "cifar10", "split": split, "source": source, "pictures": len(table)}
    description = Description(int(np.prod(SHAPE)), NUM_VALUES, NUM_CLASSES, described)
    return pack(folder / split, description, partial(_rows, table, split), manifest())


def _rows(table: Any, split: str, cursor: int | None) -> Iterator[Rows]:
    from tqdm import tqdm

    start, total = cursor or 0, len(table)
    with tqdm(total=total, initial=start, desc=f"cifar10 {split}", unit="pictures") as bar:
        while start < total:
            batch = table[start : start + _BATCH]
            pictures = [_pixels(img, start + i) for i, img in enumerate(batch["img"])]
            start += len(pictures)
            bar.update(len(pictures))
            yield Rows(np.stack(pictures), np.asarray(batch["label"]), start)


def _pixels(picture: Any, number: int) -> np.ndarray:
    """Levels (3072,), channel by channel and row by row, as tauLDR's network takes them."""
    pixels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    if pixels.shape != SHAPE:
        raise ValueError(
            f"picture {number} has {picture.width} x {picture.height} pixels, not 32 x 32; give a "
            "--source that holds CIFAR-10"
        )
    return pixels.reshape(-1)
