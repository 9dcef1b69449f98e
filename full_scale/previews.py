"""Sheets of samples for people: pixels and decoded codes as a picture, tokens as text."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch import Tensor

from full_scale.data.tables import open_tokenizer
from full_scale.models import DenoiserConfig, DiTConfig, MaskGITConfig


class Previews:
    """Writes samples in the form that people can judge, as far as the means are there.

    Args:
        config: of the network that makes them.
        decoder: converted VQGAN for codes, tokenizer (folder or name on the hub) for text; None
            writes codes and tokens as numbers.

    Raises:
        ValueError: If the decoder cannot be opened.
        FileNotFoundError: If there is no such file.
    """

    def __init__(self, config: DenoiserConfig, decoder: str | None = None) -> None:
        from full_scale.evaluation import (
            decoding,  # at the top it would go round in a circle: it needs sheet
        )

        self._show = decoding.show
        self._content = decoding.content_of(config)
        self._vqgan, self._tokenizer = None, None
        if decoder is not None and isinstance(config, MaskGITConfig):
            self._vqgan = decoding.open_vqgan(decoder, "cpu")
        elif decoder is not None and isinstance(config, DiTConfig):
            self._tokenizer = open_tokenizer(decoder)  # fails now, and not after hours

    def write(self, samples: Int[Tensor, "batch dim"], path: Path) -> Path:
        """Write samples; the suffix is added to `path`: .png, .jsonl, or .npy for numbers."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = self._show(samples.numpy(), self._content, path, self._vqgan, self._tokenizer)
        if shown is None:
            shown = path.with_suffix(".npy")
            np.save(shown, samples.numpy())
        return shown


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
