"""The trained network on several processes, as copies (DDP) or shards (FSDP2), and its whole state.

Sharding uses `torch.distributed.fsdp.fully_shard` directly and not through accelerate, so that it
can be tested on CPUs. The outermost group of weights stays gathered between the forward and the
backward pass, because a `HeadMixture` reads the head there.
"""

import gc
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed.nn.functional  # keeps alive the group that exists when it is imported
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from full_scale.training.acceleration import blocks_of
from full_scale.training.ema import EMA

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)


def share_student(accelerator: Accelerator, network: nn.Module, strategy: str) -> nn.Module:
    """The network as the processes share it; the network itself if there is one process.

    Args:
        accelerator: processes and device.
        network: on the device. With "fsdp" its parameters are replaced by shards.
        strategy: "ddp" or "fsdp".
    """
    if accelerator.num_processes == 1:
        return network
    if strategy == "fsdp":
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        for block in blocks_of(network):
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh, reshard_after_forward=False)
        return network
    devices = [accelerator.device] if accelerator.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices)


def regather(network: nn.Module) -> None:
    """Make a sharded network gather its weights again, after the shards were changed.

    FSDP keeps the weights that a forward pass without a backward pass has gathered. Free them, or
    the next call would use outdated weights.
    """
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def accumulating(network: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Context of a micro-batch: copies exchange gradients only in the last one of a step."""
    if last or not isinstance(network, DistributedDataParallel):
        return nullcontext()
    return network.no_sync()


def clip_gradients(parameters: Iterable[nn.Parameter], most: float | None) -> float:
    """Scale the gradients down to the norm `most`, and return the norm that they had.

    A parameter that the loss did not reach gets a gradient of zero, such as a head of the base that
    predicts something else, or an expert that no token chose. Without one, the optimiser would keep
    no moments of it, and a checkpoint would lack them.

    The norm of the shards is made whole before it is used. Torch 2.9 would add the 1e-6, which
    guards against a division by zero, to the norm of each shard. The result would then depend on
    the number of processes.

    Args:
        parameters: copies or shards, with their gradients.
        most: largest norm of all gradients together; None for no limit.
    """
    parameters = [p for p in parameters if p.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    norm = whole(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
    nn.utils.clip_grads_with_norm_(parameters, math.inf if most is None else most, norm)
    return float(norm)


def full_state(
    network: nn.Module, optimizer: torch.optim.Optimizer, ema: EMA
) -> dict[str, dict[str, Any]]:
    """Whole weights, optimiser state and averages, on the CPU, by name of the parameter.

    All processes must call this. With several processes, only the first one gets the weights and
    the optimiser state.
    """
    weights, moments = get_state_dict(network, optimizer, options=_WHOLE)
    shadows = {name: whole(value).cpu() for name, value in ema.shadows.items()}
    return {"weights": weights, "optimizer": moments, "ema": shadows}


def load_full_state(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: EMA,
    state: Mapping[str, Mapping[str, Any]],
) -> None:
    """Restore what `full_state` returned. Every process reads the whole and keeps its share."""
    # set_state_dict would overwrite the learning rate and betas of the configuration.
    own = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    set_state_dict(
        network,
        optimizer,
        model_state_dict=dict(state["weights"]),
        optim_state_dict=dict(state["optimizer"]),
        options=StateDictOptions(full_state_dict=True),
    )
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update(options)
    for name, shadow in ema.shadows.items():
        value = state["ema"][name].to(shadow.device)
        if isinstance(shadow, DTensor):
            value = distribute_tensor(value, shadow.device_mesh, shadow.placements)
        shadow.copy_(value)


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor, where this process may hold only a shard of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class LostProcess(Exception):
    """Another process of the run has ended, so that this one cannot go on."""


@contextmanager
def naming_lost_process() -> Iterator[None]:
    """Turn what the communication library raises when a process is gone into one line.

    Raises:
        LostProcess: If that happens; says how to go on.
        ValueError: If copies cannot be trained, because the loss leaves out some weights.
    """
    try:
        yield
    except RuntimeError as error:  # gloo raises plain ones, NCCL some of its own
        if "Expected to have finished reduction" in str(error):
            raise ValueError(
                "strategy must be fsdp on several processes for a model with weights that the loss "
                "does not reach, such as a head for another task; got ddp: use --strategy fsdp"
            ) from None
        if not torch.distributed.is_initialized() or not _LOST.search(str(error)):
            raise
        raise LostProcess(
            f"process {os.environ.get('RANK', '0')} stops because another process of this run has "
            "ended; look at its message, then give the same command again: it resumes from the "
            "newest checkpoint"
        ) from None


_LOST = re.compile(
    r"gloo|nccl|connection (closed|reset|refused)|broken pipe|peer|timed out", re.IGNORECASE
)
"""What messages of a failed communication contain."""


def end_processes() -> None:
    """Leave the group of processes, if there is one. Call it when no trainer exists any more.

    A thread of gloo frees Python objects shortly after a collective operation has ended. If the
    interpreter is ending then, the process aborts. Gloo ends its threads when nothing refers to
    the group any more.
    """
    if torch.distributed.is_initialized():
        gc.collect()  # a trainer may be part of a cycle
        torch.distributed.destroy_process_group()
