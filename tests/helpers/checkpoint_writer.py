"""Saves checkpoint after checkpoint, each loaded state one step further, until it is killed."""

import sys
from pathlib import Path

import torch

from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint


def state_at(step: int) -> dict:
    """The only right state after that many steps; files of two sizes, some hundred kilobytes."""
    ramp = torch.arange(40_000, dtype=torch.int64)
    return {
        "model": {"weight": (ramp * step) % 65_521},
        "optimizer": {"state": {0: {"exp_avg": ramp[:999] + step}}, "groups": [{"step": step}]},
    }


def same(left, right):
    """Equality of nested states: types, keys and their order, every bit of every tensor."""
    if isinstance(left, torch.Tensor):
        return (
            isinstance(right, torch.Tensor)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and torch.equal(
                left.contiguous().view(-1).view(torch.uint8),
                right.contiguous().view(-1).view(torch.uint8),
            )
        )
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and [*map(repr, left)] == [*map(repr, right)]
            and all(same(left[key], right[key]) for key in left)
        )
    if isinstance(left, list | tuple):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def main(folder: Path) -> None:
    latest = latest_checkpoint(folder)
    step = load_checkpoint(latest).step if latest else 0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        step += 1
        save_checkpoint(folder, step, state_at(step), {"of": "a test"}, keep=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
