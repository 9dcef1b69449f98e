"""Tries a language model on a short text: whether it can be a base, and where its head is."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from full_scale.data.text_columns import first_line

_LENGTH = 6
_GIVE = "give a masked language model, such as ModernBERT, BERT, LLaDA or Dream"


@torch.no_grad()
def find_head(base: nn.Module, mask_state: int | None = None) -> tuple[int, str | None]:
    """Look for the linear head of a base.

    Args:
        base: the model. On the meta device only its sizes are looked at.
        mask_state: number of the mask token, which the text then contains.

    Returns:
        The number of states, and the place of the head. It is None for a base whose logits are no
        plain product of features and a linear layer: then the logits themselves are the features.

    Raises:
        ValueError: If the base cannot be called, reads embeddings in another way than tokens, or
            does not look at both sides of a token.
    """
    embedding = base.get_input_embeddings()  # type: ignore[operator]
    device, generator = embedding.weight.device, torch.Generator().manual_seed(0)
    rows = len(embedding.weight)
    x = torch.randint(rows, (1, _LENGTH), generator=generator)
    pad = getattr(getattr(base, "config", None), "pad_token_id", None)
    if pad is not None:  # RoBERTa gives it no position
        x[x == pad] = (pad + 1) % rows
    if mask_state is not None:
        x[:, _LENGTH // 2] = mask_state
    other = x.clone()
    other[:, -1] = (x[:, -1] + 1) % rows
    x, other = x.to(device), other.to(device)
    logits, same = _call(base, input_ids=x), _call(base, inputs_embeds=embedding(x))
    has_values = device.type != "meta"
    if has_values and not logits.isclose(same, rtol=0.01, atol=0.01).all():
        raise ValueError(
            f"model is a {type(base).__name__} that reads embeddings in another way than tokens, "
            "so that a latent cannot be added to them; switch this off in its config.json (as "
            f"token_dropout of ESM), or {_GIVE}"
        )
    if has_values and logits[:, 0].equal(_call(base, input_ids=other)[:, 0]):
        raise ValueError(
            f"model is a {type(base).__name__} whose predictions do not depend on later tokens, a "
            f"causal model; {_GIVE}"
        )
    path = _head_path(base)
    if path is None:
        return logits.shape[-1], None
    head = take(base, path)
    try:
        found = head(logits_of(base(input_ids=x)))
        fits = found.equal(logits) if has_values else found.shape == logits.shape
    except (RuntimeError, AttributeError):  # ESM adds a bias itself, MobileBERT reads the weight
        fits = False
    put(base, path, head)
    return logits.shape[-1], path if fits else None


def logits_of(output: Any) -> Float[Tensor, "row dim state"]:
    """The logits in what a model returns."""
    return output.logits if hasattr(output, "logits") else output[0]


def take(base: nn.Module, path: str) -> nn.Linear:
    """Take the head off, so that the base returns features."""
    return put(base, path, nn.Identity())


def put(base: nn.Module, path: str, layer: nn.Module) -> Any:
    """Put a layer in the place of another one, which is returned."""
    parent, _, name = path.rpartition(".")
    owner = base.get_submodule(parent)
    before = getattr(owner, name)
    setattr(owner, name, layer)
    return before


def _call(base: nn.Module, **inputs: Tensor) -> Float[Tensor, "row dim state"]:
    """The logits, one row for each token."""
    (name,) = inputs
    try:
        logits = logits_of(base(**inputs))
        if logits.shape[:2] == (1, _LENGTH):
            return logits
        wrong = f"shape {tuple(logits.shape)}"
    except Exception as error:  # of code that others wrote
        wrong = first_line(error)
    kind = type(base).__name__
    raise ValueError(f"model is a {kind} that makes no logits of {name} ({wrong}); {_GIVE}")


def _head_path(base: nn.Module) -> str | None:
    """The name of the linear layer that makes the logits, if the base tells it."""
    find = getattr(base, "get_output_embeddings", None)
    layer = None if find is None else find()
    if not isinstance(layer, nn.Linear):
        return None
    return next((name for name, module in base.named_modules() if module is layer), None)
