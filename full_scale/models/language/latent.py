"""A masked language model with a latent: teacher and student in one copy of the weights.

The student is the language model with adapters (LoRA) and with a latent that is added to the
embeddings of all tokens. Without the latent, and with the adapters switched off, the same weights
are the teacher. The latent adds zero at the start, and so does LoRA: the student starts as the
teacher exactly.
"""

import contextlib
import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from di4c.likelihood import FunctionHead, Head, LinearHead
from full_scale.models.language.probe import find_head, logits_of, put, take
from full_scale.models.latent import LatentToken


@dataclass(frozen=True)
class Adapter:
    """What is trained of a language model."""

    kind: Literal["lora", "full"] = "lora"
    """lora trains adapters: the teacher is the same copy with the adapters off. full trains all
    weights, and the teacher is a second copy"""
    rank: int = 16
    """rank of the adapters"""
    alpha: int = 32
    """scale of the adapters: they add alpha / rank times their product"""
    latent: Literal["added", "token", "none"] = "added"
    """how the latent enters: added to the embeddings of all tokens, or as one more token. With
    added, the student starts as the teacher exactly. With none there is no latent: a teacher"""
    latent_gain: float = 0.0
    """gain of the random weights of the latent at the start. At 0 all components are equal, and
    the training must first leave this point"""

    def __post_init__(self) -> None:
        """Check every value."""
        if self.rank < 1:
            raise ValueError(f"adapter.rank must be at least 1; got {self.rank}")
        if self.latent_gain < 0:
            raise ValueError(f"adapter.latent_gain must be >= 0; got {self.latent_gain}")


