"""From the tokens of samples to what people and metrics look at: pictures and texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from full_scale.models import BackboneConfig, MaskGITConfig, UNetConfig
from full_scale.models.load import Loaded, load_model
from full_scale.previews import sheet

Pictures = UInt8[Tensor, "batch 3 height width"]


def content_of(config: BackboneConfig) -> dict[str, Any]:
    """What the tokens of a network's samples are, as JSON.

    Returns:
        {"kind": "pixels", "shape": [channels, height, width], "levels": S}, or {"kind": "codes"} of
        a VQGAN, or {"kind": "tokens"} of a text.
    """
    if isinstance(config, UNetConfig):
        shape = [config.channels, config.height, config.width]
        return {"kind": "pixels", "shape": shape, "levels": config.num_states}
    return {"kind": "codes" if isinstance(config, MaskGITConfig) else "tokens"}


def open_vqgan(source: str, device: torch.device | str) -> Loaded:
    """A VQGAN.

    Raises:
        ValueError: If the source is another model.
    """
    model = load_model(source, device=device)
    if model.kind != "vqgan":
        raise ValueError(f"vqgan {source} is a {model.kind}; give a converted VQGAN")
    return model


def pictures(
    samples: Int[np.ndarray, "batch dim"], content: dict[str, Any], vqgan: Loaded | None = None
) -> Pictures:
    """Samples as 8-bit RGB; grey pictures get three equal channels.

    Args:
        samples: pixels or codes.
        content: of `content_of`.
        vqgan: for codes.

    Raises:
        ValueError: If the samples are texts, or codes without a VQGAN.
    """
    numbers = torch.from_numpy(np.asarray(samples).astype(np.int64))
    if content["kind"] == "pixels":
        grey = numbers.unflatten(1, content["shape"]).double() * (255 / (content["levels"] - 1))
        return grey.round().to(torch.uint8).expand(-1, 3, -1, -1)
    if content["kind"] != "codes":
        raise ValueError("samples are texts and no pictures; leave picture metrics out")
    if vqgan is None:
        raise ValueError("samples are codes of a VQGAN; give it: --vqgan FILE")
    device = next(vqgan.backbone.parameters()).device
    with torch.no_grad():
        images = vqgan.decode(numbers.to(device)).cpu()
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def texts(samples: Int[np.ndarray, "batch dim"], tokenizer: Any) -> list[str]:
    """Samples as text, special tokens written out."""
    return tokenizer.batch_decode(np.asarray(samples).astype(np.int64).tolist())


def show(
    samples: Int[np.ndarray, "batch dim"],
    content: dict[str, Any],
    path: Path,
    vqgan: Loaded | None = None,
    tokenizer: Any = None,
) -> Path | None:
    """Write samples for people to look at: a sheet of pictures, or texts line by line.

    Args:
        samples: a few of them.
        content: of `content_of`.
        path: where, without suffix.
        vqgan: for codes.
        tokenizer: for texts, of `full_scale.data.tables.open_tokenizer`.

    Returns:
        The PNG or the JSON lines, {"text"} each; None where the means to decode them are missing.
    """
    if content["kind"] == "tokens":
        if tokenizer is None:
            return None
        path = path.with_suffix(".jsonl")
        lines = [json.dumps({"text": t}) for t in texts(samples, tokenizer)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path
    if content["kind"] == "codes" and vqgan is None:
        return None
    from PIL import Image  # slow: only who looks at pictures needs it

    path = path.with_suffix(".png")
    page = sheet(pictures(samples, content, vqgan).numpy() / 255, margin=2)
    Image.fromarray(np.round(page * 255).astype(np.uint8)).save(path)
    return path
