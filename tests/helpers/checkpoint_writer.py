"""Artificial states of a run, and a function that saves checkpoints until it is killed."""

from pathlib import Path

import torch

from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint


def state_at(step: int) -> dict:
    """The expected state after that many steps. It has two parts and takes some 300 kilobytes."""
    ramp = torch.arange(40_000, dtype=torch.int64)
    return {
        "model": {"weight": (ramp * step) % 65_521},
        "optimizer": {"state": {0: {"exp_avg": ramp[:999] + step}}, "groups": [{"step": step}]},
    }


def bits(value):
    """A nested state as plain values.

    Two results are equal if types, order of keys and all bits of the states are equal.
    """
    if isinstance(value, torch.Tensor):
        content = value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return value.dtype, value.shape, content
    if isinstance(value, dict):
        return [(bits(key), bits(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [bits(item) for item in value]
    return type(value), value


def same(left, right):
    """Whether two nested states have equal types, keys in the same order, and equal bits."""
    return bits(left) == bits(right)


def write_checkpoints(folder: Path) -> None:
    """Save checkpoints without end. Start after the newest one in the folder."""
    latest = latest_checkpoint(folder)
    step = load_checkpoint(latest).step if latest else 0
    while True:
        step += 1
        save_checkpoint(folder, step, state_at(step), {"of": "a test"}, keep=2)
