r"""The exact law of few-step generation: of x_0 after N product steps or N mixture steps.

A product step maps a law p over n = S^D states to $\sum_x p(x) \prod_d m_d(\cdot \mid x)$. Its
n x n kernel is a row-wise Kronecker (Khatri-Rao) product and is never formed. Instead, the
coordinates are split into two halves. As a matrix over (first half, second half), the new law is
$A^\top \mathrm{diag}(p) B$ with A and B of shape n x sqrt(n). This is one matrix product of 2 n^2
operations, done in chunks of rows that stay in the cache.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import require_tensor
from di4c.exact.forward import forward_law, posterior_marginals
from di4c.exact.laws import (
    as_law,
    for_each,
    infer_num_dims,
    product_columns,
    product_law,
    states,
)
from di4c.exact.masked import masked_step
from di4c.network_call import check_same_states
from di4c.probabilities import as_probabilities
from di4c.processes import ForwardProcess
from di4c.processes.composed import Noise
from di4c.schedules import check_grid

_CALL_ROWS = 2**10  # largest number of rows of a call for several latents at once
_CHUNK_NUMBERS = 2**19  # numbers in one chunk of A or B: 4 MiB, part of the last-level cache


def product_step(
    law: Float[Tensor, "atom"],
    probs: Float[Tensor, "atom dim state"],
    mask_state: int | None = None,
) -> Float[Tensor, "image"]:
    r"""Law after one step of a product denoiser: $\sum_x p(x) \prod_d m_d(\cdot \mid x)$.

    Args:
        law: p, probabilities of all states, (n,).
        probs: $m_d(\cdot \mid x)$ for every state x, (n, D, S).
        mask_state: the mask, if all unmasked coordinates are carried over. Then only the
            (2S + 1)^D possible transitions are summed.

    Returns:
        (S^D,), float64.
    """
    require_tensor("law", law)
    require_tensor("probs", probs)
    if mask_state is not None:
        return masked_step(law, probs, mask_state)
    num_atoms, num_dims, num_states = probs.shape
    half = num_dims // 2
    left, right = num_states**half, num_states ** (num_dims - half)
    columns = probs.permute(1, 2, 0)  # (D, S, n), the order in which they are stored
    out = torch.zeros(left, right, dtype=torch.float64)
    chunk = max(64, _CHUNK_NUMBERS // right)
    for first in range(0, num_atoms, chunk):
        rows = columns[..., first : first + chunk].contiguous()
        weighted = product_columns(rows[:half]) * law[first : first + chunk]
        out.addmm_(weighted, product_columns(rows[half:]).T)
    return out.reshape(-1)


def _start_law(
    process: Noise, num_dims: int, t: float, start: str | Tensor, q_0: Tensor
) -> Float[Tensor, "atom"]:
    """The law over all states, (num_states^D,), from which generation starts.

    Args:
        process: forward process, or one for each coordinate.
        num_dims: D.
        t: time at which generation starts.
        start: "q_T" for the noised data at t, "prior", or a law over all states.
        q_0: data law, for "q_T".

    Raises:
        ValueError: If start is none of these, or a law with another number of states.
    """
    if isinstance(start, Tensor):
        start = as_probabilities("start", start)
        if len(start) != process.num_states**num_dims:
            raise ValueError(
                f"start must have {process.num_states}^{num_dims} entries; got {len(start)}"
            )
        return start
    if start == "prior":
        return product_law(for_each(process.prior()[..., None, :], num_dims)[:, 0])
    if start == "q_T":
        return forward_law(process, q_0, t)
    raise ValueError(f'start must be "q_T", "prior" or a law over all states; got {start!r}')


def _finish(process: Noise, law: Tensor, num_dims: int, t: float) -> Tensor:
    """Drop the mask from the state space at time 0, when no coordinate is masked."""
    if t > 0 or process.mask_state is None:
        return law
    cube = law.reshape((process.num_states,) * num_dims)
    for d in range(num_dims):
        cube = cube.index_select(d, process.values)
    return cube.reshape(-1)


def product_composition(
    process: Noise,
    q_0: Tensor,
    grid: Sequence[float] | Tensor,
    start: str | Tensor = "q_T",
    progress: Callable[[list[int]], Sequence[int]] | None = None,
) -> Float[Tensor, "atom"]:
    r"""Exact law at grid[0] of the N-step marginal-matching product sampler (Theorem 1).

    $$P_{t_0|t_1} \circ \dots \circ P_{t_{N-1}|t_N}\, \text{start}, \qquad
    P_{s|t}(x_s \mid x_t) = \prod_d q^d_{s|t}(x_s^d \mid x_t).$$

    The marginals $q^d_{s|t}$ of the true reverse kernel are those of `posterior_marginals`, with
    its convention for states of probability 0.

    Args:
        process: forward process, or one for each coordinate.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        grid: times $t_0 < \dots < t_N$, from data to noise.
        start: "q_T" (the noised data at $t_N$), "prior", or a law over all states.
        progress: function that wraps the list of steps, e.g. tqdm.

    Returns:
        (num_values^D,) if grid[0] is 0, otherwise (num_states^D,); float64, sums to 1.

    Raises:
        ValueError: If the law, the grid or the start does not fit.

    Example:
        Two bits that always agree, under masked noise: one step makes them independent, and the
        error falls like 1 / N.

        >>> import torch
        >>> from di4c import MaskedProcess
        >>> from di4c.exact import product_composition, total_variation
        >>> agree = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
        >>> product_composition(MaskedProcess(2), agree, [0.0, 1.0])
        tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
        >>> law = product_composition(MaskedProcess(2), agree, [0.0, 0.5, 1.0])
        >>> total_variation(law, agree)
        tensor(0.2500, dtype=torch.float64)
    """
    law_0, num_dims = as_law(q_0, process.num_values)
    times = check_grid(grid)
    law = _start_law(process, num_dims, times[-1], start, law_0)
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
    r"""Exact law at grid[0] of a few-step mixture sampler.

    $$p_{s|t}(\cdot \mid x_t) = \mathbb{E}_\lambda \prod_d p^d_{s|t}(\cdot \mid x_t; \lambda)$$

    is the law of each step. One latent is drawn in each step for all coordinates, and $p^d_{s|t}$
    is `ForwardProcess.reverse`.

    Args:
        process: forward process.
        denoiser: see `di4c.denoisers.Denoiser`. A call contains all states. If there are few
            states, it also contains several latents. Otherwise the calls for the latents receive
            the same tensors x_t and t.
        grid: times $t_0 < \dots < t_N$, from data to noise.
        start: law of $x_{t_N}$ over all states, (num_states^D,).
        latents: all values of $\lambda$, (L, ...); None for a product denoiser.
        weights: their probabilities, (L,); uniform by default.

    Returns:
        (num_values^D,) if grid[0] is 0, otherwise (num_states^D,); float64.

    Raises:
        TypeError: If the start, the latents or what the denoiser returns is no tensor.
        ValueError: If the denoiser was made for other states, or the grid, the start, the latents
            or the weights do not fit.
    """
    times = check_grid(grid)
    check_same_states("denoiser", denoiser, process)
    require_tensor("start", start)
    if latents is not None:
        require_tensor("latents", latents)
    law = as_probabilities("start", start)
    num_dims = infer_num_dims(len(law), process.num_states)
    x_t = states(num_dims, process.num_states)
    count = 1 if latents is None else len(latents)
    if count == 0:
        raise ValueError("latents must hold at least one latent; got none")
    if weights is None:
        weights = torch.full((count,), 1 / count, dtype=torch.float64)
    if len(weights) != count:
        raise ValueError(
            f"weights must hold one entry for each latent; got {len(weights)} for {count} latents"
        )
    weights = as_probabilities("weights", weights)
    together = min(count, max(1, _CALL_ROWS // len(x_t)))
    for s, t in zip(reversed(times[:-1]), reversed(times[1:]), strict=True):
        image = torch.zeros_like(law)
        once = torch.full((len(x_t),), t, dtype=torch.float64)
        for first in range(0, count, together):
            part = weights[first : first + together]
            repeated = None if latents is None else latents[first : first + together]
            # Calls with one latent get the same tensors, so that a denoiser may cache results.
            x, times_t = x_t, once
            if len(part) > 1:
                x, times_t = x_t.repeat(len(part), 1), once.repeat(len(part))
            if repeated is not None:
                repeated = repeated[:, None].expand(-1, len(x_t), *repeated.shape[1:]).flatten(0, 1)
            log_probs = denoiser(x, times_t, repeated)
            require_tensor("log_probs returned by the denoiser", log_probs)
            probs = log_probs.double().exp()
            step = process.reverse(probs, x, s, t)
            # The faster step for masks takes each state once.
            mask_state = process.mask_state if len(part) == 1 else None
            image += product_step(torch.outer(part, law).flatten(), step, mask_state)
        law = image
    return _finish(process, law, num_dims, times[0])
