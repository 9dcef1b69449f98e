"""Turns the tokens of samples into pictures and texts, for metrics and for people."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from full_scale.data import mnist_tokens
from full_scale.data.tables import open_tokenizer
from full_scale.models.base import DenoiserConfig
from full_scale.models.load import Loaded, load_model
from reporting.files import write_whole

Pictures = UInt8[Tensor, "batch 3 height width"]


def open_vqgan(source: str, device: torch.device | str) -> Loaded:
    """Load a VQGAN.

    Raises:
        ValueError: If the source is a model of another kind.
    """
    model = load_model(source, device=device)
    if model.config.kind != "vqgan":
        raise ValueError(f"vqgan {source} is a {model.config.name}; give a converted VQGAN")
    return model


def pictures(
    samples: Int[np.ndarray, "batch dim"], content: Mapping[str, Any], vqgan: Loaded | None = None
) -> Pictures:
    """Samples as 8-bit RGB pictures. The three channels of a grey picture are equal.

    Args:
        samples: pixels or codes.
        content: what the samples are (`full_scale.models.base.DenoiserConfig.content`).
        vqgan: decodes codes.

    Raises:
        ValueError: If the samples are texts, or if they are codes and there is no VQGAN.
    """
    numbers = torch.from_numpy(np.asarray(samples).astype(np.int64))
    if content["kind"] == "pixels":
        grey = numbers.unflatten(1, content["shape"]).double() * (255 / (content["levels"] - 1))
        return grey.round().to(torch.uint8).expand(-1, 3, -1, -1)
    if content["kind"] != "codes":
        raise ValueError("samples are texts, not pictures; leave picture metrics out")
    if "code_book" in content:
        return (
            mnist_tokens.decode(numbers)
            .mul(255)
            .round()
            .to(torch.uint8)[:, None]
            .expand(-1, 3, -1, -1)
        )
    if vqgan is None:
        raise ValueError("samples are codes of a VQGAN; give it: --vqgan FILE")
    device = next(vqgan.backbone.parameters()).device
    with torch.no_grad():
        images = vqgan.decode(numbers.to(device)).cpu()
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def texts(samples: Int[np.ndarray, "batch dim"], tokenizer: Any) -> list[str]:
    """Samples as texts. Special tokens appear as words."""
    return tokenizer.batch_decode(np.asarray(samples).astype(np.int64).tolist())


class Letters:
    """Decodes tokens that are letters, in place of a tokenizer.

    Args:
        alphabet: the character of each value. The last one is the padding, which is left out at
            the end of a text.
    """

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet

    def batch_decode(self, tokens: list[list[int]]) -> list[str]:
        """The text of each row of tokens."""
        rows = ("".join(self.alphabet[value] for value in row) for row in tokens)
        return [row.rstrip(self.alphabet[-1]) for row in rows]


def show(
    samples: Int[np.ndarray, "batch dim"],
    content: Mapping[str, Any],
    path: Path,
    vqgan: Loaded | None = None,
    tokenizer: Any = None,
) -> Path | None:
    """Write samples for people: one sheet of pictures, or one text in each line.

    Args:
        samples: a few samples.
        content: what the samples are (`full_scale.models.base.DenoiserConfig.content`).
        path: file to write, without its suffix.
        vqgan: decodes codes.
        tokenizer: decodes texts, from `full_scale.data.tables.open_tokenizer`.

    Returns:
        The PNG file, or the file of JSON lines {"text": ...}. None if the VQGAN or the tokenizer
        that decodes the samples is missing.
    """
    if content["kind"] == "text":
        if "alphabet" in content:
            tokenizer = Letters(content["alphabet"])
        if tokenizer is None:
            return None
        path = path.with_suffix(".jsonl")
        lines = [json.dumps({"text": t}) for t in texts(samples, tokenizer)]
        write_whole(path, ("\n".join(lines) + "\n").encode())
        return path
    if content["kind"] == "codes" and "code_book" not in content and vqgan is None:
        return None
    from PIL import Image  # slow to import, and only pictures need it

    path = path.with_suffix(".png")
    page = sheet(pictures(samples, content, vqgan).numpy() / 255, margin=2)
    image = Image.fromarray(np.round(page * 255).astype(np.uint8))
    write_whole(path, lambda file: image.save(file, "png"))
    return path


class Previews:
    """Writes samples during training: as pictures or texts if it can decode them, else as numbers.

    Args:
        config: sizes of the network that draws the samples.
        decoder: converted VQGAN for codes; tokenizer (folder or name on the hub) for texts. With
            None, codes and tokens are written as numbers.

    Raises:
        ValueError: If the decoder cannot be opened.
        FileNotFoundError: If there is no such file.
    """

    def __init__(self, config: DenoiserConfig, decoder: str | None = None) -> None:
        self._content = config.content()
        self._vqgan, self._tokenizer = None, None
        if decoder is not None and self._content["kind"] == "codes":
            self._vqgan = open_vqgan(decoder, "cpu")
        elif decoder is not None and self._content["kind"] == "text":
            self._tokenizer = open_tokenizer(decoder)

    def write(self, samples: Int[Tensor, "batch dim"], path: Path) -> Path:
        """Write samples. The suffix is added to `path`: .png, .jsonl, or .npy for numbers."""
        shown = show(samples.numpy(), self._content, path, self._vqgan, self._tokenizer)
        if shown is None:
            shown = path.with_suffix(".npy")
            write_whole(shown, lambda file: np.save(file, samples.numpy()))
        return shown


def sheet(images: np.ndarray, margin: int = 1) -> np.ndarray:
    """Arrange images (N, channels, height, width) in [0, 1] in a grid: (height, width, 3)."""
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
