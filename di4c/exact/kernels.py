"""Dense kernels [x_t, x_s] of tiny spaces: where the joint law of a step itself is wanted."""

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.forward import forward_law
from di4c.exact.laws import as_law, product_law, require_memory
from di4c.processes import ForwardProcess


def forward_kernel(
    process: ForwardProcess, num_dims: int, s: float, t: float
) -> Float[Tensor, "source target"]:
    r"""$q_{t|s}$ on $S^D$: a Kronecker power, [x_s, x_t]."""
    size = process.num_states**num_dims
    require_memory(8 * size**2, f"a dense kernel of {size} x {size} states")
    kernel = single = process.transition(s, t)
    for _ in range(num_dims - 1):
        kernel = torch.kron(kernel, single)
    return kernel


def reverse_kernel(
    process: ForwardProcess, q_0: Tensor, s: float, t: float
) -> Float[Tensor, "target source"]:
    r"""The true reverse kernel $q_{s|t}(x_s \mid x_t) \propto q_s(x_s)\, q_{t|s}(x_t \mid x_s)$.

    Rows with $q_t(x_t) = 0$, where it is undefined, carry over: $x_s = x_t$.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        s: earlier time.
        t: later time.

    Returns:
        [x_t, x_s] over all states (a mask included), rows sum to 1.
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
    r"""The dense kernel $\prod_d m_d(x_s^d \mid x_t)$ of a product denoiser, [x_t, x_s]."""
    num_atoms, num_dims, num_states = probs.shape
    require_memory(8 * num_atoms * num_states**num_dims, "a dense product kernel")
    return product_law(probs)
