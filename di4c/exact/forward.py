r"""Forward transforms and the marginals of the exact reverse kernel, dimension by dimension.

With n = S^D states a transform costs D passes over n numbers. No n x n matrix is ever formed.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import require_tensor
from di4c.exact.laws import as_law, for_each, infer_num_dims, marginals, require_memory
from di4c.processes.composed import Noise

# Dimensions are transformed in groups whose joint kernel has at most this many rows. This makes
# fewer passes over the law, and each pass is a small matrix product.
_GROUP_STATES = 32


def push_forward(
    law: Float[Tensor, "atom"], kernel: Float[Tensor, "*dim source target"]
) -> Float[Tensor, "image"]:
    """Law of x_t if x_s has the given law and every coordinate moves independently.

    Args:
        law: law of x_s, (S^D,).
        kernel: transition matrix of all coordinates, (S, T) as [from, to], or one for each,
            (D, S, T).

    Returns:
        (T^D,).

    Raises:
        ValueError: If there is another number of matrices than coordinates.
    """
    require_tensor("law", law)
    require_tensor("kernel", kernel)
    num_dims = infer_num_dims(len(law), kernel.shape[-2])
    return transform(law, for_each(kernel, num_dims), 1, 1).flatten()


def transform(
    law: Tensor, kernels: Float[Tensor, "dim source target"], before: int, after: int
) -> Tensor:
    """Apply kernels to the d middle coordinates of an array of shape (before, S^d, after)."""
    num_dims, sources, targets = kernels.shape
    done = 0
    while done < num_dims:
        group, joint = 1, kernels[done]
        while done + group < num_dims and len(joint) * sources <= _GROUP_STATES:
            joint = torch.kron(joint, kernels[done + group])
            group += 1
        left = before * targets**done
        view = law.reshape(left, len(joint), -1)
        law = view.squeeze(2) @ joint if view.shape[2] == 1 else joint.T @ view
        done += group
    return law.reshape(before, targets**num_dims, after)


def leave_one_out(
    law: Float[Tensor, "atom"], kernels: Float[Tensor, "dim source target"]
) -> list[Tensor]:
    r"""For each coordinate d, the law after all coordinates but d have moved by their kernels.

    The computation is divide and conquer over d. It takes D log D passes of one coordinate instead
    of D^2.

    Args:
        law: law before the move, (S^D,).
        kernels: transition matrices of the coordinates, (D, S, T) as [coordinate, from, to].

    Returns:
        D arrays of shape (T^d, S, T^(D-d-1)).
    """
    return _leave_one_out(law, kernels, 0, len(kernels))


def _leave_one_out(array: Tensor, kernels: Tensor, first: int, last: int) -> list[Tensor]:
    """`leave_one_out` for the coordinates first..last-1, after all others have moved."""
    _, sources, targets = kernels.shape
    before = targets**first
    if last - first == 1:
        return [array.reshape(before, sources, -1)]
    middle = (first + last) // 2
    after = array.numel() // (before * sources ** (last - first))
    head, tail = sources ** (middle - first), sources ** (last - middle)
    right = transform(array, kernels[middle:last], before * head, after)
    left = transform(array, kernels[first:middle], before, tail * after)
    return [
        *_leave_one_out(right, kernels, first, middle),
        *_leave_one_out(left, kernels, middle, last),
    ]


def forward_law(process: Noise, q_0: Tensor, t: float) -> Float[Tensor, "atom"]:
    r"""The noised law $q_t$ over all states, a mask included.

    Args:
        process: forward process, or one for each coordinate.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        t: the time.

    Returns:
        (num_states^D,), float64.
    """
    law, _ = as_law(q_0, process.num_values)
    return push_forward(law, process.transition(0.0, t)[..., process.values, :])


def posterior_marginals(
    process: Noise, q_0: Tensor, s: float, t: float
) -> Float[Tensor, "atom dim state"]:
    r"""Marginals $q^d_{s|t}(\cdot \mid x_t)$ of the true reverse kernel, for every $x_t$.

    The product of these marginals is the marginal-matching product denoiser of the theory.

    Product samplers also visit states with $q_t(x_t) = 0$, where the kernel is undefined. There
    each coordinate follows its own one-dimensional reverse kernel. Where that is undefined, too,
    the coordinate is carried over. So an unmasked coordinate is always carried over.

    Args:
        process: forward process, or one for each coordinate.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        s: earlier time, 0 <= s < t.
        t: later time.

    Returns:
        (num_states^D, D, num_states), float64. Row i belongs to state i of
        `states(D, num_states)`.

    Raises:
        ValueError: If the law does not fit, or the result would not fit into memory.
    """
    law, num_dims = as_law(q_0, process.num_values)
    num_states = process.num_states
    require_memory(
        24 * num_dims * num_states ** (num_dims + 1),
        f"the posterior marginals of {num_states}^{num_dims} states",
    )
    # At s = 0 there is no mask, so the law of x_s is the data law over the values.
    if s == 0:
        sources, law_s = process.values, law
    else:
        sources, law_s = torch.arange(num_states), forward_law(process, law, s)
    kernels = for_each(process.transition(s, t)[..., sources, :], num_dims)
    evidence = push_forward(law_s, kernels)
    reachable = bool((evidence > 0).all())
    single = marginals(law_s, num_dims, len(sources))[:, :, None] * kernels  # (D, S_s, S_t)
    # States are the last axis in memory, so that inner loops here and in `product_step` are long.
    result = torch.zeros(num_dims, num_states, num_states**num_dims, dtype=torch.float64)
    for d, rest in enumerate(leave_one_out(law_s, kernels)):
        before, _, after = rest.shape
        rows = result[d].view(num_states, before, num_states, after)
        for i, (source, weights) in enumerate(zip(sources.tolist(), kernels[d], strict=True)):
            torch.mul(rest[:, i, None], weights[:, None], out=rows[source])
        # The sum over x_s is q_t(x_t). Division by this sum makes rows add up to 1 exactly.
        total = result[d].sum(0)
        if reachable:
            result[d] /= total
        else:
            fallback = _along(_one_dimensional_reverse(single[d], sources), d, num_dims)
            result[d] /= total.where(total > 0, 1.0)
            result[d] = torch.where(evidence > 0, result[d], fallback)
    return result.permute(2, 0, 1)


def _one_dimensional_reverse(
    joint: Float[Tensor, "source target"], sources: Int[Tensor, "source"]
) -> Tensor:
    """Reverse kernel [x_t, x_s] of one coordinate, carried over where it is undefined."""
    total = joint.sum(0)
    reverse = torch.zeros(len(total), len(total), dtype=joint.dtype)
    reverse[:, sources] = (joint / total.where(total > 0, 1.0)).T
    return torch.where((total > 0)[:, None], reverse, torch.eye(len(total), dtype=joint.dtype))


def _along(rows: Float[Tensor, "target source"], d: int, num_dims: int) -> Tensor:
    """The row of coordinate d of every state x_t, (S_s, S^D)."""
    num_states = len(rows)
    after = num_states ** (num_dims - d - 1)
    return rows.T.repeat_interleave(after, 1).repeat(1, num_states**d)
