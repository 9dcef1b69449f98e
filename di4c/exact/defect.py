r"""The mean error of one product step to second order in its length: the constant of Lemma 1."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import require_tensor
from di4c.exact.forward import transform
from di4c.exact.laws import for_each, infer_num_dims


def one_step_defect(
    law: Float[Tensor, "atom"], rates: Float[Tensor, "*dim state state"]
) -> Float[Tensor, "atom"]:
    r"""Mean error of one product step, divided by $\varepsilon^2$: $G = -\sum_x q(x) \Delta_x$.

    By Lemma 1 the reverse kernel K and the product P of its marginals differ, to second order, on
    pairs of coordinates only. Their difference $\Delta_x = \lim (K - P)(\cdot|x) / \varepsilon^2$
    puts $+\kappa$ on the double flip $x^{d \to u, e \to v}$, $-\kappa$ on both single flips, and
    $+\kappa$ on x, where

    $$\kappa = R_d(u, x_d) R_e(v, x_e) [q(x^{uv})/q(x) - q(x^u) q(x^v) / q(x)^2].$$

    The bracket vanishes where u = x_d or v = x_e. So the sums may run over all values with the full
    matrices R, whose rows sum to 0. With $b_d = R_d^\top q$ and $s_d = b_d / q$ this leaves

    $$G = \sum_{d<e} [C_{de} + b_d s_e - R_d^\top R_e^\top q] - q \sum_{d \ne e} R_d s_e, \qquad
    C_{de}(u, v) = \sum_{i,j} R_d(u,i) R_e(v,j)\, q(u,j) q(i,v) / q(i,j).$$

    Args:
        law: q, (S^D,), positive everywhere.
        rates: R of all coordinates, (S, S) as [from, to], or of each, (D, S, S); rows sum to 0.

    Returns:
        G, (S^D,), sums to 0.

    Raises:
        ValueError: If an entry of the law is not positive, or there is another number of matrices
            than coordinates.
    """
    require_tensor("law", law)
    require_tensor("rates", rates)
    num_states = rates.shape[-1]
    num_dims = infer_num_dims(len(law), num_states)
    rates = for_each(rates, num_dims)
    if not float(law.min()) > 0:
        raise ValueError(
            f"law must be positive everywhere; its smallest entry is {float(law.min())}"
        )
    flows = [along(law, rates[d], d) for d in range(num_dims)]  # b_d
    total_flow = sum(flows, torch.zeros_like(law))
    defect = torch.zeros_like(law)
    for d, flow in enumerate(flows):
        others = total_flow - flow
        defect += (flow / law * others - along(others, rates[d], d)) / 2
        defect -= law * along(others / law, rates[d].T.contiguous(), d)
    for d, e in itertools.combinations(range(num_dims), 2):
        # With the pair in front and the other coordinates last, few large matrix products suffice.
        cube = law.reshape((num_states,) * num_dims).movedim((d, e), (0, 1))
        pair = cube.reshape(num_states, num_states, -1)
        ratio = pair[:, None] / pair  # q(u, j) / q(i, j) at [u, i, j, rest]
        inner = (rates[e] @ ratio) * rates[d][:, :, None, None] * pair  # [u, i, v, rest]
        defect += inner.sum(1).reshape(cube.shape).movedim((0, 1), (d, e)).flatten()
    return defect


def along(vector: Tensor, matrix: Tensor, d: int) -> Tensor:
    """Multiply a vector over S^D by an S x S matrix along coordinate d."""
    num_states = len(matrix)
    before = num_states**d
    after = len(vector) // (before * num_states)
    return transform(vector, matrix[None], before, after).flatten()
