r"""Product steps of masked diffusion: unmasked coordinates stay, which leaves few transitions.

Of the $(S+1)^{2D}$ entries of the kernel only $(2S+1)^D$ can be positive: an unmasked coordinate
(S choices) stays, a masked one goes anywhere (S + 1). They are summed one mask pattern at a time.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.laws import infer_num_dims, product_law


def masked_step(
    law: Float[Tensor, "atom"], probs: Float[Tensor, "atom dim state"], mask_state: int
) -> Float[Tensor, "atom"]:
    """One product step that carries unmasked coordinates over; the mask is the last state."""
    num_states = mask_state + 1
    num_dims = infer_num_dims(len(law), num_states)
    strides = [num_states ** (num_dims - 1 - d) for d in range(num_dims)]
    values = torch.arange(mask_state)
    everything = torch.arange(num_states)
    out = torch.zeros_like(law)
    for pattern in itertools.product((False, True), repeat=num_dims):
        source = torch.zeros(1, dtype=torch.long)
        target = torch.zeros(1, dtype=torch.long)
        for masked, stride in zip(pattern, strides, strict=True):
            if masked:
                source = source + mask_state * stride
                target = (target[:, None] + everything * stride).flatten()
            else:
                source = (source[:, None] + values * stride).flatten()
        source = source[law[source] > 0]
        if not len(source):
            continue
        # The target of source row x is its observed part plus any choice for the masked part.
        masked_dims = [d for d, masked in enumerate(pattern) if masked]
        base = source - mask_state * sum(strides[d] for d in masked_dims)
        mass = law[source, None]
        if masked_dims:
            mass = mass * product_law(probs[source][:, masked_dims])
        out.index_add_(0, (base[:, None] + target).flatten(), mass.flatten())
    return out
