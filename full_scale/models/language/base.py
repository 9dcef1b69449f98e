"""Opens masked language models of the Hugging Face kind, and refuses others in one line."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from full_scale.data.text_columns import first_line

_SPARE_ROWS = 1024
"""Heads have up to so many rows more than their tokenizer has tokens, for efficient products."""

_SHIFTED = ("Dream",)
"""Kinds of models whose logits at a position belong to the next token."""


@dataclass(frozen=True)
class Base:
    """A masked language model with its tokenizer.

    Attributes:
        name: name on the hub, or folder.
        model: the model.
        tokenizer: its tokenizer.
        mask_state: number of the mask token.
        shift: whether the logits at a position belong to the next token.
        fingerprint: hash of parts of all weights. Adapters belong to one base.
    """

    name: str
    model: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    mask_state: int
    shift: bool
    fingerprint: str


def open_base(
    name: str | Path,
    *,
    mask_token: str | None = None,
    trust_remote_code: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Base:
    """Open a masked language model by its name on the hub or its folder.

    Args:
        name: name on the hub, or a folder of `save_pretrained`.
        mask_token: the mask token, for a tokenizer that names none.
        trust_remote_code: run the code that comes with the model.
        dtype: dtype of its weights.

    Raises:
        ValueError: If there is no such model, it is causal, it has no mask token, or the tokenizer
            is of another vocabulary.
    """
    from transformers import AutoTokenizer  # slow to import

    name = str(name)
    options = {"trust_remote_code": trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"model {name!r} has no tokenizer that opens ({first_line(error)}); give a folder of "
            "save_pretrained or a name on the hub"
        ) from None
    config, kind = _kind(name, options)
    checked_mask(tokenizer, config, config.vocab_size, name, mask_token)  # before the weights
    model = kind.from_pretrained(name, config=config, dtype=dtype, **options)
    return as_base(model, tokenizer, name=name, mask_token=mask_token)


def as_base(
    model: nn.Module, tokenizer: Any, *, name: str = "model", mask_token: str | None = None
) -> Base:
    """A model and its tokenizer, checked.

    Args:
        model: takes input_ids or inputs_embeds, and attention_mask, and returns logits.
        tokenizer: its tokenizer.
        name: name in messages and records.
        mask_token: the mask token, for a tokenizer that names none.

    Raises:
        ValueError: If there is no mask token, or the tokenizer is of another vocabulary.
    """
    config = getattr(model, "config", None)
    rows = len(model.get_input_embeddings().weight)  # type: ignore[operator]
    mask_state = checked_mask(tokenizer, config, rows, name, mask_token)
    shift = getattr(config, "model_type", None) in _SHIFTED
    return Base(name, model, tokenizer, mask_state, shift, _fingerprint(model))


def checked_mask(tokenizer: Any, config: Any, rows: int, name: str, mask_token: str | None) -> int:
    """The number of the mask token.

    Args:
        tokenizer: the tokenizer.
        config: configuration of the model.
        rows: number of embeddings of the model.
        name: name of the model in messages.
        mask_token: the mask token, for a tokenizer that names none.

    Raises:
        ValueError: If there is no mask token, or the tokenizer is of another vocabulary.
    """
    if not 0 <= rows - len(tokenizer) <= max(_SPARE_ROWS, rows // 50):
        raise ValueError(
            f"tokenizer has {len(tokenizer)} tokens and model {name!r} {rows}, so it is of another "
            "vocabulary; give the tokenizer that belongs to the model"
        )
    if mask_token is not None:
        if mask_token not in tokenizer.get_vocab():
            raise ValueError(
                f"mask_token {mask_token!r} is no token of model {name!r}; give one of its tokens"
            )
        return int(tokenizer.get_vocab()[mask_token])
    for owner in (tokenizer, config):
        if (mask_state := getattr(owner, "mask_token_id", None)) is not None:
            return int(mask_state)
    raise ValueError(
        f"model {name!r} has no mask token; give a masked language model, or say which token it is "
        "with --mask-token"
    )


def open_empty(name: str | Path, trust_remote_code: bool, dtype: torch.dtype) -> nn.Module:
    """The model on the meta device, without weights.

    Raises:
        ValueError: As `open_base`.
    """
    options = {"trust_remote_code": trust_remote_code}
    config, kind = _kind(str(name), options)
    with torch.device("meta"):
        return kind.from_config(config, dtype=dtype, **options)


def _kind(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """The configuration of a model, and the class that opens it."""
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModel
    from transformers import AutoModelForMaskedLM as MaskedModel

    try:
        config = AutoConfig.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"model {name!r} does not open ({first_line(error)}); give a name on the hub or a "
            "folder, and --trust-remote-code for a model with code of its own"
        ) from None
    code = getattr(config, "auto_map", None) or {}
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING or "AutoModelForMaskedLM" in code:
        return config, MaskedModel
    if "AutoModel" in code:  # LLaDA and Dream register their model with its head in this way
        return config, AutoModel
    raise ValueError(
        f"model {name!r} is a {config.model_type}, which is no masked language model; give one, "
        "such as ModernBERT or BERT"
    )


@torch.no_grad()
def _fingerprint(model: nn.Module) -> str:
    """Hash of names, shapes and first numbers of all weights. It does not depend on their dtype."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten()[:8].bfloat16().view(torch.int16).cpu().numpy().tobytes())
    return digest.hexdigest()
