"""A fixed part of a data set, for the question of how much data a training needs."""

import torch
from torch import Tensor

from full_scale.data import TokenData


class Share:
    """The first items of a fixed permutation of a data set: a `full_scale.data.TokenData`.

    The items depend on nothing but the number of items. A smaller share is a part of a larger one.

    Args:
        data: the whole data set.
        share: share of its items, in (0, 1].
    """

    def __init__(self, data: TokenData, share: float) -> None:
        self.data, self.num_dims, self.num_values = data, data.num_dims, data.num_values
        self.num_classes, self.sha256 = data.num_classes, data.sha256
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
        self.items = order[: max(1, round(share * len(data)))].tolist()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.data[self.items[index]]
