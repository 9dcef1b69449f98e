"""A fixed part of a data set, for the question of how much data a training needs."""

import torch
from jaxtyping import Int
from torch import Tensor

from full_scale.data import TokenData


class Share:
    """The items of a fixed part of the examples of a data set: a `full_scale.data.TokenData`.

    Mirror images and shifts stay with their example: a data set that has them says so by a method
    `examples()`, see `kept`. In all other data sets, each item is an example.

    Args:
        data: the whole data set.
        share: share of its examples, in (0, 1].
    """

    def __init__(self, data: TokenData, share: float) -> None:
        self.data, self.num_dims, self.num_values = data, data.num_dims, data.num_values
        self.num_classes, self.sha256 = data.num_classes, data.sha256
        examples = getattr(data, "examples", None)
        self.items = kept(torch.arange(len(data)) if examples is None else examples(), share)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.data[int(self.items[index])]


def kept(examples: Int[Tensor, "item"], share: float) -> Int[Tensor, "kept"]:
    """The items of a share of the data, in their order.

    They depend on nothing but the examples. A smaller share is a part of a larger one.

    Args:
        examples: number of the example that each item comes from.
        share: share of the examples, in (0, 1].
    """
    names = examples.unique()
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))
    chosen = names[order[: max(1, round(share * len(names)))]]
    return torch.isin(examples, chosen).nonzero().squeeze(1)
