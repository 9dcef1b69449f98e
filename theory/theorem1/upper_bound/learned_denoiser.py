r"""Theorem 1 for learned denoisers: the error of discretisation plus the error of learning.

$K_k$ is the true kernel of step k, $P_k$ the product of its marginals $m_k^d$, and $\hat P_k$ the
product of learned marginals $\hat m_k^d$. From q_T, N steps of the learned kernels err by

$$TV_N \le \sum_k \mathbb{E}_{x \sim q_{t_k}} d_{TV}(K_k, P_k)
  + \sum_k \mathbb{E}_{x \sim q_{t_k}} d_{TV}(P_k, \hat P_k)(\cdot \mid x),$$

and each term of the second sum is at most
$\sqrt{\tfrac12\, \mathbb{E} \sum_d \mathrm{KL}(m_k^d \| \hat m_k^d)}$, the excess of the training
loss at $t_k$. The first sum is O(1/N). The second depends on how the denoiser errs: errors of its
rates, in proportion to the step, keep it bounded; an error of every step by the same amount makes
it grow like N. Then fewer steps are better.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from di4c.exact import kl, marginals, product_law, total_variation
from di4c.processes import CoordinateProcesses
from di4c.schedules import uniform_grid
from theory.claim import Record, claim
from theory.tools.dense_chain import DenseChain, dense_chain
from theory.tools.own_rates import random_noise


def tilted(marginals: Tensor, size: float, generator: torch.Generator) -> Tensor:
    """Learned marginals: the true ones with log-normal errors of this size."""
    noise = torch.randn(marginals.shape, dtype=torch.float64, generator=generator)
    learned = marginals * torch.exp(size * noise)
    return learned / learned.sum(-1, keepdim=True)


@dataclass(frozen=True)
class Learned:
    """A sampler whose denoiser errs: what its N steps generate, and how much each of them errs.

    Attributes:
        chain: the steps of the exact product denoiser.
        marginals: those of the true kernels, (N, n, D, S).
        learned: learned marginals, (N, n, D, S).
    """

    chain: DenseChain
    marginals: Tensor
    learned: Tensor

    def error(self) -> float:
        """TV of the N learned steps from q_T."""
        law = self.chain.laws[-1]
        for kernel in product_law(self.learned).flip(0):
            law = law @ kernel
        return float(total_variation(law, self.chain.laws[0]))

    def learning_errors(self) -> Tensor:
        """The mean TV of each step to the exact product, (N,)."""
        distances = total_variation(product_law(self.learned), self.chain.product)
        return (self.chain.laws[1:] * distances).sum(-1)

    def by_kl(self) -> Tensor:
        """The bound of each of these by the KL of the marginals, (N,)."""
        divergences = (self.chain.laws[1:] * kl(self.marginals, self.learned).sum(-1)).sum(-1)
        return (divergences / 2).sqrt()


def learn(
    law: Tensor, noise: CoordinateProcesses, num_steps: int, err: Callable[[Tensor], Tensor]
) -> Learned:
    """The sampler of N steps whose true marginals go through `err`."""
    chain = dense_chain(noise, law, uniform_grid(num_steps, noise.horizon))
    true = marginals(chain.true, len(noise.processes), noise.num_states)
    return Learned(chain, true, err(true))


@claim(
    "theorem1-learned",
    "Learned denoisers: TV_N is at most the sum of the step errors (O(1/N)) plus the sum of the "
    "mean TV to the exact product, which the KL of the marginals bounds step by step.",
    group="sharper",
    source="Theorem 1, upper bound; learned denoisers: this project",
    hypotheses="full support, any product denoiser, start q_T; rates of their own allowed",
)
def verify_learned(record: Record) -> None:
    """Random noise; marginals with log-normal errors."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(7)
    for (num_dims, num_states), size in itertools.product(((2, 2), (3, 2), (2, 3)), (0.01, 0.1)):
        law, noise = random_noise(rng, num_dims, num_states)
        for num_steps in (2, 6):
            made = learn(law, noise, num_steps, lambda m, size=size: tilted(m, size, generator))
            learning = made.learning_errors()
            right = float((made.chain.step_errors() + learning).sum())
            what = f"D = {num_dims}, S = {num_states}, N = {num_steps}, error {size}"
            record.at_most(made.error(), right, what, largest=1)
            for k, (left, bound) in enumerate(zip(learning, made.by_kl(), strict=True)):
                record.at_most(float(left), float(bound), f"by KL, step {k}, {what}")


@claim(
    "theorem1-learned-more-steps",
    "False in general: more steps of a learned denoiser are better. If each step errs by the same "
    "amount, TV_N has a minimum in N.",
    group="fails",
    source="this project",
    hypotheses="each marginal of each step is mixed with a share of 1/100 of uniform noise",
)
def verify_more_steps(record: Record) -> None:
    """The error grows from some number of steps on."""
    law, noise = random_noise(np.random.default_rng(3), 2, 2)
    values = {
        n: learn(law, noise, n, lambda m: 0.99 * m + 0.01 / 2).error() for n in (1, 2, 4, 8, 16, 32)
    }
    best = min(values, key=values.__getitem__)
    record.exceeds(values[32], values[best], 0.005, f"N = 32 against the best N = {best}")
