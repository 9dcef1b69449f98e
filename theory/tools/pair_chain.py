r"""The enumerated sampler: N product steps of a pair, step by step from their definition.

It is independent of the library. From $p_0$ and the kernels of one coordinate it computes the true
joint law of every step, the marginals of the reverse kernels, their products, and the composition
of these. With up to S = 3 states a step takes microseconds, so N = 4096 and more is possible.
"""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Kernel = Callable[[Array], Array]


def masked_kernels(ratio: Array, num_values: int) -> Array:
    """Keep a value with probability `ratio`, else mask it (last state): (..., S + 1, S + 1)."""
    kernel = np.zeros((*np.shape(ratio), num_values + 1, num_values + 1))
    values = np.arange(num_values)
    kernel[..., values, values] = np.asarray(ratio)[..., None]
    kernel[..., values, num_values] = 1 - np.asarray(ratio)[..., None]
    kernel[..., num_values, num_values] = 1
    return kernel


def uniform_kernels(ratio: Array, num_states: int = 2) -> Array:
    """Keep a state with probability `ratio`, else redraw it uniformly: (..., S, S)."""
    ratio = np.asarray(ratio)[..., None, None]
    return ratio * np.eye(num_states) + (1 - ratio) / num_states


def falling_kernels(ratio: Array) -> Array:
    """The absorbing chain: a one survives with probability `ratio`, a zero stays: (..., 2, 2)."""
    ratio = np.asarray(ratio)
    return np.stack(
        [
            np.stack([np.ones_like(ratio), np.zeros_like(ratio)], -1),
            np.stack([1 - ratio, ratio], -1),
        ],
        -2,
    )


def two_state_kernels(elapsed: Array, rate_up: float, rate_down: float) -> Array:
    """Rates rate_up: 0 -> 1 and rate_down: 1 -> 0 after the times `elapsed`: (..., 2, 2)."""
    total = rate_up + rate_down
    moved = -np.expm1(-total * np.asarray(elapsed))[..., None, None]
    return np.eye(2) + moved * np.array([[-rate_up, rate_up], [rate_down, -rate_down]]) / total


def ratios(alphas: Array) -> tuple[Array, Array]:
    r"""Survival probabilities from 0 to $t_{k-1}$, and from $t_{k-1}$ to $t_k$, for k = 1..N."""
    alphas = np.asarray(alphas, dtype=float)
    return alphas[:-1], alphas[1:] / alphas[:-1]


def sampler_law(p_0: Array, from_data: Array, steps: Array, start: Array | None = None) -> Array:
    r"""The law at time 0 that $P_{0|t_1} \circ \dots \circ P_{t_{N-1}|t_N}$ generates, (S, S).

    A pair of states that the true process cannot reach keeps its values.

    Args:
        p_0: law of the pair, (S, S); zero on a mask.
        from_data: $q_{t_{k-1}|0}$ of one coordinate for k = 1..N, (N, S, S).
        steps: $q_{t_k|t_{k-1}}$, (N, S, S).
        start: law at $t_N$; the noised data by default.
    """
    law_s = np.einsum("ab,kax,kby->kxy", p_0, from_data, from_data)
    # Both coordinates at the earlier time (x, y) and at the later time (u, v).
    half = law_s[:, :, :, None] * steps[:, :, None, :]  # y, x and u: (k, x, y, u)
    first = np.einsum("kxyu,kyv->kuvx", half, steps)
    other = law_s[:, :, :, None] * steps[:, None, :, :]  # (k, x, y, v)
    second = np.einsum("kxyv,kxu->kuvy", other, steps)
    law_t = first.sum(-1)
    safe = np.where(law_t > 0, law_t, 1)[..., None]
    first, second = first / safe, second / safe
    size = p_0.size
    kernels = np.einsum("kuvx,kuvy->kuvxy", first, second).reshape(-1, size, size)
    kernels += (law_t == 0).reshape(-1, size, 1) * np.eye(size)
    law = (law_t[-1] if start is None else start).reshape(-1)
    for kernel in kernels[::-1]:
        law = law @ kernel
    return law.reshape(p_0.shape)


def total_variation(p: Array, q: Array) -> float:
    """Half the sum of absolute differences."""
    return float(np.abs(p - q).sum() / 2)


def with_mask(p_0: Array) -> Array:
    """The table over the values, extended by a mask of probability 0."""
    return np.pad(p_0, ((0, 1), (0, 1)))


def masked_chain_tv(p_0: Array, alphas: Array, *, all_mask: bool = False) -> float:
    """TV_N of a masked pair, started from the noised data or from all-mask."""
    from_data, step = ratios(alphas)
    law, num_values = with_mask(p_0), len(p_0)
    start = None
    if all_mask:
        start = np.zeros_like(law)
        start[-1, -1] = 1
    kernels = masked_kernels(from_data, num_values), masked_kernels(step, num_values)
    return total_variation(sampler_law(law, *kernels, start), law)


def uniform_chain_tv(p_0: Array, alphas: Array, *, from_prior: bool = False) -> float:
    """TV_N of a pair under uniform noise, started from the noised data or from the prior."""
    from_data, step = ratios(alphas)
    start = np.full(p_0.shape, 1 / p_0.size) if from_prior else None
    kernels = uniform_kernels(from_data, len(p_0)), uniform_kernels(step, len(p_0))
    return total_variation(sampler_law(p_0, *kernels, start), p_0)


def absorbing_chain_tv(p_0: Array, alphas: Array) -> float:
    """TV_N of two bits under absorbing noise, started from the noised data."""
    from_data, step = ratios(alphas)
    return total_variation(sampler_law(p_0, falling_kernels(from_data), falling_kernels(step)), p_0)


def two_state_chain_law(p_0: Array, grid: Array, rate_up: float, rate_down: float) -> Array:
    """The law that the sampler of a two-state chain generates from the noised data."""
    grid = np.asarray(grid, dtype=float)
    return sampler_law(
        p_0,
        two_state_kernels(grid[:-1], rate_up, rate_down),
        two_state_kernels(np.diff(grid), rate_up, rate_down),
    )
