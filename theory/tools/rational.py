"""The exact engine on rational numbers: the same sums on fractions, no rounding at all.

For tiny spaces, to certify identities. A law is an array of fractions of shape (S,) * D, a kernel
an array [from, to]; arrays have dtype object and hold `fractions.Fraction`.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

Array = np.ndarray


def rationals(values: object) -> Array:
    """An object array of fractions from nested sequences of int, str, Fraction (no rounding)."""
    array = np.array(values, dtype=object)
    if any(isinstance(x, float) for x in array.flat):
        raise ValueError(
            "values must be int, Fraction or strings such as '1/3'; got a float, which is already "
            "rounded"
        )
    return np.array([Fraction(x) for x in array.flat], dtype=object).reshape(array.shape)


def masked_kernels(alphas: Sequence[Fraction], num_values: int) -> list[Array]:
    r"""Step kernels of masked noise for $\alpha_{t_0} > \dots > \alpha_{t_N}$ (mask last).

    The first kernel has no mask row when $\alpha_{t_0} = 1$: data is never masked.
    """
    kernels = []
    for alpha_s, alpha_t in pairwise(alphas):
        keep = Fraction(alpha_t) / Fraction(alpha_s)
        kernel = keep * rationals(np.eye(num_values + 1, dtype=int))
        kernel[:, -1] += 1 - keep
        kernels.append(kernel[:-1] if alpha_s == 1 else kernel)
    return kernels


def uniform_kernels(alphas: Sequence[Fraction], num_states: int) -> list[Array]:
    r"""Step kernels of uniform noise for $\alpha_{t_0} > \dots > \alpha_{t_N}$."""
    kernels = []
    for alpha_s, alpha_t in pairwise(alphas):
        keep = Fraction(alpha_t) / Fraction(alpha_s)
        noise = (1 - keep) / num_states
        kernels.append(keep * rationals(np.eye(num_states, dtype=int)) + noise)
    return kernels


def push_forward(law: Array, kernel: Array) -> Array:
    """The law after every coordinate moved by the kernel."""
    for _ in range(law.ndim):
        law = np.tensordot(law, kernel, (0, 0))  # moves the first axis to the end
    return law


def posterior_marginals(law_s: Array, kernel: Array) -> list[Array]:
    r"""For each d the array $q^d_{s|t}(x_s^d \mid x_t)$, shape (T,)*D + (S,).

    Where $q_t(x_t) = 0$: the convention of `di4c.exact.posterior_marginals`.
    """
    num_dims, sources = law_s.ndim, len(kernel)
    result = []
    for d in range(num_dims):
        # joint[x_t, x_s^d]: move every coordinate, but remember where d came from.
        joint = np.moveaxis(law_s, d, -1)
        for _ in range(num_dims - 1):
            joint = np.moveaxis(np.tensordot(joint, kernel, (0, 0)), -2, -1)
        joint = np.moveaxis(joint[..., None, :] * kernel.T, -2, d)
        single = law_s.sum(tuple(e for e in range(num_dims) if e != d))[:, None] * kernel
        rows = np.empty_like(joint)
        for x in np.ndindex(joint.shape[:-1]):
            for candidate in (joint[x], single[:, x[d]], rationals(np.arange(sources) == x[d])):
                if candidate.sum():
                    rows[x] = candidate / candidate.sum()
                    break
        result.append(rows)
    return result


def product_step(law: Array, probs: Sequence[Array]) -> Array:
    """One step of the product denoiser with conditional laws probs[d][x] on the law of x."""
    num_dims = len(probs)
    out = np.full((probs[0].shape[-1],) * num_dims, Fraction(0), dtype=object)
    for x in np.ndindex(law.shape):
        if law[x]:
            row = law[x]
            for d in range(num_dims):
                row = np.multiply.outer(row, probs[d][x])
            out = out + row
    return out


def product_composition(q_0: Array, kernels: Sequence[Array], start: Array | None = None) -> Array:
    """Law of x_0 after N marginal-matching product steps; kernels[k] noises t_k to t_(k+1)."""
    if q_0.sum() != 1:
        raise ValueError(f"q_0 must sum to 1 exactly; it sums to {q_0.sum()}")
    laws = [q_0]
    for kernel in kernels:
        laws.append(push_forward(laws[-1], kernel))
    law = laws[-1] if start is None else start
    for law_s, kernel in zip(reversed(laws[:-1]), reversed(kernels), strict=True):
        law = product_step(law, posterior_marginals(law_s, kernel))
    return law


def total_variation(p: Array, q: Array) -> Fraction:
    """Half the sum of absolute differences, exact."""
    return Fraction(np.abs(p - q).sum()) / 2
