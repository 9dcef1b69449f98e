"""Reference statistics of real pictures: mean and covariance of their features."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from full_scale.data import cifar10, digits, open_data
from full_scale.data.imagenet import SUFFIXES, picture
from full_scale.data.packed import HEADER, PackedTokens
from full_scale.evaluation.decoding import Pictures, pictures
from full_scale.evaluation.features import Extractor
from full_scale.evaluation.frechet import FeatureMoments, FrechetReference
from reporting.arrays import read_arrays
from reporting.files import write_whole

Look = Callable[[Pictures], Pictures]
"""A change of pictures, real and generated, before their features are computed."""


def open_reference(
    source: str,
    features: str,
    extractor: Extractor,
    look: Look,
    resolution: int,
    batch_size: int = 50,
    save: Path | None = None,
) -> FrechetReference:
    """The statistics of real pictures.

    Args:
        source: an .npz file with mu and sigma, saved earlier or published; or real pictures. These
            are a folder made by `full_scale.prepare cifar10`, any folder of picture files, or
            "digits" for the held-out images of digits.
        features: name of the extractor, which is saved with the statistics.
        extractor: computes the features.
        look: see `Look`.
        resolution: height and width of pictures that are read from files.
        batch_size: number of pictures in one call.
        save: .npz file to save the statistics in.

    Raises:
        ValueError: If there are no pictures, or if saved statistics belong to other features.
    """
    if source.endswith(".npz"):
        return _load(Path(source), features)
    batches, count = _batches(source, resolution, batch_size)
    moments, grey = None, True
    from tqdm import tqdm

    with tqdm(total=count, desc="real pictures", unit="pictures") as bar:
        for batch in batches:
            found = extractor(look(batch))
            grey = grey and found.grey
            part = FeatureMoments.of(found.features)
            moments = part if moments is None else moments.merged(part)
            bar.update(len(batch))
    assert moments is not None  # _batches refuses sources without pictures
    if grey:
        moments = moments.first(len(moments.mean) // 3)
    if save is not None:
        arrays: dict[str, Any] = {
            "mu": moments.mean.numpy(),
            "sigma": moments.covariance.numpy(),
            "features": features,
            "num_samples": moments.count,
        }
        write_whole(save, lambda file: np.savez(file, **arrays))
    return FrechetReference(moments.mean, moments.covariance)


def stretched(batch: Pictures) -> Pictures:
    """Pictures whose range is stretched to 0..255 each, as in the published ImageNet evaluation."""
    low, high = (extreme(batch.flatten(1), 1) for extreme in (torch.amin, torch.amax))
    low, span = low[:, None, None, None], (high - low).clamp_min(1)[:, None, None, None]
    return ((batch - low).double() * 255 / span).to(torch.uint8)


def _load(path: Path, features: str) -> FrechetReference:
    remedy = "give a file that --save-reference made, or published statistics"
    held = read_arrays(path, ("mu", "sigma"), ("features",), remedy)
    if "features" in held and str(held["features"]) != features:
        raise ValueError(
            f"reference {path} holds statistics of {str(held['features'])[:20]} features; give one "
            f"of {features} features, or another --features"
        )
    if not {held["mu"].dtype.kind, held["sigma"].dtype.kind} <= {*"fiu"}:
        raise ValueError(f"reference {path}: mu and sigma must hold real numbers; {remedy}")
    try:
        return FrechetReference(*(torch.from_numpy(held[name]) for name in ("mu", "sigma")))
    except ValueError as error:
        raise ValueError(f"reference {path}: {error}; {remedy}") from None


def _batches(source: str, resolution: int, batch_size: int) -> tuple[Iterator[Tensor], int]:
    folder = Path(source)
    if source == "digits":
        data = open_data("digits", split="test")
        x_0 = torch.stack([data[i]["x_0"] for i in range(len(data))]).numpy()
        shape = [1, digits.SIDE, digits.SIDE]
        return _of_pixels(x_0, shape, digits.NUM_VALUES, batch_size), len(x_0)
    if (folder / HEADER).is_file():
        packed = PackedTokens(folder)
        if packed.num_dims != int(np.prod(cifar10.SHAPE)) or packed.num_values != 256:
            raise ValueError(
                f"reference {source} holds tokens, not pixels; give the folder of picture files "
                "that they were made from"
            )
        return _of_pixels(packed.x_0, list(cifar10.SHAPE), 256, batch_size), len(packed)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(
            f"reference {source} holds no pictures; give an .npz of statistics, a folder of "
            "python -m full_scale.prepare cifar10, or a folder of picture files"
        )
    return _of_files(files, resolution, batch_size), len(files)


def _of_pixels(x_0: np.ndarray, shape: list[int], levels: int, size: int) -> Iterator[Tensor]:
    content = {"kind": "pixels", "shape": shape, "levels": levels}
    for start in range(0, len(x_0), size):
        yield pictures(x_0[start : start + size], content)


def _of_files(files: list[Path], resolution: int, size: int) -> Iterator[Tensor]:
    for start in range(0, len(files), size):
        pixels = np.stack([picture(file, resolution) for file in files[start : start + size]])
        yield torch.from_numpy(pixels).permute(0, 3, 1, 2)
