"""Random pairs, noise levels and grids on which the claims about two coordinates are checked."""

import random
from fractions import Fraction

import numpy as np
import torch

from di4c.schedules import (
    ArccosSchedule,
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    LogLinearSchedule,
    Schedule,
)

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


def survival(schedule: Schedule, grid: list[float] | np.ndarray) -> np.ndarray:
    """The survival probability at the times of the grid, as a numpy array."""
    return schedule.alpha(torch.as_tensor(np.asarray(grid, dtype=float))).numpy()
