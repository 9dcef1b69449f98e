r"""Noise, time grids and the product sampler, as tensors or in exact numbers.

See `arithmetic` for the two worlds. They share no code for sampling.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from flint import arb
from torch import Tensor

from theory.lab.arithmetic import Array, Number, apply
from theory.lab.quantities import total_variation
from theory.tools import oracle
from theory.tools.dense_chain import dense_chain


@dataclass(frozen=True)
class Noise:
    r"""A coordinate survives with probability $\alpha(t)$, else it is redrawn from $\pi$; T = 1.

    Attributes:
        stationary: $\pi$, the probabilities of all states, a mask included.
        schedule: "linear" (1 - t), "cosine" (cos(pi t / 2)) or "exponential" (exp(-rate t)).
        rate: the rate of the exponential schedule.
        masked: whether the last state is a mask, which data never show.
    """

    stationary: Array
    schedule: str = "linear"
    rate: Number = 1
    masked: bool = False

    @property
    def num_states(self) -> int:
        """Number of states of a coordinate, a mask included."""
        return len(self.stationary)

    @property
    def num_values(self) -> int:
        """Number of states that data can take."""
        return len(self.stationary) - self.masked

    def alpha(self, t: Number) -> Number:
        """The survival probability at t, with t in [0, 1]."""
        if self.schedule == "linear":
            return 1 - t
        if self.schedule == "cosine":  # the sine is exactly 0 at t = 1
            return apply(1 - t, lambda v: torch.sin(v * (math.pi / 2)), _quarter_sine)
        return apply(-self.rate * t, torch.exp, lambda v: arb(v).exp())

    def transition(self, s: Number, t: Number) -> Array:
        """The law of a coordinate at t for each state at s <= t: [from, to]; s and t may have axes.

        The last time at which data are left may be t, never s.
        """
        kept = self.alpha(t) / self.alpha(s)
        if isinstance(self.stationary, Tensor):
            kept = kept[..., None, None]
            return (
                kept * torch.eye(self.num_states, dtype=torch.float64)
                + (1 - kept) * self.stationary
            )
        return (
            kept * np.eye(self.num_states, dtype=int).astype(object) + (1 - kept) * self.stationary
        )


def _quarter_sine(value: Number) -> arb:
    return (arb(value) * arb.pi() / 2).sin()


def noised(law: Array, noise: Noise, t: Number) -> Array:
    """The law q_t over all states, a mask included."""
    kernel = noise.transition(0 * t, t)[: noise.num_values]
    product = torch.tensordot if isinstance(law, Tensor) else np.tensordot
    for _ in range(law.ndim):  # the first axis is used up and the new one comes last
        law = product(law, kernel, ([0], [0]))
    return law


def product_kernels(law: Array, noise: Noise, grid: Array) -> list[Array]:
    """The N kernels of the product sampler; entry k goes from t_(k+1) to t_k.

    A kernel is a matrix [state at t_(k+1), state at t_k] over all states in lexicographic order.
    At time 0 the states are those of the data, so the first kernel has S^D columns.
    """
    if isinstance(law, Tensor):
        kernels = list(dense_chain(noise, law, grid).product)
        shape = (-1, *(noise.num_states,) * law.ndim)
        first = kernels[0].reshape(shape)[(slice(None), *(slice(0, noise.num_values),) * law.ndim)]
        return [first.flatten(1), *kernels[1:]]
    laws, steps = _literal(law, noise, grid)
    return [
        np.array(
            [
                [*oracle.product_step({x: one_in(law_s)}, law_s, kernel).values()]
                for x in oracle.all_states(law.ndim, noise.num_states)
            ],
            dtype=object,
        )
        for law_s, kernel in zip(laws, steps, strict=True)
    ]


def one_in(law: oracle.Law) -> Number:
    """The number 1 in the type of the probabilities of a law."""
    return 0 * next(iter(law.values())) + 1


def generate(law: Array, noise: Noise, grid: Array, start: Array | None = None) -> Array:
    """The law at time 0 after the N steps of the marginal-matching product sampler.

    Args:
        law: data law.
        noise: the noise.
        grid: times t_0 = 0 < ... < t_N.
        start: law over all states at t_N; the noised data by default.
    """
    if isinstance(law, Tensor):
        chain = dense_chain(noise, law, grid)
        out = chain.laws[-1] if start is None else start.flatten()
        for kernel in chain.product.flip(0):
            out = out @ kernel
        cube = out.reshape((noise.num_states,) * law.ndim)
        return cube[(slice(0, noise.num_values),) * law.ndim]
    laws, steps = _literal(law, noise, grid)
    begin = None if start is None else {x: start[x] for x in np.ndindex(start.shape)}
    out = oracle.compose(laws[0], steps, begin)
    return np.array([out[x] for x in np.ndindex(law.shape)], dtype=object).reshape(law.shape)


def _literal(law: Array, noise: Noise, grid: Array) -> tuple[list[oracle.Law], list[Array]]:
    """The laws at t_0 .. t_(N-1) and the kernels of a coordinate, in the types of the oracle."""
    laws = [{x: law[x] for x in np.ndindex(law.shape)}]
    steps = [noise.transition(s, t) for s, t in itertools.pairwise(grid)]
    steps[0] = steps[0][: noise.num_values]
    for kernel in steps[:-1]:
        laws.append(oracle.noised(laws[-1], kernel))
    return laws, steps


def error(law: Array, noise: Noise, grid: Array) -> Number:
    """TV_N: the total variation between the data law and what N product steps generate."""
    return total_variation(generate(law, noise, grid), law)


def limit(law: Array, noise: Noise) -> Number:
    r"""$\lim_N N\,TV_N$ on the uniform grid, for masked noise with the linear schedule.

    There $N(\mathrm{out}_N - p_0)$ is a polynomial of degree D - 2 in 1/N. Its values at
    N = 1, ..., D - 1 determine the limit.
    """
    if not (noise.masked and noise.schedule == "linear"):
        raise ValueError('limit needs NOISE = "masked" and SCHEDULES = "linear"')
    sizes = range(1, max(law.ndim, 2))
    direction = 0
    for n in sizes:
        weight = math.prod(n - k for k in sizes if k != n)
        grid = uniform_grid(law, n)
        scaled = n ** (len(sizes) - 1) * n * (generate(law, noise, grid) - law)
        direction = direction + scaled / weight
    return abs(direction).sum() / 2


def uniform_grid(like: Array, num_steps: int) -> Array:
    """The times k / N, in the world of the array `like`."""
    if isinstance(like, Tensor):
        return torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    zero = 0 * like.flat[0]
    return np.array([(zero + k) / num_steps for k in range(num_steps + 1)], dtype=object)


def refined(grid: Array) -> Array:
    """The grid with a new time in the middle of each step."""
    middles = (grid[:-1] + grid[1:]) / 2
    stack = torch.stack if isinstance(grid, Tensor) else np.stack
    return _joined(stack([grid[:-1], middles], 1).reshape(-1), grid[-1:])


def without(grid: Array, k: int) -> Array:
    """The grid without its time t_k."""
    return _joined(grid[:k], grid[k + 1 :])


def _joined(*parts: Array) -> Array:
    return torch.cat(parts) if isinstance(parts[0], Tensor) else np.concatenate(parts)
