"""A sheet of samples as a file: pixels as a picture, tokens as numbers."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch import Tensor

from full_scale.backbones import DenoiserConfig, UNetConfig


def write_preview(samples: Int[Tensor, "batch dim"], config: DenoiserConfig, path: Path) -> Path:
    """Write samples to `path` with the suffix that fits.

    Args:
        samples: states.
        config: of the network that made them.
        path: without suffix.

    Returns:
        A PNG for pixels; for tokens an .npy, which `full_scale.sample --decode` style tools turn
        into pictures or text.
    """
    if not isinstance(config, UNetConfig):
        path = path.with_suffix(".npy")
        np.save(path, samples.numpy())
        return path
    from matplotlib.image import imsave  # slow: few runs draw

    path = path.with_suffix(".png")
    images = samples.reshape(-1, config.channels, config.height, config.width)
    imsave(path, sheet(images.numpy() / (config.num_states - 1)))
    return path


def sheet(images: np.ndarray, margin: int = 1) -> np.ndarray:
    """Images (N, channels, height, width) in [0, 1] side by side: (height, width, 3)."""
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    result = np.ones((rows * (height + margin) - margin, columns * (width + margin) - margin, 3))
    for index, image in enumerate(images):
        top, left = (
            place * (size + margin)
            for place, size in zip(divmod(index, columns), (height, width), strict=True)
        )
        result[top : top + height, left : left + width] = np.moveaxis(
            np.broadcast_to(image, (3, height, width)) if channels == 1 else image, 0, -1
        )
    return result
