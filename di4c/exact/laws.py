"""Laws on S^D as vectors over all states, with their marginals, entropies and divergences."""

import math
import os

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, require_tensor
from di4c.probabilities import as_probabilities


def require_memory(
    num_bytes: int, what: str, remedy: str = "use fewer dimensions or fewer states"
) -> None:
    """Raise ValueError if an object of this size would take over 80 % of the machine's memory."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 5 * num_bytes > 4 * installed:
        size = num_bytes // 2**30  # an integer, because S^D may exceed the range of floats
        power = int((size.bit_length() - 1) * math.log10(2))  # Python prints no longer integers
        shown = f"{num_bytes / 2**30:.3g}" if size < 2**60 else f"10^{power}"
        raise ValueError(
            f"{what} would take {shown} GiB and this machine has {installed / 2**30:.3g} GiB; "
            f"{remedy}"
        )


def states(num_dims: int, num_states: int) -> Int[Tensor, "atom dim"]:
    """All states of S^D in lexicographic order; row i belongs to entry i of a law.

    Args:
        num_dims: D.
        num_states: S.

    Returns:
        (S^D, D), int64.

    Raises:
        ValueError: If D or S is less than 1, or the table would not fit into memory.
    """
    check_count("num_dims", num_dims)
    check_count("num_states", num_states)
    what = f"the table of all {num_states}^{num_dims} states"
    require_memory(8 * num_dims * num_states**num_dims, what)
    powers = num_states ** torch.arange(num_dims - 1, -1, -1)
    return torch.arange(num_states**num_dims)[:, None] // powers % num_states


def infer_num_dims(size: int, num_states: int) -> int:
    """The number D with num_states^D = size; raises ValueError if there is none."""
    if num_states < 2:
        raise ValueError(f"num_states must be at least 2, otherwise D is unknown; got {num_states}")
    num_dims = round(math.log(size) / math.log(num_states)) if size > 1 else 0
    if num_dims < 1 or num_states**num_dims != size:
        raise ValueError(
            f"a law of D coordinates with {num_states} states each must have {num_states}^D "
            f"entries; got {size}"
        )
    return num_dims


def for_each(
    value: Float[Tensor, "*dim source target"], num_dims: int
) -> Float[Tensor, "dims source target"]:
    """One matrix for each coordinate, (D, S, T), from one for all, (S, T), or from D.

    Raises:
        ValueError: If there is another number of matrices than coordinates.
    """
    if value.ndim == 3 and len(value) != num_dims:
        raise ValueError(
            f"process must have one process for each of the {num_dims} coordinates of q_0; got "
            f"{len(value)}: give as many, or one for all"
        )
    return value.expand(num_dims, -1, -1)


def as_law(probs: Tensor, num_states: int) -> tuple[Float[Tensor, "atom"], int]:
    """Check a law given as a vector or as an array.

    Args:
        probs: (S^D,) or (S,)*D.
        num_states: S.

    Returns:
        The law as a float64 vector (S^D,), and D.

    Raises:
        ValueError: If the shape does not fit, or it is no law.
    """
    require_tensor("q_0", probs)
    if probs.ndim > 1 and set(probs.shape) != {num_states}:
        raise ValueError(
            f"q_0 must be a vector of {num_states}^D entries or an array of shape "
            f"({num_states},) * D; got shape {tuple(probs.shape)}"
        )
    num_dims = infer_num_dims(probs.numel(), num_states)
    return as_probabilities("q_0", probs.reshape(-1)), num_dims


def marginals(
    probs: Float[Tensor, "*batch atom"], num_dims: int, num_states: int
) -> Float[Tensor, "*batch dim state"]:
    """Law of each coordinate, (..., D, S), of laws (..., S^D).

    Raises:
        ValueError: If there is another number of entries.
    """
    require_tensor("probs", probs)
    check_count("num_dims", num_dims)
    check_count("num_states", num_states)
    if probs.shape[-1] != num_states**num_dims:
        raise ValueError(
            f"probs must have {num_states}^{num_dims} entries on its last axis; got "
            f"{probs.shape[-1]}"
        )
    rows = []
    for d in range(num_dims):
        split = (*probs.shape[:-1], num_states**d, num_states, num_states ** (num_dims - d - 1))
        rows.append(probs.reshape(split).sum((-3, -1)))
    return torch.stack(rows, -2)


def product_law(probs: Float[Tensor, "*batch dim state"]) -> Float[Tensor, "*batch atom"]:
    """Laws (..., S^D) of independent coordinates with the marginals (..., D, S)."""
    require_tensor("probs", probs)
    law = product_columns(probs.reshape(-1, *probs.shape[-2:]).permute(1, 2, 0))
    return law.T.reshape(*probs.shape[:-2], -1)


def product_columns(probs: Float[Tensor, "dim state batch"]) -> Float[Tensor, "atom batch"]:
    """`product_law` with the batch as the last axis, which makes inner loops long."""
    num_dims, num_states, batch = probs.shape
    if num_dims == 0:
        return probs.new_ones(1, batch)
    if num_dims == 1:
        return probs[0]
    middle = num_dims // 2
    first, second = product_columns(probs[:middle]), product_columns(probs[middle:])
    return (first[:, None] * second).reshape(num_states**num_dims, batch)


def total_variation(
    p: Float[Tensor, "*batch atom"], q: Float[Tensor, "*batch states"]
) -> Float[Tensor, "*batch"]:
    r"""Total variation distance $d_{TV}(p, q) = \tfrac12 \sum_x |p(x) - q(x)|$, in [0, 1].

    Args:
        p: law, (..., n).
        q: law on the same states, (..., n).

    Raises:
        ValueError: If the laws have different numbers of states.

    Example:
        >>> import torch
        >>> from di4c.exact import total_variation
        >>> total_variation(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25]))
        tensor(0.2500)
    """
    _check_same_states(p, q)
    return (p - q).abs().sum(-1) / 2


def kl(
    p: Float[Tensor, "*batch atom"], q: Float[Tensor, "*batch states"]
) -> Float[Tensor, "*batch"]:
    r"""$\mathrm{KL}(p \| q) = \sum_x p \log (p / q)$ in nats, at least 0.

    It is inf if some state has p > 0 and q = 0.

    Args:
        p: law, (..., n).
        q: law on the same states, (..., n).

    Raises:
        ValueError: If the laws have different numbers of states.
    """
    _check_same_states(p, q)
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum(-1)


def _check_same_states(p: Tensor, q: Tensor) -> None:
    require_tensor("p", p)
    require_tensor("q", q)
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(
            f"p and q must live on the same states; got {p.shape[-1]} and {q.shape[-1]} entries"
        )


def entropy(p: Float[Tensor, "*batch atom"]) -> Float[Tensor, "*batch"]:
    r"""Entropy $H(p) = -\sum_x p \log p$ in nats, of laws (..., n)."""
    require_tensor("p", p)
    return torch.special.entr(p).sum(-1)


def total_correlation(
    p: Float[Tensor, "*batch atom"], num_dims: int, num_states: int
) -> Float[Tensor, "*batch"]:
    r"""Total correlation $\sum_d H(p^d) - H(p) = \mathrm{KL}(p \| \prod_d p^d)$ in nats.

    Args:
        p: law, (..., S^D).
        num_dims: D.
        num_states: S.
    """
    return entropy(marginals(p, num_dims, num_states)).sum(-1) - entropy(p)
