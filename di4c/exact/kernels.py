"""Dense kernels of small spaces, for the joint law of two times."""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_count, require_tensor
from di4c.exact.forward import forward_law
from di4c.exact.laws import as_law, for_each, product_law, require_memory
from di4c.likelihood.checks import check_shape
from di4c.processes.composed import Noise


def forward_kernel(
    process: Noise, num_dims: int, s: float, t: float
) -> Float[Tensor, "source target"]:
    r"""The forward kernel $q_{t|s}$ on $S^D$, the Kronecker product of those of the coordinates.

    Args:
        process: forward process, or one for each coordinate.
        num_dims: D.
        s: earlier time.
        t: later time.

    Returns:
        (num_states^D, num_states^D) as [x_s, x_t]; rows sum to 1.

    Raises:
        ValueError: If the kernel would not fit into memory.
    """
    check_count("num_dims", num_dims)
    size = process.num_states**num_dims
    require_memory(8 * size**2, f"a dense kernel of {size} x {size} states")
    return functools.reduce(torch.kron, for_each(process.transition(s, t), num_dims))


def reverse_kernel(
    process: Noise, q_0: Tensor, s: float, t: float
) -> Float[Tensor, "target source"]:
    r"""The true reverse kernel $q_{s|t}(x_s \mid x_t) \propto q_s(x_s)\, q_{t|s}(x_t \mid x_s)$.

    Where $q_t(x_t) = 0$ the kernel is undefined, and the state is carried over: $x_s = x_t$.

    Args:
        process: forward process, or one for each coordinate.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        s: earlier time.
        t: later time.

    Returns:
        (num_states^D, num_states^D) as [x_t, x_s], a mask included; rows sum to 1.

    Raises:
        ValueError: If the law does not fit, or the kernel would not fit into memory.
    """
    law, num_dims = as_law(q_0, process.num_values)
    joint = forward_kernel(process, num_dims, s, t) * forward_law(process, law, s)[:, None]
    total = joint.sum(0)
    reverse = (joint / total.where(total > 0, 1.0)).T
    carry = torch.eye(len(joint), dtype=joint.dtype)
    return torch.where((total > 0)[:, None], reverse, carry)


def product_kernel(
    probs: Float[Tensor, "target dim state"],
) -> Float[Tensor, "target source"]:
    r"""The dense kernel $\prod_d m_d(x_s^d \mid x_t)$ of a product denoiser.

    Args:
        probs: $m_d(\cdot \mid x_t)$ for every state $x_t$, (n, D, S).

    Returns:
        (n, S^D) as [x_t, x_s]; rows sum to 1.

    Raises:
        ValueError: If the kernel would not fit into memory.
    """
    require_tensor("probs", probs)
    check_shape("probs", probs, (-1, -1, -1), "atom, dim, state")
    num_atoms, num_dims, num_states = probs.shape
    require_memory(8 * num_atoms * num_states**num_dims, "a dense product kernel")
    return product_law(probs)
