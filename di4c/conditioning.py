"""Coordinates that keep their value: those that are given (a prompt), and padding."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from di4c.checks import first_index, require_tensor
from di4c.denoisers import MixtureNetwork
from di4c.likelihood import DenseMixture, HeadMixture
from di4c.likelihood.checks import check_shape
from di4c.processes import ForwardProcess


@dataclass(frozen=True)
class Held:
    """Coordinates that keep their value: never noised, never predicted, never counted.

    Under masked noise an unmasked coordinate is data at every time. A network that sees some of
    them predicts the others given these. So generation with a prompt needs no other network.

    Attributes:
        x: the states, (B, D); not used if all coordinates are free.
        free: which coordinates are not held, (B, D); None if all are free.
    """

    x: Int[Tensor, "batch dim"] | None = None
    free: Bool[Tensor, "batch dim"] | None = None

    @classmethod
    def of(
        cls,
        process: ForwardProcess,
        name: str,
        x: Int[Tensor, "batch dim"],
        fixed: Tensor | None,
        valid: Tensor | None,
        validate: bool = True,
    ) -> "Held":
        """The coordinates of x that are fixed or not valid.

        Args:
            process: forward process.
            name: what to call x in errors.
            x: the states.
            fixed: (B, D), bool, which coordinates are conditioned on; None for none.
            valid: (B, D), bool, which coordinates are no padding; None for all.
            validate: whether to look for masks among the fixed coordinates.

        Raises:
            ValueError: If a mask has another shape or type, the process is not masked although
                coordinates are fixed, or a fixed coordinate holds the mask.
        """
        free = None
        for key, mask in (("fixed", fixed), ("valid", valid)):
            if mask is None:
                continue
            require_tensor(key, mask)
            check_shape(
                key, mask, tuple(x.shape), "batch, dim", f"give one entry for each of {name}"
            )
            if mask.dtype != torch.bool:
                raise ValueError(f"{key} must be bool; got {mask.dtype}: use {key}.bool()")
            open_ = ~mask if key == "fixed" else mask
            free = open_ if free is None else free & open_
        if fixed is not None and process.mask_state is None:
            raise ValueError(
                "fixed needs masked noise, where an unmasked coordinate is data at every time; got "
                f"{type(process).__name__}: use a MaskedProcess, or tell the network in another way"
            )
        if fixed is not None and validate:
            hidden = fixed & (x == process.mask_state)
            if bool(hidden.any()):
                raise ValueError(
                    f"{name} must hold values at fixed coordinates; got the mask "
                    f"{process.mask_state} at index {list(first_index(hidden))}: write the given "
                    f"values into {name}"
                )
        return cls(x, free)

    def rows(self, count: int) -> "Held":
        """The same for a batch that has several consecutive rows of each example."""
        if self.x is None or self.free is None or count == len(self.x):
            return self
        repeats = count // len(self.x)
        return Held(self.x.repeat_interleave(repeats, 0), self.free.repeat_interleave(repeats, 0))

    def keep(self, x: Int[Tensor, "row *copy dim"]) -> Int[Tensor, "row *copy dim"]:
        """States (R, D) or (R, K, D) with the held coordinates at their value. R may be k B."""
        held = self.rows(len(x))
        if held.x is None or held.free is None:
            return x
        if x.ndim == 3:
            return torch.where(held.free[:, None], x, held.x[:, None])
        return torch.where(held.free, x, held.x)

    def network(self, network: MixtureNetwork) -> MixtureNetwork:
        """The network that sees the held values, and is sure of them."""
        if self.free is None:
            return network

        def conditioned(
            x_t: Int[Tensor, "batch latent dim"], t: Tensor, latents: Tensor | None
        ) -> DenseMixture | HeadMixture:
            held = self.rows(len(x_t))
            assert held.x is not None
            assert held.free is not None
            known = torch.where(held.free, -1, held.x)
            return network(self.keep(x_t), t, latents).with_known(known)

        return conditioned

    def hides(
        self, x: Int[Tensor, "batch dim"], mask_state: int | None
    ) -> Bool[Tensor, "batch dim"]:
        """Which coordinates are masked and free: those that a sampler has to draw."""
        masked = torch.ones_like(x, dtype=torch.bool) if mask_state is None else x == mask_state
        return masked if self.free is None else masked & self.free

    def check_atoms(self, name: str, atoms: Int[Tensor, "batch atom dim"]) -> None:
        """Raise ValueError unless all atoms of an example have its held coordinates."""
        if self.x is None or self.free is None:
            return
        other = (atoms != self.x[:, None]) & ~self.free[:, None]
        if bool(other.any()):
            raise ValueError(
                f"{name} must have the fixed coordinates and the padding of their x_0; those at "
                f"index {list(first_index(other))} differ: leave {name} out"
            )
