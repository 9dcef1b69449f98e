"""Random laws, noise levels and grids of pairs, and TV_N of a pair by its enumerated sampler."""

import random
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from di4c.exact.pairs import MaskedPair, Pair, UniformPair
from di4c.schedules import (
    ArccosSchedule,
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    LogLinearSchedule,
    Schedule,
)
from theory.tools.pair_chain import absorbing_chain_tv, masked_chain_tv, uniform_chain_tv

SCHEDULES: tuple[Schedule, ...] = (
    LinearSchedule(horizon=1.3),
    CosineSchedule(horizon=2.0),
    ExponentialSchedule(horizon=1.5, rate=0.8),
    LogLinearSchedule(horizon=1.0),
    ArccosSchedule(horizon=1.0),
)


def rational_weights(draw: random.Random, num_entries: int) -> list[Fraction]:
    """Random probabilities with small denominators; some are 0."""
    weights = [draw.choice((0, 1, 1, 2, 3, 5)) for _ in range(num_entries)]
    weights[draw.randrange(num_entries)] += 1
    return [Fraction(w, sum(weights)) for w in weights]


def rational_alphas(draw: random.Random, num_steps: int, *, to_zero: bool) -> list[Fraction]:
    r"""Random $1 = \alpha_0 > \dots > \alpha_N$ in steps of 1/40; `to_zero` sets $\alpha_N = 0$."""
    inner = sorted(draw.sample(range(1, 40), num_steps), reverse=True)
    if to_zero:
        inner[-1] = 0
    return [Fraction(1), *(Fraction(k, 40) for k in inner)]


def random_grid(draw: random.Random, num_steps: int, horizon: float) -> list[float]:
    """A grid from 0 to the horizon with uniformly random inner times."""
    return [0.0, *sorted(draw.random() * horizon for _ in range(num_steps - 1)), horizon]


def enumerated_tv(pair: Pair, grid: Tensor | Sequence[float]) -> float:
    """TV_N of the enumerated sampler of a masked, uniform or absorbing pair on the grid."""
    law, from_prior = pair.data_law.numpy(), pair.start == "prior"
    alphas = pair.schedule.alpha(torch.as_tensor(grid, dtype=torch.float64)).numpy()
    if isinstance(pair, MaskedPair):
        return masked_chain_tv(law, alphas, all_mask=from_prior)
    if isinstance(pair, UniformPair):
        return uniform_chain_tv(law, alphas, from_prior=from_prior)
    if from_prior:
        raise ValueError(f"start must be 'q_T' for an absorbing pair; got {pair.start!r}")
    return absorbing_chain_tv(law, alphas)
