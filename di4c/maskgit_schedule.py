r"""How many positions MaskGIT masks and reveals: ratios, counts, and the ramp over its steps.

MaskGIT's time r runs from 0 (all masked) to 1 (data); step i of n starts at $r_i = i / n$.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.processes.times import align_time
from di4c.rng import Generator, uniform

MASK_RATIOS: dict[str, Callable[[Tensor], Tensor]] = {
    "arccos": lambda r: torch.arccos(r) / (math.pi / 2),
    "cosine": lambda r: torch.cos(r * (math.pi / 2)),
    "linear": lambda r: 1 - r,
    "root": lambda r: 1 - r**0.5,
    "square": lambda r: 1 - r**2,
}
"""Share of masked positions at r, by schedule."""


def mask_ratio(r: Float[Tensor, "*batch"], schedule: str = "arccos") -> Float[Tensor, "*batch"]:
    """Share of masked positions at r in [0, 1], in the dtype of r.

    Raises:
        ValueError: If the schedule is unknown.
    """
    if schedule not in MASK_RATIOS:
        raise ValueError(
            f"schedule must be one of {', '.join(map(repr, MASK_RATIOS))}; got {schedule!r}"
        )
    return MASK_RATIOS[schedule](r)


def mask_tokens(
    x_0: Int[Tensor, "batch *dims"],
    ratio: Float[Tensor, "batch"],
    mask_state: int,
    *,
    uniforms: Float[Tensor, "batch *dims"] | None = None,
    generator: Generator | None = None,
) -> Int[Tensor, "batch *dims"]:
    """Mask each position with the probability of its example: where its uniform lies below it.

    Args:
        x_0: clean tokens.
        ratio: probability of the mask, one an example.
        mask_state: the mask.
        uniforms: the uniform draws, where they are given and not drawn.
        generator: source of randomness.
    """
    if uniforms is None:
        uniforms = uniform(x_0.shape, generator=generator, device=x_0.device)
    return torch.where(uniforms < align_time(ratio, x_0), mask_state, x_0)


def reveal_counts(num_tokens: int, num_steps: int, schedule: str = "arccos") -> Int[Tensor, "step"]:
    """Positions to reveal in each step: differences of the rounded ratio times num_tokens.

    A 0 becomes 1 and the last step takes what is left, so that counts sum to num_tokens. With more
    steps than the tokens can fill, that last entry falls below 1: the sampler is done before it.
    Computed in float32, so that halves are rounded as in published runs.

    Raises:
        ValueError: If there is no token or no step, or the schedule is unknown.
    """
    for name, value in (("num_tokens", num_tokens), ("num_steps", num_steps)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    r = torch.linspace(0, 1, num_steps + 1, dtype=torch.float32)
    left = (mask_ratio(r, schedule) * num_tokens).round().long()
    counts = left[:-1] - left[1:]
    counts[counts == 0] = 1
    counts[-1] += num_tokens - counts.sum()
    return counts


def reveal_count(
    r_next: Float[Tensor, "*batch"],
    num_masked: Int[Tensor, "*batch"],
    num_tokens: int,
    schedule: str = "arccos",
) -> Int[Tensor, "*batch"]:
    """Positions to reveal to reach the share of the schedule at r_next, from a random mask.

    What is masked less the share times num_tokens, rounded towards zero; never below zero.
    """
    known = num_tokens - num_masked
    return ((1 - mask_ratio(r_next, schedule)) * num_tokens - known).long().clamp_min(0)


def ramp(r: Float[Tensor, "*batch"], num_steps: int) -> Float[Tensor, "*batch"]:
    """R n / (n - 1): from 0 in the first to 1 in the last of n steps; 1 if there is only one.

    Guidance is switched on along it and Gumbel noise off. Beyond the last step, r > (n - 1) / n,
    it exceeds 1, as in published training.
    """
    return r * num_steps / (num_steps - 1) if num_steps > 1 else torch.ones_like(r)
