"""A denoiser that knows nothing, for tests of how samplers call it."""

import torch
from torch import Tensor


class Uninformed:
    """Returns uniform log-probabilities and records its arguments."""

    def __init__(self, num_values: int) -> None:
        self.num_values = num_values
        self.calls: list[tuple[Tensor, float, Tensor | None]] = []

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        assert t.shape == x_t.shape[:1]
        self.calls.append((x_t, float(t[0]), latent))
        return torch.zeros(*x_t.shape, self.num_values, device=x_t.device).log_softmax(-1)
