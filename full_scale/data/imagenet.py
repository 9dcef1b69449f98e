"""ImageNet 256 x 256 as VQGAN codes: D = 16 x 16 row by row, S = 1024, 1000 classes.

python -m full_scale.prepare imagenet --source DIR/train --vqgan vqgan.safetensors

There is one folder of pictures for each class. Classes are numbered in the order of the folder
names; hidden folders and folders without pictures do not count. With fewer folders than the model
has classes, a class map says which class each folder is. The header of the data holds the classes.

Each picture is scaled so that its shorter side has 256 pixels, and its centre is cut out. Since
codes are computed once, training sees no random crops, which the published training has. With
`mirror` it sees random flips: the codes of each mirror image are stored in the row after those of
the picture.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from full_scale.data.packed import Description, PackedTokens, Rows, pack
from reporting import manifest
from reporting.inputs import parsing, require_file

FOLDER = Path("data/imagenet")
SUFFIXES = (".jpeg", ".jpg", ".png")


class Encoder(Protocol):
    """Turns pictures into codes."""

    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, height, width) of pictures (B, 3, H, W) in [-1, 1]."""
        ...


def open_split(folder: Path | None, split: str) -> PackedTokens:
    """Open the codes and classes of one split that `prepare` has written.

    Args:
        folder: folder of the prepared codes; data/imagenet if None.
        split: "train" or "test" (the published validation pictures).

    Raises:
        ValueError: If the codes are not there.
    """
    path = (folder or FOLDER) / split
    return PackedTokens(path, f"run: python -m full_scale.prepare imagenet --out {path.parent}")


def prepare(
    folder: Path,
    split: str,
    source: Path,
    encoder: Encoder,
    *,
    encoder_name: str,
    num_values: int = 1024,
    resolution: int = 256,
    downsampling: int = 16,
    mirror: bool = False,
    class_map: Path | None = None,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
) -> PackedTokens:
    """Encode one split, or continue where an earlier call was interrupted.

    Args:
        folder: folder to write to; each split gets a folder inside.
        split: "train" or "test".
        source: a folder with one folder of pictures for each class.
        encoder: the VQGAN, on the device.
        encoder_name: name of the VQGAN. The header records it, because the codes of another VQGAN
            mean other pictures.
        num_values: number of codes of the VQGAN.
        resolution: side of the encoded pictures in pixels.
        downsampling: number of pixels along the side of one code.
        mirror: whether to encode mirror images as well.
        class_map: file whose lines begin with the names of all folders, in the order of the model's
            classes. None numbers the folders that are there.
        batch_size: pictures encoded at once.
        device: where to encode.

    Raises:
        ValueError: If there are no pictures, one of them cannot be read, the class map lacks a
            folder, or the folder holds other data.
    """
    pictures = _list(source)
    names = list(pictures) if class_map is None else _names(class_map)
    if absent := sorted(pictures.keys() - set(names)):
        raise ValueError(
            f"class_map {class_map} has no line for {', '.join(absent[:3])}; it must have one line "
            "for each class, and each line must begin with the name of a folder"
        )
    classes = {name: names.index(name) for name in pictures}
    files = [file for found in pictures.values() for file in found]
    labels = np.repeat(list(classes.values()), [len(found) for found in pictures.values()])
    listed = "\n".join(str(file.relative_to(source)) for file in files)
    described = {
        "data": "imagenet",
        "split": split,
        "pictures": len(files),
        "names_sha256": hashlib.sha256(listed.encode()).hexdigest(),
        "encoder": encoder_name,
        "resolution": resolution,
        "mirror": mirror,
        "classes": classes,
    }
    num_dims = (resolution // downsampling) ** 2
    description = Description(num_dims, num_values, len(names), described)
    encode = partial(_encode, encoder, resolution, mirror, device)
    rows = partial(_rows, files, labels, batch_size, encode)
    return pack(folder / split, description, rows, manifest())


def picture(path: Path, resolution: int) -> np.ndarray:
    """The centre of a picture, (resolution, resolution, 3) uint8.

    Raises:
        ValueError: If the file is not a picture.
    """
    from PIL import Image

    require_file(path)
    with parsing(path, "a picture", "replace or remove it"), Image.open(path) as image:
        image = image.convert("RGB")
    scale = resolution / min(image.size)
    width, height = (max(resolution, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    return np.asarray(image.crop((left, top, left + resolution, top + resolution)))


def _list(source: Path) -> dict[str, list[Path]]:
    """The pictures of each class, in order: by the name of its folder."""
    folders = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    pictures = {
        folder.name: sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        for folder in folders
        if not folder.name.startswith(".")  # for example .ipynb_checkpoints
    }
    pictures = {name: found for name, found in pictures.items() if found}
    if not pictures:
        raise ValueError(
            f"source {source} holds no pictures; it must be a folder with one folder of .JPEG or "
            ".png files per class, for example train/n01440764/n01440764_10026.JPEG"
        )
    return pictures


def _names(class_map: Path) -> list[str]:
    """The first word of each line."""
    names = [line.split()[0] for line in class_map.read_text("utf-8").splitlines() if line.strip()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"class_map {class_map} has {twice} twice; give each class one line")
    return names


def _rows(
    files: list[Path], labels: np.ndarray, batch_size: int, encode: Any, cursor: int | None
) -> Iterator[Rows]:
    from tqdm import tqdm

    start = cursor or 0
    with tqdm(total=len(files), initial=start, desc="imagenet", unit="pictures") as bar:
        while start < len(files):
            batch = files[start : start + batch_size]
            codes = encode(batch)
            repeats = len(codes) // len(batch)
            label = labels[start : start + batch_size].repeat(repeats)
            start += len(batch)
            bar.update(len(batch))
            yield Rows(codes, label, start)


def _encode(
    encoder: Encoder, resolution: int, mirror: bool, device: torch.device | str, files: list[Path]
) -> np.ndarray:
    """Codes (n, D) of pictures; with `mirror`, each one is followed by its mirror image."""
    pixels = torch.from_numpy(np.stack([picture(file, resolution) for file in files]))
    images = pixels.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    if mirror:
        images = torch.stack([images, images.flip(-1)], 1).flatten(0, 1)
    with torch.no_grad():
        return encoder.encode(images).flatten(1).cpu().numpy()
