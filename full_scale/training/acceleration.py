"""Less memory and more speed for a network in training: checkpointed blocks, and torch.compile."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from di4c.objective import Objective
from full_scale.models.base import DenoiserConfig


def blocks_of(network: nn.Module) -> Iterator[nn.Module]:
    """The blocks that make up most of a network: the members of its lists of modules."""
    if hasattr(network, "inner_blocks"):  # a language model, which has them deep inside
        yield from network.inner_blocks()  # type: ignore[operator]
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            yield from child


def checkpoint_blocks(network: nn.Module) -> None:
    """Keep only the inputs of each block for the backward pass, which calls the block again.

    The gradients stay the same, dropout included (Chen et al. 2016).
    """
    for block in blocks_of(network):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def compile_network(network: nn.Module, config: DenoiserConfig, device: torch.device) -> str:
    """Compile a network in place, and try it. Where that fails it stays as it was.

    Args:
        network: the network.
        config: its sizes.
        device: where it is.

    Returns:
        One line for people: that it is compiled and how long it took, or why it is not.
    """
    started = time.perf_counter()
    with device:
        inputs = config.example_inputs(2)
    network.train().compile()
    try:
        network(*inputs).sum().backward()
    except Exception as error:  # of any compiler; a fault of the network itself comes up again
        network._compiled_call_impl = None
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"torch.compile does not work here ({reason}); going on without it"
    finally:
        network.zero_grad(set_to_none=True)
    return f"compiled the network in {time.perf_counter() - started:.0f} s"


def compare_precisions(low: Objective, full: Objective) -> dict[str, Any]:
    """Means of the loss and its terms in bfloat16 and in float32, over the same examples.

    The noise, the times and the latents are equal. States that are drawn from the networks may
    differ, because the probabilities do by rounding.

    Args:
        low: loss and terms of each example, computed in bfloat16.
        full: the same in float32.

    Returns:
        Both means by name, and a summary for people.
    """
    means: dict[str, Any] = {
        precision: {name: float(term.double().mean()) for name, term in terms.items()}
        for precision, terms in (
            ("bf16", {"loss": low.loss} | low.terms),
            ("float32", {"loss": full.loss} | full.terms),
        )
    }
    losses = (f"{means[name]['loss']:.5g} in {name}" for name in means)
    return means | {"summary": f"loss of the first micro-batch: {', '.join(losses)}"}
