"""What a network costs, counted without computing: tensors that have shapes and no values."""

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from di4c.likelihood import LinearHead
from full_scale.models.base import DenoiserConfig


def num_parameters(network: nn.Module | None) -> int:
    """Numbers that the network holds as parameters."""
    return 0 if network is None else sum(p.numel() for p in network.parameters())


def operations(config: DenoiserConfig) -> int:
    """Floating-point operations of one network call and its head for one example."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone = config.build().eval()
        features = backbone(*config.example_inputs(1))
        if isinstance(head := backbone.head(), LinearHead):
            torch.matmul(features, head.weight.T)
    return counter.get_total_flops()


def activation_bytes(network: nn.Module, *inputs: Tensor | None) -> int:
    """Bytes that autograd keeps of one call.

    Each storage counts once, parameters do not count.

    Args:
        network: on the meta device, in training mode.
        *inputs: its arguments, on the meta device.
    """
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage()._cdata] = tensor  # kept alive: addresses are not used again
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = network(*inputs)
    del result
    return sum(t.untyped_storage().nbytes() for key, t in seen.items() if key not in own)
