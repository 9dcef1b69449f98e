r"""The law of few-step generation with a continuous latent, by quadrature over the latent.

One step from a law p is $\sum_x p(x)\, \mathbb{E}_\lambda \prod_d m_d(\cdot \mid x; \lambda)$.
With one grid of latents for all states, each point costs an evaluation for every state, and all
states have the same error. Here each state has its own points, which are consecutive points of one
low-discrepancy sequence. A state of larger probability gets more points. So the errors of different
states average out, and most evaluations are spent on probable states.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_count, require_tensor
from di4c.exact.composition import product_step
from di4c.exact.laws import infer_num_dims, states
from di4c.probabilities import as_probabilities
from di4c.processes import ForwardProcess
from di4c.schedules import check_grid

_ROWS = 2**12  # largest number of pairs (state, latent) in one call of the network


def latent_counts(law: Float[Tensor, "atom"], evaluations: int, most: int) -> Float[Tensor, "atom"]:
    """Number of latents for each state: powers of two, about proportional to its probability.

    Args:
        law: p, probabilities of all states, (n,).
        evaluations: approximate sum of the counts. Each state with p > 0 gets at least one.
        most: the largest count, a power of two.

    Returns:
        (n,), 0 for states of probability 0.
    """
    wanted = (evaluations * law).clamp(1, most)
    return torch.where(law > 0, 2 ** wanted.log2().floor(), 0)


def mixture_quadrature(
    process: ForwardProcess,
    network: Callable[[Tensor, Tensor, Tensor], Tensor],
    grid: Sequence[float] | Tensor,
    start: Float[Tensor, "atom"],
    points: Tensor,
    evaluations: int,
) -> Float[Tensor, "image"]:
    r"""Law at grid[0] of a few-step mixture sampler with a continuous latent, by quadrature.

    The law of each step is
    $p_{s|t}(\cdot|x_t) = \mathbb{E}_\lambda \prod_d p^d_{s|t}(\cdot|x_t; \lambda)$, as in
    `mixture_composition`.

    In every step the states take consecutive blocks of points, in the order of their counts. A
    block of a scrambled Sobol' sequence whose size is a power of two is a net; in one dimension it
    has one point in each of its cells. Each point by itself has the law of $\lambda$. So one step
    from a given law is unbiased over the scrambles. Later steps start from an estimate that used
    the same points.

    Args:
        process: forward process.
        network: (x_t (B, L, D), t (B,), latents (B, L, ...)) -> log-probabilities (B, L, D, S). The
            L states of an example are copies of one state.
        grid: times $t_0 < \dots < t_N$, from data to noise.
        start: law of $x_{t_N}$ over all states, (num_states^D,).
        points: latents in the order of the sequence, (P, ...); P is a power of two. They are used
            again from the beginning if there are too few.
        evaluations: approximate number of evaluations of the network in each step. A state has at
            most P.

    Returns:
        (num_values^D,) if grid[0] is 0, otherwise (num_states^D,).

    Raises:
        TypeError: If the start, the points or what the network returns is no tensor.
        ValueError: If P is not a power of two, or the grid or the start does not fit.
    """
    require_tensor("start", start)
    require_tensor("points", points)
    check_count("evaluations", evaluations)
    times, size = check_grid(grid), len(points)
    if size < 1 or size & (size - 1):
        raise ValueError(f"points must be a power of two in number; got {size}: leave some out")
    num_dims = infer_num_dims(len(start), process.num_states)
    law = as_probabilities("start", start)
    x_t = states(num_dims, process.num_states)
    for s, t in zip(reversed(times[:-1]), reversed(times[1:]), strict=True):
        # At time 0 no coordinate is masked.
        images = process.values if s == 0 else torch.arange(process.num_states)
        image = torch.zeros(len(images) ** num_dims, dtype=torch.float64)
        counts, row = latent_counts(law, evaluations, size), 0
        for count in sorted(set(counts.long().tolist()) - {0}, reverse=True):
            width = min(count, _ROWS)
            lines = (counts == count).nonzero()[:, 0].repeat_interleave(count // width)
            for atoms in lines.split(_ROWS // width):
                num_rows = len(atoms) * width
                block = points[torch.arange(row, row + num_rows) % size]
                row += num_rows
                x = x_t[atoms][:, None].expand(-1, width, -1)
                once = torch.full((len(atoms),), t, dtype=torch.float64)
                log_probs = network(x, once, block.unflatten(0, (-1, width)))
                require_tensor("log_probs returned by the network", log_probs)
                probs = log_probs.flatten(0, 1).double().exp()
                step = process.reverse(probs, x.flatten(0, 1), s, t)[..., images]
                image += product_step((law[atoms] / count).repeat_interleave(width), step)
        law = image
    return law
