"""Logits in chunks of a few positions, in two buffers that all chunks share.

A position is one pair (b, d) of an example and a dimension. A chunk holds the S logits of all L
latents at its positions. So both reductions are complete inside a chunk: the one over states for
the normaliser, and the one over latents for the mixture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from di4c.checks import first_index
from di4c.likelihood.logits import Head, LogitsTransform

# Number of logits in a chunk. On a CPU, 16 MiB of float32 stay in the last-level cache and are
# enough for an efficient matrix product. A GPU needs more rows to be busy.
_CPU_LOGITS, _GPU_LOGITS = 2**22, 2**25


@dataclass(frozen=True)
class Chunked:
    """How features become logits, and how many positions make a chunk.

    Attributes:
        head: map from features to logits.
        transform: map from logits to the input of the softmax.
        positions_per_chunk: positions in a chunk; None for a number that suits the device.
    """

    head: Head
    transform: LogitsTransform
    positions_per_chunk: int | None = None


class Chunk(NamedTuple):
    """Some positions with their features and logits.

    Attributes:
        batch: example of each position, (P,).
        dim: dimension of each position, (P,).
        rows: features, (P L, H); a row is a pair (position, latent).
        logits: the first buffer, with the logits after the transform, (P, L, S).
        scratch: the second buffer, (P, L, S).
        known: (P, L), whether the coordinate is given for this latent. None if all latents agree.
    """

    batch: Int[Tensor, "position"]
    dim: Int[Tensor, "position"]
    rows: Float[Tensor, "row hidden"]
    logits: Float[Tensor, "position latent state"]
    scratch: Float[Tensor, "position latent state"]
    known: Bool[Tensor, "position latent"] | None

    def of(self, tensor: Tensor) -> Tensor:
        """Entries (P, ...) of a tensor (B, D, ...) at the positions."""
        return tensor[self.batch, self.dim]

    def of_latents(self, tensor: Tensor) -> Tensor:
        """Entries (P, L, ...) of a tensor (B, L, D, ...) at the positions."""
        return tensor[self.batch, :, self.dim]


def chunks(chunked: Chunked, hidden: Float[Tensor, "batch latent dim hidden"]) -> Iterator[Chunk]:
    """Chunks of all positions that are to be predicted. Each overwrites the buffers of the last."""
    _, num_latents, num_dims, _ = hidden.shape
    num_states, transform = chunked.head.num_states, chunked.transform
    positions = (_known_to_all(transform, hidden).flatten() < 0).nonzero().squeeze(1)
    if len(positions) == 0:
        return
    logits_per_chunk = _CPU_LOGITS if hidden.device.type == "cpu" else _GPU_LOGITS
    most = chunked.positions_per_chunk or max(1, logits_per_chunk // (num_latents * num_states))
    num_chunks = -(-len(positions) // most)
    pieces = positions.tensor_split(num_chunks)  # sizes differ by at most one position
    shape = (len(pieces[0]), num_latents, num_states)
    buffers = torch.empty((2, *shape), dtype=accumulator(hidden), device=hidden.device)
    for piece in pieces:
        batch, dim = piece // num_dims, piece % num_dims
        rows = hidden[batch, :, dim].flatten(0, 1)
        logits, scratch = buffers[:, : len(piece)]
        chunked.head.logits(rows, out=logits.view(-1, num_states))
        known = _transform(logits, transform, batch, dim)
        yield Chunk(batch, dim, rows, logits, scratch, known)


def given_chunks(
    chunked: Chunked, hidden: Float[Tensor, "batch latent dim hidden"]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Indices (batch, dim) and states of the positions that are given. They need no logits."""
    known = _known_to_all(chunked.transform, hidden)
    batch, dim = (known >= 0).nonzero(as_tuple=True)
    size = max(1, _CPU_LOGITS // chunked.head.num_states)
    for b, d in zip(batch.split(size), dim.split(size), strict=True):
        if len(b):  # an empty tensor is split into one empty piece
            yield b, d, known[b, d]


def accumulator(hidden: Tensor) -> torch.dtype:
    """Dtype of sums: float64 for float64 features, otherwise float32."""
    return torch.promote_types(hidden.dtype, torch.float32)


def _known_to_all(transform: LogitsTransform, hidden: Tensor) -> Int[Tensor, "batch dim"]:
    """State of each coordinate that is given and the same for all latents; -1 elsewhere."""
    given = transform.given
    if given is None:
        return torch.full((hidden.shape[0], hidden.shape[2]), -1, device=hidden.device)
    if given.ndim == 2:
        return given
    return torch.where((given == given[:, :1]).all(1), given[:, 0], -1)


def _transform(
    logits: Float[Tensor, "position latent state"],
    transform: LogitsTransform,
    batch: Int[Tensor, "position"],
    dim: Int[Tensor, "position"],
) -> Bool[Tensor, "position latent"] | None:
    """Transform the logits in place.

    Returns:
        (P, L), whether the coordinate is given for this latent; None if all latents agree.
    """
    if transform.soft_cap is not None:
        logits.div_(transform.soft_cap).tanh_().mul_(transform.soft_cap)
    for state in transform.excluded_states:
        logits[..., state] = -torch.inf
    if transform.given is None or transform.given.ndim == 2:
        return None
    given = transform.given[batch, :, dim]  # (P, L)
    known, index = given >= 0, given.clamp(min=0)[..., None]
    logits.masked_fill_(known[..., None], -torch.inf)
    at_given = logits.gather(-1, index).masked_fill_(known[..., None], 0)
    logits.scatter_(-1, index, at_given)
    return known


def weighted_sum(weights: Tensor, values: Float[Tensor, "position latent state"]) -> Tensor:
    """Weighted sum over latents, (P, S), as a matrix product that reads the values once."""
    return torch.bmm(weights.expand(len(values), 1, -1), values).squeeze(1)


def underflow(mixture: Float[Tensor, "position state"]) -> tuple[Tensor, Tensor]:
    """Positions and states, each (n,), where terms of the mixture may have underflowed."""
    info = torch.finfo(mixture.dtype)
    position, state = (mixture < info.tiny / info.eps).nonzero(as_tuple=True)
    return position, state


def refuse(chunked: Chunked, hidden: Tensor, index: tuple[int, ...]) -> None:
    """Raise ValueError about the row (b, l, d) whose softmax has no finite normaliser."""
    features = hidden[index]
    if bool(features.isnan().any()):
        where = [*index, *first_index(features.isnan())]
        raise ValueError(f"hidden is nan at index {where}: look for an overflow in the network")
    logits = torch.empty(1, chunked.head.num_states, dtype=accumulator(hidden)).to(hidden.device)
    chunked.head.logits(features[None], out=logits)
    bad = logits[0].isnan() | (logits[0] == torch.inf)
    if bool(bad.any()):
        (state,) = first_index(bad)
        raise ValueError(
            f"logits is {float(logits[0, state])} at index {[*index, state]}: look for an overflow "
            "in the weights of the head"
        )
    raise ValueError(
        f"logits are -inf for every state at index {list(index)}: leave at least one state possible"
    )
