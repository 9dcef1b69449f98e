r"""Moving average of the weights, $\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta$."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from di4c.checks import check_number


class EMA:
    r"""The average of some parameters over the steps of training.

    After step n, counted from 1, the decay is $d_n = \min(d, (1 + n) / (10 + n))$: at first the
    average forgets the random start quickly. The score SDE code of Song et al. and tauLDR use the
    same rule. Since $d_n$ depends on the step alone, the averages ("shadows") are the whole state.
    They are kept in float32 or wider, on the device of the parameters and sharded in the same way.

    Args:
        parameters: parameters by name, as they are trained.
        decay: d.

    Raises:
        ValueError: If the decay is not in [0, 1).
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        check_number("ema_decay", decay, "[0, 1)", "use 0 for no averaging")
        self.decay = decay
        self.parameters = dict(parameters)
        self.shadows = {name: _wide(p).clone() for name, p in self.parameters.items()}

    def decay_after(self, step: int) -> float:
        """The decay of the update after that many steps."""
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after step number `step`, counted from 1."""
        weight = 1 - self.decay_after(step)
        for name, parameter in self.parameters.items():
            self.shadows[name].lerp_(_wide(parameter), weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network its averaged weights inside this context, and restore it exactly."""
        with torch.no_grad():
            trained = {name: p.detach().clone() for name, p in self.parameters.items()}
            for name, parameter in self.parameters.items():
                parameter.copy_(self.shadows[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(trained[name])


class AveragedCopy:
    """A network of its own with the averaged weights, for the consistency target.

    Args:
        network: the network that is trained, whole.
        ema: its average.
    """

    def __init__(self, network: nn.Module, ema: EMA) -> None:
        self.network, self.ema = copy.deepcopy(network).eval().requires_grad_(False), ema
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the average of this moment."""
        parameters = dict(self.network.named_parameters())
        for name, shadow in self.ema.shadows.items():
            parameters[name].copy_(shadow)


def _wide(parameter: Tensor) -> Tensor:
    return parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32))
