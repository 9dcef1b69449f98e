"""States of a made-up run, and a process that saves them until it is killed."""

from pathlib import Path

import torch

from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint


def state_at(step: int) -> dict:
    """The only right state after that many steps: two parts, some hundred kilobytes."""
    ramp = torch.arange(40_000, dtype=torch.int64)
    return {
        "model": {"weight": (ramp * step) % 65_521},
        "optimizer": {"state": {0: {"exp_avg": ramp[:999] + step}}, "groups": [{"step": step}]},
    }


def bits(value):
    """A nested state in plain values, equal where types, order of keys and all bits are equal."""
    if isinstance(value, torch.Tensor):
        content = value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return value.dtype, value.shape, content
    if isinstance(value, dict):
        return [(bits(key), bits(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [bits(item) for item in value]
    return type(value), value


def same(left, right):
    """Equality of nested states: types, keys and their order, every bit of every tensor."""
    return bits(left) == bits(right)


def write_checkpoints(folder: Path) -> None:
    """Save checkpoint after checkpoint, from the newest one in the folder on, without end."""
    latest = latest_checkpoint(folder)
    step = load_checkpoint(latest).step if latest else 0
    while True:
        step += 1
        save_checkpoint(folder, step, state_at(step), {"of": "a test"}, keep=2)
