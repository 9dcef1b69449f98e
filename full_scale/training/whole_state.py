"""A checkpoint is resumed only if it has every part of this run's state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from full_scale.models.model_file import check_fit
from full_scale.training.checkpoint import Checkpoint, load_checkpoint
from full_scale.training.ema import EMA
from full_scale.training.parallel import load_full_state

_PARTS = ("weights", "optimizer", "ema", "pending")
_MOMENTS = ("exp_avg", "exp_avg_sq")
_REMEDY = "remove this checkpoint to go on from an earlier one"


def restore(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA
) -> Checkpoint:
    """Load a checkpoint into network, optimiser and average, after `check_state`."""
    found = load_checkpoint(path)
    check_state(path, found.step, found.state, network, ema)
    load_full_state(network, optimizer, ema, found.state)
    return found


def check_state(
    path: Path, step: int, state: Mapping[str, Any], network: nn.Module, ema: EMA
) -> None:
    """Check that the state of a checkpoint is that of a network after so many steps.

    torch would fill in what is missing with fresh values, and say nothing.

    Args:
        path: the checkpoint, for messages.
        step: number of steps taken.
        state: its state, see `full_scale.training.parallel.full_state`.
        network: the network that is trained.
        ema: the average of its weights.

    Raises:
        ValueError: If a part, a parameter or a moment is missing, left over, of another shape or
            not finite, or if the optimiser has taken another number of steps.
    """
    for part in _PARTS:
        if not isinstance(state.get(part), dict):
            raise ValueError(f"{path} has no {part}; {_REMEDY}")
    moments = state["optimizer"].get("state")
    if not isinstance(moments, dict) or not all(isinstance(m, dict) for m in moments.values()):
        raise ValueError(f"{path} has no moments of the optimiser; {_REMEDY}")
    kept = StateDictOptions(ignore_frozen_params=True)  # as `full_state` keeps them
    parts: dict[str, tuple[Mapping[str, Any], dict[str, Any]]]
    parts = {"weights": (get_model_state_dict(network, options=kept), state["weights"])}
    parts["averages"] = (ema.shadows, state["ema"])
    for name in _MOMENTS:
        parts[name] = (ema.shadows, {key: m[name] for key, m in moments.items() if name in m})
    for name, (wanted, given) in parts.items():
        if not all(isinstance(value, Tensor) for value in given.values()):
            raise ValueError(f"{path}: {name} must be tensors; {_REMEDY}")
        check_fit(f"{path} has {name} that do not fit the network", wanted, given)
        for key, value in given.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise ValueError(f"{path}: {name} of {key} are not finite; {_REMEDY}")
    taken = {float(m.get("step", -1)) for m in moments.values()}
    if taken != {float(step)}:
        raise ValueError(
            f"{path} is of step {step}, and its optimiser of {sorted(taken)}; {_REMEDY}"
        )
