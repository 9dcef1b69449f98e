"""The order in which training sees the data. It depends only on the seed and the position.

Position p of a run, counted over all devices, lies in epoch p // size and holds the item
`epoch_order(seed, p // size, size)[p % size]`. With B examples in a global batch, step n takes the
positions n B .. (n + 1) B - 1. A resumed run, or a run on another number of devices, therefore sees
the same global batches.
"""

from collections.abc import Iterator
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from di4c.rng import generator_at


@lru_cache(maxsize=2)  # a batch may take items of two epochs
def epoch_order(seed: int, epoch: int, size: int) -> Int[Tensor, "item"]:
    """The permutation of one epoch. Do not change it in place, because it is cached."""
    generator = generator_at(seed, epoch, "data order")
    return torch.randperm(size, generator=generator)


def items_at(seed: int, start: int, count: int, size: int) -> list[int]:
    """The items at positions start .. start + count - 1 of a run over `size` items.

    Raises:
        ValueError: If the data set is empty.
    """
    if size < 1:
        raise ValueError(f"data must hold at least one item; got {size}")
    items: list[int] = []
    position = start
    while position < start + count:
        epoch, place = divmod(position, size)
        stop = min(size, place + start + count - position)
        items += epoch_order(seed, epoch, size)[place:stop].tolist()
        position += stop - place
    return items


def fitting(parts: int) -> str:
    """The numbers of processes that can share the micro-batches of a step, as text."""
    *most, last = [str(n) for n in range(1, parts + 1) if parts % n == 0]
    if not most:
        return "1 process alone"
    return f"{', '.join(most)} or {last} processes"


def share_of(parts: int, rank: int, world: int) -> range:
    """The micro-batches of a step that process `rank` of `world` takes.

    Raises:
        ValueError: If the parts cannot be shared out evenly.
    """
    if parts % world:
        raise ValueError(
            f"{parts} micro-batches cannot be shared out evenly among {world} processes; "
            f"{fitting(parts)} can share them. For {world} processes, make batch_size / "
            f"micro_batch a multiple of {world}"
        )
    share = parts // world
    return range(rank * share, (rank + 1) * share)


class MicroBatches:
    """The items of each micro-batch of one process: a `batch_sampler` for a DataLoader.

    A global batch has `parts` micro-batches of `micro_batch` examples. Process `rank` of `world`
    takes the parts rank P .. (rank + 1) P - 1 with P = parts / world. Gathering over the processes
    therefore gives the global order.

    Args:
        size: number of items of the data set.
        seed: seed of the run.
        steps: numbers of the steps that remain.
        micro_batch: examples that go through the networks at once.
        parts: micro-batches of a step over all processes.
        rank: number of this process.
        world: number of processes.

    Raises:
        ValueError: See `share_of`.
    """

    def __init__(
        self,
        size: int,
        seed: int,
        steps: range,
        *,
        micro_batch: int,
        parts: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.size, self.seed, self.steps, self.micro_batch = size, seed, steps, micro_batch
        self.parts, self.own = parts, share_of(parts, rank, world)

    def __len__(self) -> int:
        """Number of micro-batches of this process over all steps."""
        return len(self.steps) * len(self.own)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the items of one micro-batch after the other."""
        for step in self.steps:
            for part in self.own:
                start = (step * self.parts + part) * self.micro_batch
                yield items_at(self.seed, start, self.micro_batch, self.size)
