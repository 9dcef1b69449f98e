"""The product sampler from its definition, with dense kernels, for tiny spaces.

`di4c.exact` computes the same without dense matrices. Here the joint law of each step is formed and
conditioned, for all steps of a grid at once. The result has the true kernels and the product
kernels side by side, which the sampler alone does not give.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from di4c.processes.composed import CoordinateProcesses, Noise


@dataclass(frozen=True)
class DenseChain:
    """All steps of a grid; step k goes from t_{k+1} to t_k.

    Attributes:
        laws: q_{t_k} over all n states, masks included, (N + 1, n).
        true: reverse kernels K_k, (N, n, n), [step, x_t, x_s]; 0 at x_t of probability 0.
        product: products of their marginals P_k, (N, n, n).
    """

    laws: Tensor
    true: Tensor
    product: Tensor

    def generated(self) -> Tensor:
        """The law at t_0 after all product steps from q_T, (n,)."""
        law = self.laws[-1]
        for kernel in self.product.flip(0):
            law = law @ kernel
        return law

    def step_errors(self) -> Tensor:
        """E_{x ~ q_t} TV(K(.|x), P(.|x)) of each step, (N,)."""
        distances = (self.true - self.product).abs().sum(-1) / 2
        return (self.laws[1:] * distances).sum(-1)


def dense_chain(process: Noise, q_0: Tensor, grid: Tensor) -> DenseChain:
    """The chain of a data law over num_values^D states on a grid from t_0 to t_N.

    Where q_t(x) = 0 each coordinate follows its own reverse kernel. A coordinate for which that is
    undefined too keeps its value.
    """
    size, num_values = process.num_states, process.num_values
    num_dims = 1
    while num_values**num_dims < q_0.numel():
        num_dims += 1
    cube = q_0.reshape((num_values,) * num_dims)
    law = torch.nn.functional.pad(cube, (0, size - num_values) * num_dims)  # masks are not data
    states = torch.cartesian_prod(*[torch.arange(size)] * num_dims).reshape(-1, num_dims)
    one_hot = torch.nn.functional.one_hot(states, size).double()  # (n, D, S)

    own = isinstance(process, CoordinateProcesses)
    each = process.processes if own else (process,) * num_dims

    def everywhere(single: Tensor) -> Tensor:
        """The kernels on all states, (N, n, n), from those of the coordinates, (N, D, S, S)."""
        moved = zip(single.unbind(1), states.T, strict=True)
        return torch.stack([kernel[:, c][:, :, c] for kernel, c in moved]).prod(0)

    single = torch.stack([one.transition(grid[:-1], grid[1:]) for one in each], 1)
    first = torch.stack([one.transition(grid[:1] * 0, grid[:1]) for one in each], 1)
    laws = [law.reshape(-1) @ everywhere(first)[0]]
    forward = everywhere(single)
    for kernel in forward:
        laws.append(laws[-1] @ kernel)
    true = _condition(torch.stack(laws[:-1]), forward)
    marginals = torch.einsum("kxy,ydv->kxdv", true, one_hot)
    alone = _condition(
        torch.einsum("ky,ydv->kdv", torch.stack(laws[:-1]), one_hot), single
    )  # (N, D, x_t^d, x_s^d)
    carried = torch.eye(size, dtype=torch.float64)
    alone = torch.where(alone.sum(-1, keepdim=True) > 0, alone, carried)
    alone = torch.stack([alone[:, d, states[:, d]] for d in range(num_dims)], 2)
    reached = torch.stack(laws[1:])[:, :, None, None] > 0
    marginals = torch.where(reached, marginals, alone)
    product = torch.stack([marginals[:, :, d, states[:, d]] for d in range(num_dims)]).prod(0)
    return DenseChain(torch.stack(laws), true, product)


def _condition(law_s: Tensor, kernel: Tensor) -> Tensor:
    """Bayes' rule: law (..., y) and kernel (..., y, x) give rows [x, y]; 0 where p(x) = 0."""
    joint = law_s[..., None] * kernel
    total = joint.sum(-2, keepdim=True)
    return torch.where(total > 0, joint / total.where(total > 0, 1.0), 0.0).mT
