r"""Product steps of masked diffusion: unmasked coordinates stay, which leaves few transitions.

Of the $(S+1)^{2D}$ entries of the kernel only $(2S+1)^D$ can be positive: an unmasked coordinate
(S choices) stays, a masked one goes anywhere (S + 1). The first coordinates are enumerated with
only the transitions that exist; the last few are summed as one small dense matrix product each.
That costs $2 (2S+1)^{D_1} (S+1)^{2 D_2}$ flops at matrix-product speed.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.laws import infer_num_dims, product_columns

_TAIL_STATES = 300  # states of the last coordinates: large enough for matrix products to pay


def tail_dims(num_dims: int, num_states: int) -> int:
    """How many of the last coordinates go into one dense matrix product, at least one."""
    return max(d for d in range(num_dims + 1) if d <= 1 or num_states**d <= _TAIL_STATES)


def masked_step(
    law: Float[Tensor, "atom"], probs: Float[Tensor, "atom dim state"], mask_state: int
) -> Float[Tensor, "atom"]:
    """One product step that carries unmasked coordinates over; the mask is the last state."""
    num_states = mask_state + 1
    num_dims = infer_num_dims(len(law), num_states)
    tail = tail_dims(num_dims, num_states)
    head = num_dims - tail
    size = num_states**tail
    columns = probs.permute(1, 2, 0)  # (D, S + 1, n)
    out = torch.zeros(num_states**head, size, dtype=torch.float64)
    strides = [num_states ** (head - 1 - d) for d in range(head)]
    choices = torch.arange(num_states)
    for row, x in enumerate(itertools.product(range(num_states), repeat=head)):
        block = slice(row * size, (row + 1) * size)
        if not bool(law[block].any()):
            continue
        masked = [d for d in range(head) if x[d] == mask_state]
        target = torch.tensor([row - mask_state * sum(strides[d] for d in masked)])
        for d in masked:
            target = (target[:, None] + choices * strides[d]).flatten()
        rows = columns[..., block].contiguous()
        weights = product_columns(rows[masked]) * law[block]
        out.index_add_(0, target, weights @ product_columns(rows[head:]).T)
    return out.reshape(-1)
