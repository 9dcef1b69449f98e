r"""Exact teachers for spaces where a table of all posteriors is too large, or mostly not needed.

`di4c.denoisers.ExactDenoiser` keeps a table with the posterior of every noisy state for each time.
The teachers here compute posteriors when asked.

`MarginalsDenoiser` is for masked noise. The posterior is a ratio of marginals, for which it keeps
one number for each partly masked state.

`BayesDenoiser` is for any noise. The coordinates are split into two halves, and $q_0$ is a matrix Q
over them. As the likelihood of $x_t$ factorises,

$$q(x_0^{\mathrm{left}} \mid x_t) \propto \ell_{\mathrm{left}} \odot (Q\, \ell_{\mathrm{right}})$$

is a matrix product of 2 B S^D flops for B states. The same holds for the right half.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from di4c.denoisers import state_index
from di4c.exact import marginals, push_forward, states
from di4c.exact.laws import as_law, require_memory
from di4c.network_call import check_t, check_x_t
from di4c.processes import ForwardProcess
from di4c.processes.masked import half_masked

_CHUNK_NUMBERS = 2**22  # numbers of one chunk of likelihoods: 32 MiB


class MarginalsDenoiser:
    r"""$p(x_d = v \mid x_A)$ as a ratio of marginals of the data law, looked up when asked.

    The same function as `di4c.denoisers.ExactDenoiser` for masked noise. It keeps one number for
    each of the $(S+1)^D$ partly masked states, $p(x_A)$, instead of $D (S+1)$ numbers. If
    $p(x_A) = 0$, each masked coordinate follows its own marginal.

    Args:
        q_0: data law, (S^D,).
        num_values: S; the mask is the state S.

    Raises:
        ValueError: If q_0 is not a law on S^D, or the marginals do not fit into memory.
    """

    def __init__(self, q_0: Tensor, num_values: int) -> None:
        law, self.num_dims = as_law(q_0, num_values)
        self.num_values = num_values
        base = num_values + 1
        require_memory(16 * base**self.num_dims, f"the marginals of {base}^{self.num_dims} parts")
        self.own = marginals(law, self.num_dims, num_values)
        self.mass = push_forward(law, marginalise(num_values))
        self._strides = base ** torch.arange(self.num_dims - 1, -1, -1)

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """Log-probabilities of each coordinate; time and latent are ignored."""
        check_x_t(x_t, self.num_dims, self.num_values + 1)
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
    """The matrix [I | 1]: `push_forward` by it sums a law over the masked coordinates of x_A."""
    ones = torch.ones(num_values, 1, dtype=torch.float64)
    return torch.cat([torch.eye(num_values, dtype=torch.float64), ones], 1)


class BayesDenoiser:
    r"""The marginals $q^d_{0|t}(\cdot \mid x_t)$ of a known data law, computed at each call.

    The same function as `di4c.denoisers.ExactDenoiser`, with the same convention for
    $q_t(x_t) = 0$: each coordinate follows its own one-dimensional posterior, and is carried over
    if that is undefined too.

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
        # [state of a half, coordinate and value]: maps laws over a half to their marginals.
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
        """Log-probabilities of each coordinate; the latent is ignored."""
        check_x_t(x_t, self.num_dims, self.process.num_states)
        check_t(t, len(x_t), self.process.horizon)
        noise = self.process
        if noise.mask_state is not None:
            noise, time = half_masked(noise)
            t = torch.full_like(t, time)
        likelihood = noise.likelihood(x_t, 0.0, t)[..., : noise.num_values]
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
    """Products over the coordinates, for every joint state of them."""
    joint = likelihood.new_ones(len(likelihood), 1)
    for factor in likelihood.unbind(1):
        joint = (joint[:, :, None] * factor[:, None]).flatten(1)
    return joint
