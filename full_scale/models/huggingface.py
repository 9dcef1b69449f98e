"""Language models of the Hugging Face kind: opened as bases, and loaded with an adapter.

    from full_scale.models.huggingface import load_model

    model = load_model("answerdotai/ModernBERT-base", "runs/own/model.safetensors")
    model.complete(["The capital of France is"], length=32, steps=4)

A base is any masked language model: `AutoModelForMaskedLM`, or a bidirectional model with code of
its own (`trust_remote_code`), such as LLaDA and Dream. An adapter is a safetensors file of
`python -m full_scale.train own`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from di4c.latents import LatentPolicy
from di4c.processes import MaskedProcess
from di4c.rng import Generator
from di4c.samplers import ancestral
from di4c.schedules import uniform_grid
from full_scale.data.text_columns import Encoder
from full_scale.models.language.base import Base, as_base, open_base
from full_scale.models.language.latent import Adapter, LatentLanguageModel
from full_scale.models.language.network import LanguageNetwork
from full_scale.models.tensor_file import file_sha256, read_tensors, write_tensors

KIND = "language-adapter"

__all__ = ["Base", "Loaded", "as_base", "build", "load_model", "open_base", "write_adapter"]


def build(base: Base, adapter: Adapter) -> tuple[LatentLanguageModel, MaskedProcess]:
    """The model with adapters and latent, and masked noise over its vocabulary."""
    model = LatentLanguageModel(base.model, adapter, shift=base.shift, mask_state=base.mask_state)
    return model, MaskedProcess(model.num_states, mask_state=base.mask_state)


def write_adapter(
    path: Path, weights: dict[str, Tensor], base: Base, adapter: Adapter, manifest: dict[str, Any]
) -> None:
    """Write the trained weights, a few megabytes, as a safetensors file."""
    described = {
        "kind": KIND,
        "base": base.name,
        "fingerprint": base.fingerprint,
        "mask_state": base.mask_state,
        "adapter": asdict(adapter),
        "manifest": manifest,
    }
    write_tensors(path, weights, described)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A base with its adapter, ready to sample.

    Attributes:
        base: the base.
        model: the student; without adapters the teacher.
        process: masked noise over its vocabulary.
        sha256: SHA-256 of the adapter's file.
        manifest: record of where its weights come from.
    """

    base: Base
    model: LatentLanguageModel
    process: MaskedProcess
    sha256: str
    manifest: dict[str, Any] = field(repr=False)

    def sample(
        self,
        start: Int[Tensor, "batch dim"],
        steps: int,
        *,
        fixed: Bool[Tensor, "batch dim"] | None = None,
        valid: Bool[Tensor, "batch dim"] | None = None,
        generator: Generator | None = None,
        teacher: bool = False,
    ) -> Int[Tensor, "batch dim"]:
        """Tokens by ancestral sampling in `steps` calls; each call draws a new latent.

        Args:
            start: tokens that are given, and masks elsewhere.
            steps: number of calls.
            fixed: which tokens are given; None for all that are no mask.
            valid: which tokens are no padding.
            generator: source of randomness.
            teacher: sample from the base alone.
        """
        network = LanguageNetwork(self.model, self.process, valid, adapted=not teacher).denoise
        latent = None if teacher or self.model.latent is None else LatentPolicy()
        options = {"fixed": fixed, "valid": valid, "latent": latent, "generator": generator}
        return ancestral(self.process, network, start, uniform_grid(steps), **options).samples

    def complete(
        self,
        prompts: Sequence[str],
        length: int,
        steps: int,
        *,
        generator: Generator | None = None,
        teacher: bool = False,
    ) -> list[str]:
        """Texts that begin with the prompts, up to the first token that ends a text.

        Args:
            prompts: the prompts; "" for none.
            length: number of tokens in all.
            steps: number of calls.
            generator: source of randomness.
            teacher: sample from the base alone.

        Raises:
            ValueError: If a prompt does not fit into the length, or the length into the model.
        """
        encoder = Encoder(self.base.tokenizer, length, self.model.tokens_most)
        rows = [encoder.prompt(text, self.base.mask_state) for text in prompts]
        start, fixed = (torch.stack(parts) for parts in zip(*rows, strict=True))
        device = self.model.embedding.weight.device
        found = self.sample(
            start.to(device),
            steps,
            fixed=fixed.to(device),
            generator=generator,
            teacher=teacher,
        )
        given = fixed.sum(1).tolist()
        return [encoder.text(*row) for row in zip(found.tolist(), given, strict=True)]


def load_model(
    base: str | Path | Base,
    adapter: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    mask_token: str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """Load a base and the adapter that was trained for it.

    Args:
        base: the base, its name on the hub, or its folder.
        adapter: file of `python -m full_scale.train own`, or the folder of that run.
        device: where to put both.
        dtype: dtype of the base's weights.
        mask_token: see `open_base`.
        trust_remote_code: see `open_base`.

    Raises:
        FileNotFoundError: If there is no such adapter.
        ValueError: If it is no adapter, or belongs to another base.
    """
    path = Path(adapter)
    path = path / "model.safetensors" if path.is_dir() else path
    tensors, described = read_tensors(path)
    if not isinstance(described, dict) or described.get("kind") != KIND:
        raise ValueError(f"{path} is no adapter; give a file of python -m full_scale.train own")
    if not isinstance(base, Base):
        options = {"mask_token": mask_token, "trust_remote_code": trust_remote_code}
        base = open_base(base, dtype=dtype, **options)
    settings = Adapter(**described["adapter"])
    if base.mask_state != described["mask_state"]:
        raise ValueError(
            f"adapter {path} was trained with token {described['mask_state']} as the mask; got "
            f"{base.mask_state}: give the same mask_token"
        )
    if base.fingerprint != described["fingerprint"]:
        raise ValueError(
            f"adapter {path} was trained for {described['base']!r}, whose weights differ from "
            f"those of {base.name!r}; give its own base"
        )
    model, process = build(base, settings)
    model.load_trained(tensors)
    model.to(device).eval().requires_grad_(False)
    return Loaded(base, model, process, file_sha256(path), described["manifest"])
