"""A forward process of your own: noise moves a value to one of its two neighbours on a ring."""

import torch

from di4c import ForwardProcess
from di4c.exact import product_composition, total_variation
from di4c.schedules import as_time, uniform_grid


class RingProcess(ForwardProcess):
    """Values 0, ..., S - 1 on a ring. Noise moves a value up or down at the same rate."""

    def __init__(self, num_states, rate=1.0, horizon=1.0):
        self.num_states = num_states
        self.horizon = horizon
        identity = torch.eye(num_states, dtype=torch.float64)
        up = identity.roll(1, dims=1)
        self.rates = rate * (up + up.T - 2 * identity)

    def transition(self, s, t):
        """The matrix [from, to] of one coordinate, for one time or for a batch of times."""
        elapsed = as_time(t) - as_time(s)
        return torch.matrix_exp(elapsed[..., None, None] * self.rates)

    def prior(self):
        """The law at the start of generation."""
        return torch.full((self.num_states,), 1 / self.num_states, dtype=torch.float64)


process = RingProcess(4)
law = 0.9 * torch.eye(4, dtype=torch.float64) / 4 + 0.1 / 16  # two coordinates that mostly agree
for steps in (1, 4, 16, 64):
    generated = product_composition(process, law.flatten(), uniform_grid(steps))
    print(steps, f"{total_variation(generated, law.flatten()):.4f}")
