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

import functools
import itertools
import math

import numpy as np

from theory.claim import Record, claim
from theory.tools.own_rates import OwnRates, random_noise


def singles(rows: np.ndarray, noise: OwnRates) -> list[np.ndarray]:
    """The marginals of each row, one array (n, S) for each coordinate."""
    axes = range(1, noise.num_dims + 1)
    cube = rows.reshape(-1, *(noise.num_states,) * noise.num_dims)
    return [cube.sum(tuple(a for a in axes if a != d)) for d in axes]


def product(marginals: list[np.ndarray]) -> np.ndarray:
    """The product of marginals, row by row, (n, S^D)."""

    def outer(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)

    return functools.reduce(outer, marginals)


def tilted(marginals: list[np.ndarray], size: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Learned marginals: the true ones with log-normal errors of this size."""
    result = []
    for rows in marginals:
        learned = rows * np.exp(size * rng.normal(size=rows.shape))
        result.append(learned / learned.sum(1, keepdims=True))
    return result


def errors(noise: OwnRates, num_steps: int, size: float) -> tuple[float, float, float, float]:
    """TV of N learned steps; sums of discretisation, of learning, and of the bound by KL."""
    rng = np.random.default_rng(7)
    law, discrete, learning, by_kl = noise.noised(noise.horizon), 0.0, 0.0, 0.0
    for q, true, exact in noise.steps(num_steps):
        marginals = singles(true, noise)
        learned = tilted(marginals, size, rng)
        kernel = product(learned)
        discrete += float(q @ np.abs(true - exact).sum(1)) / 2
        learning += float(q @ np.abs(exact - kernel).sum(1)) / 2
        pairs = zip(marginals, learned, strict=True)
        divergence = sum((m * np.log(m / other)).sum(1) for m, other in pairs)
        by_kl += math.sqrt(float(q @ divergence) / 2)
        law = law @ kernel
    return float(np.abs(law - noise.law).sum()) / 2, discrete, learning, by_kl


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
    rng = np.random.default_rng(0)
    for (num_dims, num_states), size in itertools.product(((2, 2), (3, 2), (2, 3)), (0.01, 0.1)):
        noise = random_noise(rng, num_dims, num_states)
        for num_steps in (2, 6):
            left, discrete, learning, by_kl = errors(noise, num_steps, size)
            what = f"D = {num_dims}, S = {num_states}, N = {num_steps}, error {size}"
            record.at_most(left, discrete + learning, what, largest=1)
            record.at_most(learning, by_kl, f"by KL, {what}")


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
    noise = random_noise(np.random.default_rng(3), 2, 2)

    def error(num_steps: int) -> float:
        law = noise.noised(noise.horizon)
        for _, true, _ in noise.steps(num_steps):
            law = law @ product([0.99 * rows + 0.01 / 2 for rows in singles(true, noise)])
        return float(np.abs(law - noise.law).sum()) / 2

    values = {n: error(n) for n in (1, 2, 4, 8, 16, 32)}
    best = min(values, key=values.__getitem__)
    record.exceeds(values[32], values[best], 0.005, f"N = 32 against the best N = {best}")
