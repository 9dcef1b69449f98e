"""The states of one coordinate: the values that data can take, and perhaps a mask among them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import (
    check_floating,
    check_index_type,
    check_states,
    first_index,
    may_be_read,
    require_tensor,
)


class StateSpace:
    """The states 0..S-1 of one coordinate.

    Attributes:
        num_states: number of states of one coordinate, a mask included.
        num_values: number of states that data can take, which are all states but the mask.
        mask_state: index of the mask, or None if the process has no mask.
    """

    num_states: int
    mask_state: int | None = None

    @property
    def num_values(self) -> int:
        """Number of states that data can take."""
        return self.num_states - (self.mask_state is not None)

    @property
    def values(self) -> Int[Tensor, "value"]:
        """The states that data can take, in increasing order, (num_values,)."""
        states = torch.arange(self.num_states)
        return states if self.mask_state is None else states[states != self.mask_state]

    @property
    def mask_is_last(self) -> bool:
        """Whether the mask is the last state, so that values have the same numbers as states."""
        return self.mask_state == self.num_states - 1

    def over_states(self, probs: Float[Tensor, "*batch value"]) -> Float[Tensor, "*batch state"]:
        """Extend probabilities over the values to all states; the mask gets 0.

        Args:
            probs: (..., num_values) if the mask is the last state, or (..., num_states), which is
                returned as it is.

        Raises:
            ValueError: If the last axis has another size.
        """
        self.check_width("probs", probs.shape[-1])
        return torch.nn.functional.pad(probs, (0, self.num_states - probs.shape[-1]))

    def check_width(self, name: str, size: int) -> None:
        """Raise ValueError unless laws of x_0 may have this size on their last axis.

        A law may leave out the mask only where the mask is the last state. Elsewhere the states
        behind the mask would change their numbers.
        """
        if size == self.num_states or (self.mask_is_last and size == self.num_values):
            return
        values = f"{self.num_values} values or {self.num_states} states"
        if self.mask_state is not None and not self.mask_is_last:
            values = f"{self.num_states} states"
        raise ValueError(
            f"{name} must have the {values} of the process on its last axis; got {size}: return "
            f"all states, with log-probability -inf for a mask"
        )

    def check_states(self, **named: Tensor) -> None:
        """Raise TypeError or ValueError unless the tensors are int64 and hold states.

        As in `di4c.rng.invert`, values are checked on the CPU only; elsewhere the check would wait
        for the device.
        """
        for name, x in named.items():
            require_tensor(name, x, with_values=False)
            check_index_type(name, x)
            if may_be_read(x):
                check_states(name, x, self.num_states, "take states of this process")

    def check_step(self, probs: Tensor, x_t: Tensor) -> None:
        """Raise TypeError or ValueError unless each entry of x_t, a state, has weights over x_0.

        Values are checked on the CPU only.
        """
        self.check_states(x_t=x_t)
        require_tensor("probs", probs, with_values=False)
        check_floating("probs", probs)
        if probs.ndim == 0 or probs.shape[:-1] != x_t.shape:
            raise ValueError(
                f"probs must have the shape of x_t and one more axis, for x_t of shape "
                f"{tuple(x_t.shape)}; got {tuple(probs.shape)}"
            )
        self.check_width("probs", probs.shape[-1])
        if probs.numel() and may_be_read(probs):
            least, most = (float(value) for value in probs.detach().aminmax())
            if not 0 <= least <= most < torch.inf:
                index = first_index(~((probs >= 0) & (probs < torch.inf)))
                raise ValueError(
                    f"probs must be finite and non-negative; got {float(probs[index])} at index "
                    f"{list(index)}: give probabilities, and look for an overflow in the network"
                )

    def without_mask(
        self, log_probs: Float[Tensor, "*batch state"]
    ) -> Float[Tensor, "*batch value"]:
        """Leave out the mask, or exclude it where the numbers of later states would change."""
        if self.mask_is_last:
            return log_probs[..., :-1]
        mask = torch.tensor([self.mask_state], device=log_probs.device)
        return log_probs.index_fill(-1, mask, -torch.inf)
