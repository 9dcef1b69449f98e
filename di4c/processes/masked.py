"""Masked noise, with the mask at any place among the states."""

from typing import overload

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count
from di4c.processes.interpolating import InterpolatingProcess
from di4c.processes.state_space import StateSpace
from di4c.processes.times import align_time
from di4c.rng import Generator, invert, uniform
from di4c.schedules import LinearSchedule, Schedule, Time


class MaskedProcess(InterpolatingProcess):
    r"""Masked noise: a coordinate that does not survive becomes the mask.

    `MaskedProcess(num_values)` adds the mask as one more state behind the values, the last one.
    `MaskedProcess(num_states, mask_state=m)` says which one of the states is the mask, as the
    tokenizer of a language model does. Reverse steps keep every unmasked coordinate as it is.

    Args:
        num_values: number of values that data can take, without the mask.
        schedule: $\alpha$, the expected share of unmasked coordinates; linear by default.
        num_states: number of states including the mask, in place of num_values.
        mask_state: index of the mask among num_states states.

    Raises:
        ValueError: If there are fewer than two values, or the mask is no state.

    Example:
        >>> import torch
        >>> process = MaskedProcess(2)  # bits, with 2 as the mask
        >>> process.transition(0.0, 0.25)  # each bit is masked with probability 1/4
        tensor([[0.7500, 0.0000, 0.2500],
                [0.0000, 0.7500, 0.2500],
                [0.0000, 0.0000, 1.0000]], dtype=torch.float64)
        >>> process.sample(torch.tensor([[0, 1, 1]]), 0.0, 1.0)  # at the horizon all is masked
        tensor([[2, 2, 2]])
        >>> process = MaskedProcess(3, mask_state=0)  # two values, 1 and 2, with 0 as the mask
        >>> process.sample(torch.tensor([[1, 2, 2]]), 0.0, 1.0)
        tensor([[0, 0, 0]])
    """

    mask_state: int  # pyright: ignore[reportIncompatibleVariableOverride]  # never None

    @overload
    def __init__(self, num_values: int, /, schedule: Schedule | None = None) -> None: ...

    @overload
    def __init__(
        self, num_states: int, /, schedule: Schedule | None = None, *, mask_state: int
    ) -> None: ...

    @overload
    def __init__(self, *, num_values: int, schedule: Schedule | None = None) -> None: ...

    @overload
    def __init__(
        self, *, num_states: int, mask_state: int, schedule: Schedule | None = None
    ) -> None: ...

    def __init__(
        self,
        size: int | None = None,
        schedule: Schedule | None = None,
        *,
        num_values: int | None = None,
        num_states: int | None = None,
        mask_state: int | None = None,
    ) -> None:
        if mask_state is None:
            num_values = _only_size("num_values", size, num_values, num_states)
            check_count("num_values", num_values, 2)
            num_states, mask_state = num_values + 1, num_values
        else:
            num_states = _only_size("num_states", size, num_states, num_values)
            check_count("num_states", num_states, 3)
            check_count("mask_state", mask_state, 0)
            if mask_state >= num_states:
                raise ValueError(
                    f"mask_state must be one of the states 0..{num_states - 1}; got {mask_state}: "
                    "count the mask among num_states"
                )
        point_mass = torch.zeros(num_states, dtype=torch.float64)
        point_mass[mask_state] = 1
        super().__init__(point_mass, schedule or LinearSchedule())
        self.mask_state = mask_state  # pyright: ignore[reportIncompatibleVariableOverride]

    def bridge(
        self,
        x_0: Int[Tensor, "*batch"],
        x_t: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        self.check_states(x_0=x_0, x_t=x_t)
        return torch.where(self._revealed(x_t, s, t, generator), x_0, x_t)

    def reverse_step(
        self,
        probs: Float[Tensor, "*batch value"],
        x_t: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        self.check_step(probs, x_t)
        revealed = self._revealed(x_t, s, t, generator)
        uniforms = uniform(x_t.shape, generator=generator, device=x_t.device)
        # Only revealed coordinates need a draw of x_0: in a whole trajectory, each coordinate once.
        x_s = x_t.clone()
        x_s[revealed] = invert(probs[revealed], uniforms[revealed])
        return x_s

    def carry_over(
        self, x_0: Int[Tensor, "*batch"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Int[Tensor, "*batch"]:
        return torch.where(x_t == self.mask_state, x_0, x_t)

    def _revealed(
        self, x_t: Int[Tensor, "*batch"], s: Time, t: Time, generator: Generator | None
    ) -> Tensor:
        """Draw which masked coordinates are revealed between t and s; bool, in the shape of x_t."""
        reveal = align_time(self.reveal_probability(s, t).to(x_t.device), x_t)
        draws = uniform(x_t.shape, generator=generator, device=x_t.device)
        return (x_t == self.mask_state) & (draws < reveal)

    def _redraw(
        self, x: Int[Tensor, "*batch"], generator: Generator | None
    ) -> Int[Tensor, "*batch"]:
        return torch.full_like(x, self.mask_state)


def _only_size(name: str, size: int | None, named: int | None, other: int | None) -> int:
    """The number of values or states of a masked process, given by position or by name."""
    given = [number for number in (size, named) if number is not None]
    if len(given) != 1 or other is not None:
        raise TypeError(
            "MaskedProcess takes num_values alone, or num_states together with mask_state; got "
            f"{len(given)} numbers for {name}"
        )
    return given[0]


def half_masked(process: StateSpace) -> tuple[MaskedProcess, float]:
    """Noise with the mask of a process, and a time at which it hides half of the values.

    A mask tells nothing about the value behind it. So the marginals given x_t are the same for
    all masked noise at all times, and here no probability underflows.
    """
    assert process.mask_state is not None
    return MaskedProcess(process.num_states, mask_state=process.mask_state), 0.5
