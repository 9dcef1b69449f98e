"""The exact masked teacher on spaces where a table over all noisy states would not fit."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.denoisers import state_index
from di4c.exact import marginals, push_forward
from di4c.exact.laws import as_law, require_memory


class MarginalsDenoiser:
    r"""$p(x_d = v \mid x_A)$ as a ratio of marginals of the data law, looked up when asked.

    The same function as `di4c.denoisers.ExactDenoiser` for masked noise, from one number for each
    of the $(S+1)^D$ partly masked states, $p(x_A)$, where that keeps $D (S+1)$ numbers for each.
    Where $p(x_A) = 0$ each masked coordinate follows its own marginal.

    Args:
        q_0: data law, (S^D,).
        num_values: S; the mask is the state S.

    Raises:
        ValueError: If q_0 is no law on S^D, or the marginals do not fit into memory.
    """

    def __init__(self, q_0: Tensor, num_values: int) -> None:
        law, self.num_dims = as_law(q_0, num_values)
        self.num_values = num_values
        base = num_values + 1
        require_memory(16.0 * base**self.num_dims, f"the marginals of {base}^{self.num_dims} parts")
        self.own = marginals(law, self.num_dims, num_values)
        self.mass = push_forward(law, marginalise(num_values))
        self._strides = base ** torch.arange(self.num_dims - 1, -1, -1)

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """See `di4c.denoisers.Denoiser`; time and latent are ignored."""
        if x_t.shape[1] != self.num_dims:
            raise ValueError(
                f"x_t must have the {self.num_dims} dimensions of q_0; got {x_t.shape[1]}"
            )
        index = state_index(x_t, self.num_values + 1)
        values = torch.arange(self.num_values)
        with_value = index[:, None, None] + (values - x_t[..., None]) * self._strides[:, None]
        total = self.mass[index][:, None, None]
        probs = torch.where(
            total > 0, self.mass[with_value] / total.where(total > 0, 1.0), self.own
        )
        masked = x_t[..., None] == self.num_values
        return torch.where(masked, probs, (x_t[..., None] == values).double()).log()


def marginalise(num_values: int) -> Float[Tensor, "value state"]:
    """[I | 1]: `push_forward` by it sums a law over the masked coordinates of each part x_A."""
    ones = torch.ones(num_values, 1, dtype=torch.float64)
    return torch.cat([torch.eye(num_values, dtype=torch.float64), ones], 1)
