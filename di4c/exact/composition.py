r"""Few-step generation, exactly: the law of x_0 after N product or mixture steps.

A product step sends a law p over n = S^D states to $\sum_x p(x) \prod_d m_d(\cdot \mid x)$. Its
n x n kernel is a row-wise Kronecker (Khatri-Rao) product; with the coordinates split into two
halves it never has to be formed: the new law, as a matrix over (first half, second half), is
$A^\top \mathrm{diag}(p) B$ with A, B of shape n x sqrt(n). That is one matrix product of
2 n^2 flops, done in row chunks that stay in cache.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.forward import forward_law, posterior_marginals
from di4c.exact.laws import (
    as_law,
    infer_num_dims,
    product_columns,
    product_law,
    states,
)
from di4c.exact.masked import masked_step
from di4c.probabilities import as_probabilities
from di4c.processes import ForwardProcess
from di4c.schedules import check_grid

_CALL_ROWS = 2**10  # up to so many rows, a denoiser is asked for several latents at once
_CHUNK_NUMBERS = 2**19  # numbers in one chunk of A or B: 4 MiB, a share of the last-level cache


def product_step(
    law: Float[Tensor, "atom"],
    probs: Float[Tensor, "atom dim state"],
    mask_state: int | None = None,
) -> Float[Tensor, "image"]:
    r"""$\sum_x p(x) \prod_d m_d(\cdot \mid x)$: one step of a product denoiser.

    Args:
        law: p over all states.
        probs: $m_d(\cdot \mid x)$ for every state x.
        mask_state: the mask, if unmasked coordinates are carried over; then only the
            (2S + 1)^D transitions that exist are summed.
    """
    if mask_state is not None:
        return masked_step(law, probs, mask_state)
    num_atoms, num_dims, num_states = probs.shape
    half = num_dims // 2
    left, right = num_states**half, num_states ** (num_dims - half)
    columns = probs.permute(1, 2, 0)  # (D, S, n): how `posterior_marginals` stores them
    out = torch.zeros(left, right, dtype=torch.float64)
    chunk = max(64, _CHUNK_NUMBERS // right)
    for first in range(0, num_atoms, chunk):
        rows = columns[..., first : first + chunk].contiguous()
        weighted = product_columns(rows[:half]) * law[first : first + chunk]
        out.addmm_(weighted, product_columns(rows[half:]).T)
    return out.reshape(-1)


def start_law(
    process: ForwardProcess, num_dims: int, t: float, start: str | Tensor, q_0: Tensor | None
) -> Float[Tensor, "atom"]:
    """The law of x_T that generation starts from: "q_T", "prior", or a law over all states."""
    if isinstance(start, Tensor):
        start = as_probabilities("start", start)
        if len(start) != process.num_states**num_dims:
            raise ValueError(
                f"start must have {process.num_states}^{num_dims} entries; got {len(start)}"
            )
        return start
    if start == "prior":
        return product_law(process.prior().expand(num_dims, -1))
    if start == "q_T" and q_0 is not None:
        return forward_law(process, q_0, t)
    raise ValueError(f'start must be "q_T", "prior" or a law over all states; got {start!r}')


def _finish(process: ForwardProcess, law: Tensor, num_dims: int, t: float) -> Tensor:
    """At time 0 no coordinate is masked: drop the mask from the state space."""
    if t > 0 or process.mask_state is None:
        return law
    cube = law.reshape((process.num_states,) * num_dims)
    return cube[(slice(0, process.num_values),) * num_dims].reshape(-1)


def product_composition(
    process: ForwardProcess,
    q_0: Tensor,
    grid: Sequence[float] | Tensor,
    start: str | Tensor = "q_T",
    progress: Callable[[list[int]], Sequence[int]] | None = None,
) -> Float[Tensor, "atom"]:
    r"""Law at grid[0] of the N-step marginal-matching product sampler (Theorem 1).

    Composes $P_{t_0|t_1} \circ \dots \circ P_{t_{N-1}|t_N}$ on the law at $t_N$, each P the product
    of the marginals of the true reverse kernel (`posterior_marginals`, with its convention where
    $q_t = 0$).

    Args:
        process: forward process.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        grid: times $t_0 < \dots < t_N$, data to noise.
        start: "q_T" (the noised data at $t_N$), "prior", or a law over all states.
        progress: wraps the list of steps, e.g. tqdm.

    Returns:
        (num_values^D,) when grid[0] is 0, else (num_states^D,).
    """
    law_0, num_dims = as_law(q_0, process.num_values)
    times = check_grid(grid)
    law = start_law(process, num_dims, times[-1], start, law_0)
    steps = list(range(len(times) - 1, 0, -1))
    for k in progress(steps) if progress else steps:
        probs = posterior_marginals(process, law_0, times[k - 1], times[k])
        law = product_step(law, probs, process.mask_state)
    return _finish(process, law, num_dims, times[0])


def mixture_composition(
    process: ForwardProcess,
    denoiser: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    grid: Sequence[float] | Tensor,
    start: Float[Tensor, "atom"],
    latents: Tensor | None = None,
    weights: Float[Tensor, "support"] | None = None,
) -> Float[Tensor, "image"]:
    r"""Law at grid[0] of a few-step mixture sampler, one latent per step for all coordinates.

    Each step is $p_{s|t}(\cdot|x_t) = \mathbb{E}_\lambda \prod_d p^d_{s|t}(\cdot|x_t; \lambda)$
    with $p^d_{s|t}$ the $x_0$-parametrised step of the process.

    Args:
        process: forward process.
        denoiser: as `di4c.denoisers.Denoiser`; asked for every state at once, and of few states for
            several latents. Of many states the same x_t and t come with one latent after another.
        grid: times $t_0 < \dots < t_N$, data to noise.
        start: law of $x_{t_N}$ over all states.
        latents: the support of $\lambda$, (L, ...); None for a product denoiser.
        weights: its law, (L,); uniform by default.
    """
    times = check_grid(grid)
    num_dims = infer_num_dims(len(start), process.num_states)
    law = start_law(process, num_dims, times[-1], start, None)
    x_t = states(num_dims, process.num_states)
    count = 1 if latents is None else len(latents)
    if count == 0:
        raise ValueError("latents must hold at least one latent; got none")
    if weights is None:
        weights = torch.full((count,), 1 / count, dtype=torch.float64)
    if len(weights) != count:
        raise ValueError(
            f"weights must hold one entry a latent; got {len(weights)} for {count} latents"
        )
    weights = as_probabilities("weights", weights)
    together = min(count, max(1, _CALL_ROWS // len(x_t)))
    for s, t in zip(reversed(times[:-1]), reversed(times[1:]), strict=True):
        image = torch.zeros_like(law)
        once = torch.full((len(x_t),), t, dtype=torch.float64)
        for first in range(0, count, together):
            part = weights[first : first + together]
            repeated = None if latents is None else latents[first : first + together]
            # The very same tensors for single latents: a denoiser may keep what it made of them.
            x, times_t = x_t, once
            if len(part) > 1:
                x, times_t = x_t.repeat(len(part), 1), once.repeat(len(part))
            if repeated is not None:
                repeated = repeated[:, None].expand(-1, len(x_t), *repeated.shape[1:]).flatten(0, 1)
            probs = denoiser(x, times_t, repeated).double().exp()
            step = process.reverse(probs, x, s, t)
            mask_state = process.mask_state if len(part) == 1 else None  # needs each state once
            image += product_step(torch.outer(part, law).flatten(), step, mask_state)
        law = image
    return _finish(process, law, num_dims, times[0])
