r"""Product steps of masked diffusion, where unmasked coordinates stay and few transitions remain.

Only $(2S+1)^D$ of the $(S+1)^{2D}$ entries of the kernel can be positive: an unmasked coordinate
(S choices) stays, a masked one may go to any of S + 1 states. The possible transitions of the first
$D_1$ coordinates are enumerated. For each of them the last $D_2$ coordinates are summed by a small
dense matrix product. This costs $2 (2S+1)^{D_1} (S+1)^{2 D_2}$ operations.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.laws import infer_num_dims, product_columns

_TAIL_STATES = 300  # states of the last coordinates, enough for efficient matrix products


def tail_dims(num_dims: int, num_states: int) -> int:
    """Number of last coordinates that are summed by a dense matrix product, at least one."""
    return max(d for d in range(num_dims + 1) if d <= 1 or num_states**d <= _TAIL_STATES)


def masked_step(
    law: Float[Tensor, "atom"], probs: Float[Tensor, "atom dim state"], mask_state: int
) -> Float[Tensor, "atom"]:
    """One product step in which all unmasked coordinates are carried over.

    Args:
        law: law before the step, ((S + 1)^D,).
        probs: marginals after the step for every state, ((S + 1)^D, D, S + 1).
        mask_state: the mask.
    """
    num_states = probs.shape[-1]
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
