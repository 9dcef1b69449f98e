r"""Tau-leaping: the rates at which noise is undone, and jumps at rates held constant for a step."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.processes import ForwardProcess, InterpolatingProcess, RateMatrixProcess
from di4c.processes.base import align_time
from di4c.rng import Generator, categorical, poisson
from di4c.schedules import Time, as_time


def intensity(process: RateMatrixProcess, t: Time) -> Float[Tensor, "*time"]:
    r"""$\beta(t) = B'(t)$: the generator at time t is $\beta(t) R$."""
    with torch.inference_mode(False), torch.enable_grad():
        t = as_time(t).detach().clone().requires_grad_()
        return torch.autograd.grad(process.integrated_rate(t).sum(), t)[0]


def reverse_rates(
    process: ForwardProcess,
    probs: Float[Tensor, "*batch value"],
    x_t: Int[Tensor, "*batch"],
    t: Time,
) -> Float[Tensor, "*batch state"]:
    r"""Rates $\hat R_t(x_t \to k)$ of the reverse chain, per coordinate; 0 at k = x_t.

    $\hat R_t(x_t \to k) = R_t(k \to x_t) \sum_{x_0} \frac{q_{t|0}(k \mid x_0)}{q_{t|0}(x_t \mid
    x_0)}\, p_{0|t}(x_0)$ (Campbell et al. 2022, Proposition 3). Mass of $p_{0|t}$ on values that
    cannot lead to $x_t$ causes no jump.

    Args:
        process: a RateMatrixProcess or an InterpolatingProcess (uniform, masked).
        probs: $p_{0|t}$ of each coordinate over the values, or over all states.
        x_t: states at time t.
        t: a time, or one per leading entry of x_t.

    Returns:
        Rates over all states, float64; inf where the process forgets all data at t.

    Raises:
        ValueError: If the process has no rates.
    """
    probs = process.over_states(probs.double())
    evidence = process.likelihood(x_t, 0.0, t)
    weights = torch.where(evidence > 0, probs / evidence.where(evidence > 0, 1.0), 0.0)
    if isinstance(process, RateMatrixProcess):
        into = process.rate_matrix.to(x_t.device).T[x_t]
        # Without the regularisation that RateMatrixProcess.push adds, as published.
        rates = into * ForwardProcess.push(process, weights, 0.0, t)
        rates = align_time(intensity(process, t).to(rates), rates) * rates
    elif isinstance(process, InterpolatingProcess):
        law = process.stationary.to(x_t.device)
        t = as_time(t).to(x_t.device)
        alpha = align_time(process.schedule.alpha(t), weights)
        slope = align_time(-process.schedule.derivative(t), weights)
        # The hazard -alpha'/alpha times alpha w + (1 - alpha) pi W, divided through by alpha:
        # finite at alpha = 0 into states that noise never draws, such as the values of a mask.
        redrawn = law * (1 - alpha) / alpha * weights.sum(-1, keepdim=True)
        rates = slope * law[x_t][..., None] * (weights + torch.where(law > 0, redrawn, 0.0))
        # Noise never draws a value of a mask, whose alpha of 0 would be 0 times infinity.
        rates = torch.where(law[x_t][..., None] > 0, rates, 0.0)
    else:
        raise ValueError(
            f"process must be a RateMatrixProcess or an InterpolatingProcess to have rates; got "
            f"{type(process).__name__}: use ancestral"
        )
    return rates.scatter(-1, x_t[..., None], 0.0)


def poisson_jumps(
    means: Float[Tensor, "*batch state"],
    x_t: Int[Tensor, "*batch"],
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""$x_t + \sum_k n_k (k - x_t)$ clipped to 0..S-1, with $n_k \sim \mathrm{Poisson}(m_k)$."""
    num_states = means.shape[-1]
    counts = poisson(means, generator=generator)
    offsets = torch.arange(num_states, device=x_t.device) - x_t[..., None]
    return (x_t + (counts * offsets).sum(-1)).clamp(0, num_states - 1).long()


def single_jump(
    means: Float[Tensor, "*batch state"],
    x_t: Int[Tensor, "*batch"],
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""$x_t$ with probability $e^{-\sum m}$, otherwise k with probability proportional to $m_k$."""
    total = means.sum(-1, keepdim=True)
    leave = torch.where(total > 0, -torch.expm1(-total) / total, 0.0)
    law = (means * leave).scatter(-1, x_t[..., None], torch.exp(-total))
    return categorical(law, generator=generator)
