"""Logits of a few positions at a time, in two buffers that all chunks share.

A position is one pair (b, d). A chunk holds all S logits of all L latents of its positions, so
that every reduction, over states for the normaliser and over latents for the mixture, is complete
inside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from di4c.likelihood.logits import Head, LogitsTransform

# Logits in a chunk. On a CPU 16 MiB of float32 stay in the last-level cache and still fill the
# matrix product; a GPU needs more rows to be busy.
_CPU_LOGITS, _GPU_LOGITS = 2**22, 2**25


@dataclass(frozen=True)
class Chunked:
    """How features become logits, and how many at a time.

    Attributes:
        head: from features to logits.
        transform: from logits to what the softmax sees.
        positions_per_chunk: positions in a chunk, None for as many as suit the device.
    """

    head: Head
    transform: LogitsTransform
    positions_per_chunk: int | None = None


class Chunk(NamedTuple):
    """Some positions: indices, features, and two buffers with the logits in the first."""

    batch: Int[Tensor, "position"]
    dim: Int[Tensor, "position"]
    rows: Float[Tensor, "row hidden"]  # row = (position, latent)
    logits: Float[Tensor, "position latent state"]
    scratch: Float[Tensor, "position latent state"]
    known: Bool[Tensor, "position latent"] | None  # where a latent's own coordinate is given

    def of(self, tensor: Tensor) -> Tensor:
        """The entries (P, ...) of a tensor (B, D, ...)."""
        return tensor[self.batch, self.dim]

    def of_latents(self, tensor: Tensor) -> Tensor:
        """The entries (P, L, ...) of a tensor (B, L, D, ...)."""
        return tensor[self.batch, :, self.dim]


def chunks(chunked: Chunked, hidden: Float[Tensor, "batch latent dim hidden"]) -> Iterator[Chunk]:
    """The chunks of all positions that are to be predicted; each overwrites the one before."""
    _, num_latents, num_dims, _ = hidden.shape
    num_states, transform = chunked.head.num_states, chunked.transform
    positions = (_known_to_all(transform, hidden).flatten() < 0).nonzero().squeeze(1)
    if len(positions) == 0:
        return
    logits_per_chunk = _CPU_LOGITS if hidden.device.type == "cpu" else _GPU_LOGITS
    most = chunked.positions_per_chunk or max(1, logits_per_chunk // (num_latents * num_states))
    num_chunks = -(-len(positions) // most)
    pieces = positions.tensor_split(num_chunks)  # equal but for one position: no short last chunk
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
    """Indices (batch, dim) and states of the positions that are given: no product for them."""
    known = _known_to_all(chunked.transform, hidden)
    batch, dim = (known >= 0).nonzero(as_tuple=True)
    size = max(1, _CPU_LOGITS // chunked.head.num_states)
    for b, d in zip(batch.split(size), dim.split(size), strict=True):
        if len(b):  # split of nothing gives one empty piece
            yield b, d, known[b, d]


def accumulator(hidden: Tensor) -> torch.dtype:
    """float32, or float64 for float64 features."""
    return torch.promote_types(hidden.dtype, torch.float32)


def _known_to_all(transform: LogitsTransform, hidden: Tensor) -> Int[Tensor, "batch dim"]:
    """The given state of each coordinate on which all latents agree, otherwise -1."""
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
    """Transform the logits in place; where latents differ in what is given, say which know it."""
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
