r"""The exact teacher without a table: Bayes' rule for the states that are asked for.

`ExactDenoiser` holds all noisy states, one table for each time. Training at random times, or on
65536 states with masks, needs a few thousand of them at a time: with the coordinates split into two
halves and $q_0$ as a matrix Q over them, the likelihood of $x_t$ factorises and

$$q(x_0^{\mathrm{left}} \mid x_t) \propto \ell_{\mathrm{left}} \odot (Q\, \ell_{\mathrm{right}})$$

is a matrix product of 2 B S^D flops for B states; the right half likewise.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from di4c.exact import marginals, states
from di4c.exact.laws import as_law
from di4c.processes import ForwardProcess

_CHUNK_NUMBERS = 2**22  # numbers of one chunk of likelihoods: 32 MiB


class BayesDenoiser:
    r"""The marginals $q^d_{0|t}(\cdot \mid x_t)$ of a known data law, computed at each call.

    The denoiser of `ExactDenoiser`, with its convention where $q_t(x_t) = 0$: each coordinate
    follows its own one-dimensional posterior, and is carried over where even that is undefined.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,) or (num_values,)*D.

    Raises:
        ValueError: If q_0 is not a law on num_values^D states.
    """

    def __init__(self, process: ForwardProcess, q_0: Tensor) -> None:
        self.process = process
        law, self.num_dims = as_law(q_0, process.num_values)
        self.half = (self.num_dims + 1) // 2
        self.joint = law.reshape(process.num_values**self.half, -1)
        # [state of a half, coordinate and value]: sums laws over a half to their marginals.
        self.indicators = [
            one_hot(states(num_dims, process.num_values), process.num_values).flatten(1).double()
            if num_dims
            else law.new_ones(1, 0)
            for num_dims in (self.half, self.num_dims - self.half)
        ]
        self.own = marginals(law, self.num_dims, process.num_values)  # (D, S)

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """See Denoiser; the latent is ignored."""
        if x_t.shape[1] != self.num_dims:
            raise ValueError(
                f"x_t must have the {self.num_dims} dimensions of q_0; got {x_t.shape[1]}"
            )
        if self.process.mask_state is not None:  # any time at which every state can occur
            t = torch.full_like(t, self.process.horizon / 2)
        likelihood = self.process.likelihood(x_t, 0.0, t)[..., : self.process.num_values]
        chunk = max(1, _CHUNK_NUMBERS // sum(self.joint.shape))
        pieces = zip(likelihood.split(chunk), x_t.split(chunk), strict=True)
        return torch.cat([self._posterior(*piece) for piece in pieces]).log()

    def _posterior(
        self, likelihood: Float[Tensor, "batch dim value"], x_t: Int[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim value"]:
        left, right = _joint(likelihood[:, : self.half]), _joint(likelihood[:, self.half :])
        left, right = left * (right @ self.joint.T), right * (left @ self.joint)
        pieces = [half @ ones for half, ones in zip((left, right), self.indicators, strict=True)]
        found = torch.cat(pieces, 1).unflatten(1, likelihood.shape[1:])
        total = found.sum(-1, keepdim=True)
        single = self.own * likelihood
        carried = one_hot(x_t.clamp_max(self.process.num_values - 1), self.process.num_values)
        weight = single.sum(-1, keepdim=True)
        fallback = torch.where(weight > 0, single / weight.where(weight > 0, 1.0), carried)
        return torch.where(total > 0, found / total.where(total > 0, 1.0), fallback)


def _joint(likelihood: Float[Tensor, "batch dim value"]) -> Float[Tensor, "batch atom"]:
    """Products over the coordinates, for every state of them."""
    joint = likelihood.new_ones(len(likelihood), 1)
    for factor in likelihood.unbind(1):
        joint = (joint[:, :, None] * factor[:, None]).flatten(1)
    return joint
