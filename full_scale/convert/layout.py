"""How a published kind of checkpoint is laid out, and how to read sizes from its tensors.

Sizes are read from published names without prefixes. What the shapes of the tensors do not say
keeps its published value, unless the caller gives it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from full_scale.models.base import BackboneConfig

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """How one kind of checkpoint is laid out.

    All patterns are regular expressions.

    Attributes:
        sizes: function from the tensors by published name, and known fields, to the config.
        unsaid: fields of the config that the shapes of the tensors do not say.
        rules: pairs of pattern and replacement. Applied one after the other, they turn our names
            into the published ones.
        root: prefix of the network's tensors, unless the network is all that a file holds.
        wrappers: pattern of prefixes that are removed below the root.
        training: pattern of the names that belong to training and not to the network.
        transposed: pattern of the matrices that are stored as (in, out); ours are (out, in).
        derived: tensors that our network computes and does not store: by published name, the
            function from the stored values to the right ones.
        averaged: where the list of averaged weights is; None if the kind has none.
        averaged_by_default: whether published samples come from the averaged weights.
    """

    sizes: Callable[..., BackboneConfig]
    unsaid: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    root: str
    wrappers: str = r"^(module\.|_orig_mod\.)+"
    training: str = r"(?!)"
    transposed: str = r"(?!)"
    derived: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    averaged: str | None = None
    averaged_by_default: bool = False

    def published(self, name: str) -> str:
        """The published name of one of our parameters, without prefixes."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name

    def turned(self, published: str, tensor: Tensor) -> Tensor:
        """A tensor as we store it from the published one, or the other way round."""
        return tensor.T if re.fullmatch(self.transposed, published) else tensor


LATENT_TOKEN = (
    (r"^latent_token\.input", "latent_projection.0"),
    (r"^latent_token\.output", "latent_projection.2"),
)
"""Names of the latent's token in the Di4C students of both transformers."""

LIGHTNING = (
    r"(optimizer_states|lr_schedulers|callbacks|loops|hyper_parameters|sampler)(/.*)?"
    r"|epoch|global_step|checkpoint_callback_\w+"
    r"|((native_)?amp_scaling_state|\w*MixedPrecision\w*)/.*"
)
"""What Lightning stores besides the network, from version 1.0 (VQGAN) to 2.x (SDTT).

The last two names appear under mixed precision.
"""

_Config = TypeVar("_Config", bound=BackboneConfig)


def make_config(cls: type[_Config], found: dict[str, Any], known: dict[str, Any]) -> _Config:
    """A config from the sizes that were found and those that are known.

    Raises:
        ValueError: If the config has no such field.
    """
    names = {entry.name for entry in fields(cls)}
    if unknown := sorted(known.keys() - names):
        raise ValueError(
            f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return cls(**(found | known))


def shape_of(tensors: Tensors, name: str) -> torch.Size:
    """The shape of a tensor that every checkpoint of the kind has.

    Raises:
        ValueError: If it is not there.
    """
    if name not in tensors:
        some = ", ".join(list(tensors)[:3]) or "nothing"
        raise ValueError(
            f"checkpoint has no {name}, so it is of another kind; it has {some}, ...: choose the "
            "KIND that it belongs to"
        )
    return tensors[name].shape


def count(names: Iterable[str], pattern: str) -> int:
    """How many modules a list has: one more than the largest index that the pattern finds."""
    found = (re.match(pattern, name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)
