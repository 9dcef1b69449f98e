"""Reads the micro-batches of a training run, step by step."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from full_scale.data import TokenData
from full_scale.data.order import MicroBatches
from full_scale.training.config import Run
from full_scale.training.signals import outlive_sigterm

Batch = dict[str, Tensor]


def read_steps(
    data: TokenData, run: Run, steps: range, rank: int, world: int
) -> Iterator[list[Batch]]:
    """The micro-batches of one process in each step.

    Args:
        data: the training data.
        run: configuration.
        steps: numbers of the steps that remain.
        rank: number of this process.
        world: number of processes.
    """
    sampler = MicroBatches(
        len(data),
        run.seed,
        steps,
        micro_batch=run.micro_batch,
        parts=run.parts,
        rank=rank,
        world=world,
    )
    # The loader draws a seed for its workers; it must not draw it from torch's generator.
    loader = iter(
        DataLoader(
            data,  # pyright: ignore[reportArgumentType]  # a map-style set need not inherit
            batch_sampler=sampler,
            num_workers=run.data.workers,
            generator=torch.Generator().manual_seed(0),
            worker_init_fn=outlive_sigterm,
        )
    )
    for _ in steps:
        yield [next(loader) for _ in sampler.own]
