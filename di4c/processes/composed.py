"""Processes made of others: one after another in time, or one for each coordinate."""

import functools
import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.processes.base import ForwardProcess
from di4c.processes.state_space import StateSpace
from di4c.processes.times import check_times
from di4c.schedules import Time, as_time


class PiecewiseProcess(ForwardProcess):
    r"""Processes that act one after another: $q_{t|s}$ is the product of their kernels in time.

    Their rate matrices need not commute. So the noise may change its kind over time, not only its
    speed.

    Args:
        pieces: processes on the same states. Each acts for the time of its horizon.

    Raises:
        ValueError: If there is no piece, or if their states differ.
    """

    def __init__(self, pieces: Sequence[ForwardProcess]) -> None:
        _check_states("pieces", pieces)
        self.pieces = tuple(pieces)
        self.num_states, self.mask_state = pieces[0].num_states, pieces[0].mask_state
        self._starts = [0.0, *itertools.accumulate(piece.horizon for piece in pieces)]
        self.horizon = self._starts.pop()

    @property
    def breaks(self) -> tuple[float, ...]:
        inner = (
            start + time
            for start, piece in zip(self._starts, self.pieces, strict=True)
            for time in piece.breaks
        )
        return (*self._starts[1:], *inner)

    def prior(self) -> Float[Tensor, "state"]:
        return self.pieces[-1].prior()

    def transition(self, s: Time, t: Time) -> Float[Tensor, "*batch source target"]:
        check_times(s, t, self.horizon)
        kernels = [
            piece.transition(self._inside(k, s), self._inside(k, t))
            for k, piece in enumerate(self.pieces)
        ]
        return functools.reduce(torch.matmul, kernels)

    def rates(self, t: Time) -> Float[Tensor, "*time source target"]:
        """Rate matrix of the piece that acts at time t; where two meet, of the later one."""
        result = self.pieces[0].rates(self._inside(0, t))
        for k, start in enumerate(self._starts[1:], start=1):
            later = self.pieces[k].rates(self._inside(k, t))
            result = torch.where((as_time(t) >= start)[..., None, None], later, result)
        return result

    def _inside(self, k: int, t: Time) -> Tensor:
        """The time since piece k has begun, at most its horizon."""
        return (as_time(t) - self._starts[k]).clamp(0.0, self.pieces[k].horizon)


class CoordinateProcesses(StateSpace):
    """One forward process for each coordinate: the exact engine takes it in place of a process.

    Args:
        processes: D processes on the same states and with the same horizon.

    Raises:
        ValueError: If there is none, or if their states or horizons differ.
    """

    def __init__(self, processes: Sequence[ForwardProcess]) -> None:
        _check_states("processes", processes)
        horizons = {process.horizon for process in processes}
        if len(horizons) > 1:
            raise ValueError(f"processes must have the same horizon; got {sorted(horizons)}")
        self.processes = tuple(processes)
        self.num_states, self.mask_state = processes[0].num_states, processes[0].mask_state
        self.horizon = processes[0].horizon

    @property
    def breaks(self) -> tuple[float, ...]:
        """The times at which the rates of some coordinate jump."""
        return tuple(time for process in self.processes for time in process.breaks)

    def prior(self) -> Float[Tensor, "dim state"]:
        """Laws from which generation starts, (D, S)."""
        return torch.stack([process.prior() for process in self.processes])

    def transition(self, s: float, t: float) -> Float[Tensor, "dim source target"]:
        """Transition matrices $q^d_{t|s}$, (D, S, S) as [coordinate, from, to]."""
        return torch.stack([process.transition(s, t) for process in self.processes])

    def rates(self, t: float) -> Float[Tensor, "dim source target"]:
        """Rate matrices at time t, (D, S, S) as [coordinate, from, to]."""
        return torch.stack([process.rates(t) for process in self.processes])


Noise = ForwardProcess | CoordinateProcesses
"""A process for all coordinates, or one for each."""


def _check_states(name: str, processes: Sequence[ForwardProcess]) -> None:
    if not processes:
        raise ValueError(f"{name} must hold at least one process; got none")
    spaces = {(process.num_states, process.mask_state) for process in processes}
    if len(spaces) > 1:
        words = [
            f"{size} states " + ("without a mask" if mask is None else f"with mask {mask}")
            for size, mask in sorted(spaces, key=str)
        ]
        raise ValueError(
            f"{name} must have the same states and the same mask; got {', '.join(words)}"
        )