class LatentLanguageModel(nn.Module):
    """A masked language model with adapters and a latent.

    Args:
        base: a model that takes input_ids or inputs_embeds, and attention_mask, and returns logits
            of the tokens at the same positions. It is changed in place.
        adapter: what is trained.
        shift: whether the logits at a position belong to the next token (Dream).
        mask_state: number of the mask token; None tries the base without it.

    Attributes:
        num_states: S, number of rows of the head.
        tokens_most: largest number of tokens of the base; None if the base does not say.

    Raises:
        ValueError: If the base is of another kind, see `full_scale.models.language.probe`.
    """

    def __init__(
        self,
        base: nn.Module,
        adapter: Adapter,
        *,
        shift: bool = False,
        mask_state: int | None = None,
    ) -> None:
        super().__init__()
        self.adapter, self.shift = adapter, shift
        config = getattr(base, "config", None)
        self.tokens_most: int | None = getattr(config, "max_position_embeddings", None)
        _switch_off_dropout(base)
        self.num_states, self.head_path = find_head(base.eval(), mask_state)
        self.head_layer = None if self.head_path is None else take(base, self.head_path)
        base.requires_grad_(adapter.kind == "full")
        if self.head_layer is not None:
            self.head_layer.requires_grad_(adapter.kind == "full")
        width = base.get_input_embeddings().weight.shape[1]  # type: ignore[operator]
        # Before the adapters: with the same seed every kind of training gets the same latent.
        self.latent = None if adapter.latent == "none" else _latent(width, adapter)
        self.base = _with_adapters(base, adapter) if adapter.kind == "lora" else base

    @property
    def embedding(self) -> nn.Embedding:
        """The embeddings of the tokens."""
        return self.base.get_input_embeddings()  # type: ignore[operator]

    def forward(
        self,
        x_t: Int[Tensor, "row dim"],
        attention: Bool[Tensor, "row dim"] | None = None,
        latent: Tensor | None = None,
        adapted: bool = True,
    ) -> Float[Tensor, "row dim feature"]:
        """The features of each token.

        Args:
            x_t: tokens.
            attention: which tokens are no padding; None for all.
            latent: latents of the rows; None for none.
            adapted: whether the adapters are on; False is the teacher.
        """
        inputs: dict[str, Any] = {"input_ids": x_t}
        if latent is not None:
            if self.latent is None:
                raise ValueError("latent must be None for a model without one; use latent='added'")
            embeds = self.embedding(x_t)
            added = self.latent(latent).to(embeds.dtype)
            if self.adapter.latent == "token":
                embeds = torch.cat([embeds, added], 1)
                if attention is not None:
                    attention = nn.functional.pad(attention, (0, 1), value=True)
            else:
                embeds = embeds + added
            inputs = {"inputs_embeds": embeds}
        if attention is not None:
            inputs["attention_mask"] = attention.long()
        with contextlib.nullcontext() if adapted else self.without_adapters():
            features = logits_of(self.base(**inputs))
        if features.shape[1] > x_t.shape[1]:  # a copy, because FSDP wants no view
            features = features[:, : x_t.shape[1]].contiguous()
        if self.shift:
            features = torch.cat([features[:, :1], features[:, :-1]], 1)
        return features

    def head(self) -> Head:
        """The map from features to logits."""
        if self.head_layer is None:
            return FunctionHead(lambda rows: rows, self.num_states)
        return LinearHead(self.head_layer.weight, self.head_layer.bias)

    def inner_blocks(self) -> Iterator[nn.Module]:
        """The layers, which FSDP shards one by one."""
        for module in self.base.modules():
            if isinstance(module, nn.ModuleList):
                yield from module

    @contextlib.contextmanager
    def without_adapters(self) -> Iterator[None]:
        """The weights of the base alone."""
        if self.adapter.kind != "lora":
            raise ValueError("a model whose own weights are trained is no teacher; keep a copy")
        from peft.tuners.tuners_utils import BaseTunerLayer

        layers = [layer for layer in self.base.modules() if isinstance(layer, BaseTunerLayer)]
        # Not by `disable_adapter`: it also changes requires_grad, in the middle of a graph.
        for layer in layers:
            layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in layers:
                layer._disable_adapters = False

    def frozen_copy(self) -> "LatentLanguageModel":
        """A copy of the present weights that is not trained: a teacher of its own."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def whole_base(self) -> nn.Module:
        """The base with its head in its place, as it was opened."""
        if self.head_path is not None and self.head_layer is not None:
            put(self.base, self.head_path, self.head_layer)
            self.head_path = None
        return self.base

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def load_trained(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the trained parameters.

        Raises:
            ValueError: If a name is missing or unknown, or a shape differs.
        """
        own = self.trained()
        wrong = sorted(own.keys() ^ tensors.keys())
        wrong += [n for n in own.keys() & tensors.keys() if own[n].shape != tensors[n].shape]
        if wrong:
            raise ValueError(
                f"the adapter does not fit the model: {len(wrong)} tensors differ, such as "
                f"{wrong[0]}; give the base and the adapter.rank that it was trained with"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[name])


def _latent(width: int, adapter: Adapter) -> LatentToken:
    """The embedding of the latent. It is zero at the start, unless the gain is positive."""
    latent = LatentToken(width)
    nn.init.zeros_(latent.output.bias)
    nn.init.zeros_(latent.output.weight)
    if adapter.latent_gain > 0:
        nn.init.xavier_uniform_(latent.output.weight, gain=adapter.latent_gain)
    return latent


def _with_adapters(base: nn.Module, adapter: Adapter) -> nn.Module:
    """The base with LoRA at each of its linear layers."""
    from peft import LoraConfig, get_peft_model  # slow to import

    layers = [name for name, layer in base.named_modules() if isinstance(layer, nn.Linear)]
    config = LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=layers)
    with warnings.catch_warnings():  # of what peft and transformers call each other
        warnings.simplefilter("ignore")
        return get_peft_model(base, config)  # type: ignore[arg-type]


def _switch_off_dropout(base: nn.Module) -> None:
    """Switch off dropout, by which a student could tell its components apart."""
    for module in base.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
