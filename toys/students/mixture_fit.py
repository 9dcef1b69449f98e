r"""Mixtures of K products fitted to a known law by expectation maximisation, and exact bounds.

For a law p on S^D and any split of the coordinates into two groups let $\sigma_i$ be the singular
values of p as a matrix over them. A mixture of K products is a matrix of rank K at most, and the
sum of the absolute entries of a matrix is at least that of its singular values, so that

$$\tfrac12 \sum_{i > K} \sigma_i \le \min_{\text{mixtures of } K} d_{TV}(p, \cdot)
  \le 1 - \sum_{\text{K largest}} p(x_{\ne d}) .$$

The right side keeps the K heaviest components of the exact factorisation of Proposition 1, which
has one component for each value of all coordinates but d. It is 0 for $K = S^{D-1}$. The left side
is this project's own result.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot, pad

from di4c.exact import marginals, product_law, states
from di4c.exact.laws import as_law
from di4c.rng import gumbel


def fit_mixture(
    law: Float[Tensor, "atom"],
    num_values: int,
    num_components: int,
    num_iterations: int,
    generator: torch.Generator,
    seeded: bool = False,
) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent dim value"]]:
    r"""Weights and product components that maximise $\sum_x p(x) \log \sum_k w_k f_k(x)$ (EM).

    Args:
        law: p, (S^D,).
        num_values: S.
        num_components: K.
        num_iterations: rounds of expectation maximisation; each keeps the marginals of p.
        generator: draws the start.
        seeded: start from components around distinct states drawn from p, instead of from random
            responsibilities; each coordinate has its value in that state with probability 0.9.

    Returns:
        w, (K,), and the marginals of the components, (K, D, S). A component that has died out has
        weight 0 and uniform marginals.

    Raises:
        ValueError: If p is no law on S^D, or K or the number of rounds is below 1.
    """
    law, num_dims = as_law(law, num_values)
    for name, value in (("num_components", num_components), ("num_iterations", num_iterations)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    if seeded:
        # Draw without replacement: sort log p plus Gumbel noise. States repeat if K exceeds them.
        order = (law.log() + gumbel(law.shape, generator=generator)).argsort(descending=True)
        drawn = order[torch.arange(num_components) % int((law > 0).sum())]
        own = states(num_dims, num_values)[drawn]
        other = 0.1 / (num_values - 1)
        share = product_law(other + (0.9 - other) * one_hot(own, num_values).double())
    else:
        share = torch.rand((num_components, len(law)), generator=generator, dtype=law.dtype)
    support = law > 0
    for _ in range(num_iterations):
        total = share.sum(0)
        joint = torch.where(support, law / total.where(total > 0, 1.0) * share, 0.0)
        weights = joint.sum(1)
        alive = (weights > 0)[:, None, None]
        rows = marginals(joint, num_dims, num_values)
        rows = torch.where(alive, rows / weights.where(weights > 0, 1.0)[:, None, None], 1.0)
        components = rows / rows.sum(2, keepdim=True)
        share = weights[:, None] * product_law(components)
    return weights, components


def mixture_law(
    weights: Float[Tensor, "latent"], components: Float[Tensor, "latent dim value"]
) -> Float[Tensor, "atom"]:
    """The law of the mixture over S^D."""
    return weights @ product_law(components)


def lower_bound(law: Float[Tensor, "atom"], num_values: int) -> Float[Tensor, "components"]:
    r"""The bound $\max \tfrac12 \sum_{i>K} \sigma_i$ over splits, at entry K.

    Beyond the last entry the bound is 0. All splits into two groups are tried up to D = 9; for
    larger D only splits into the first coordinates and the others.
    """
    law, num_dims = as_law(law, num_values)
    cube = law.reshape((num_values,) * num_dims)
    best = torch.zeros(1, dtype=torch.float64)
    for left in _splits(num_dims):
        right = [d for d in range(num_dims) if d not in left]
        matrix = cube.permute(*left, *right).reshape(num_values ** len(left), -1)
        values = torch.linalg.svdvals(matrix)
        tails = torch.cat([values.flip(0).cumsum(0).flip(0), values.new_zeros(1)]) / 2
        size = max(len(best), len(tails))
        padded = [pad(row, (0, size - len(row))) for row in (best, tails)]
        best = torch.maximum(*padded)
    return best.where(best > 1e-12, 0.0)  # rounding of singular values that are 0


def upper_bound(law: Float[Tensor, "atom"], num_values: int) -> Float[Tensor, "components"]:
    r"""The bound $\min_d [1 - \sum_{\text{K largest}} p(x_{\ne d})]$, K = 0, ..., $S^{D-1}$."""
    law, num_dims = as_law(law, num_values)
    rest = []
    for d in range(num_dims):
        mass = law.reshape(num_values**d, num_values, -1).sum(1).flatten()
        heaviest = mass.sort(descending=True).values.cumsum(0)
        rest.append(torch.cat([heaviest.new_ones(1), 1 - heaviest]))
    best = torch.stack(rest).amin(0)
    return best.where(best > 1e-12, 0.0)


def components_needed(law: Float[Tensor, "atom"], num_values: int) -> tuple[int, int]:
    """Bounds on the least number of components with which a mixture equals the law.

    Lower bound: the largest rank over all unfoldings of the law. If no two states of the support
    differ in one coordinate only, a product inside the support is a point mass, and the bound is
    the size of the support. Upper bound: the components of Proposition 1's factorisation that have
    positive probability.

    Returns:
        The lower and the upper bound.
    """
    below = int((lower_bound(law, num_values) > 0).sum())
    above = int((upper_bound(law, num_values) > 0).sum())
    atoms = states(as_law(law, num_values)[1], num_values)[law > 0]
    isolated = len(atoms) <= 4096 and bool(
        ((atoms[:, None] != atoms).sum(2) + 2 * torch.eye(len(atoms), dtype=torch.long) > 1).all()
    )
    return (len(atoms) if isolated else below), min(above, len(atoms))


def _splits(num_dims: int) -> list[tuple[int, ...]]:
    """One group of each split of the coordinates."""
    if num_dims > 9:
        return [tuple(range(k)) for k in range(1, num_dims)]
    return [
        left
        for size in range(1, num_dims // 2 + 1)
        for left in itertools.combinations(range(num_dims), size)
    ]
