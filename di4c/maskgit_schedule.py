r"""How many positions MaskGIT masks and reveals: mask ratios, counts, and the ramp over its steps.

MaskGIT's time r runs from 0 (all masked) to 1 (data). Step i of n starts at $r_i = i / n$.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_choice, check_count
from di4c.processes.times import align_time
from di4c.rng import Generator, uniform

MASK_RATIOS: dict[str, Callable[[Tensor], Tensor]] = {
    "arccos": lambda r: torch.arccos(r) / (math.pi / 2),
    "cosine": lambda r: torch.cos(r * (math.pi / 2)),
    "linear": lambda r: 1 - r,
    "root": lambda r: 1 - r**0.5,
    "square": lambda r: 1 - r**2,
}
"""Share of masked positions at r, for each schedule."""


def mask_ratio(r: Float[Tensor, "*batch"], schedule: str = "arccos") -> Float[Tensor, "*batch"]:
    """Share of masked positions at time r.

    Args:
        r: MaskGIT's time in [0, 1].
        schedule: a key of MASK_RATIOS.

    Returns:
        Shares in [0, 1], in the dtype and shape of r.

    Raises:
        ValueError: If the schedule is unknown.
    """
    check_choice("schedule", schedule, MASK_RATIOS)
    return MASK_RATIOS[schedule](r)


def mask_tokens(
    x_0: Int[Tensor, "batch *dims"],
    ratio: Float[Tensor, "batch"],
    mask_state: int,
    *,
    uniforms: Float[Tensor, "batch *dims"] | None = None,
    generator: Generator | None = None,
) -> Int[Tensor, "batch *dims"]:
    """Mask each position independently with the probability of its example.

    Args:
        x_0: clean tokens, (B, ...).
        ratio: probability of the mask for each example, (B,).
        mask_state: the mask.
        uniforms: uniform draws in the shape of x_0; drawn if None. A position is masked if its
            number is below the probability.
        generator: source of randomness.

    Returns:
        Partly masked tokens in the shape of x_0.
    """
    if uniforms is None:
        uniforms = uniform(x_0.shape, generator=generator, device=x_0.device)
    return torch.where(uniforms < align_time(ratio, x_0), mask_state, x_0)


def reveal_counts(num_tokens: int, num_steps: int, schedule: str = "arccos") -> Int[Tensor, "step"]:
    """Number of positions to reveal in each step, from a start where all are masked.

    The counts are the differences of the mask ratio times num_tokens, rounded. A count of 0 becomes
    1, and the last step takes what is left, so that the counts sum to num_tokens. If there are more
    steps than tokens to fill them, the last count is below 1: the sampler finishes before it. The
    computation is in float32, so that halves are rounded as in published runs.

    Args:
        num_tokens: number of positions.
        num_steps: number of steps, n.
        schedule: a key of MASK_RATIOS.

    Returns:
        (n,), int64.

    Raises:
        ValueError: If there is no token or no step, or the schedule is unknown.
    """
    check_count("num_tokens", num_tokens)
    check_count("num_steps", num_steps)
    r = torch.linspace(0, 1, num_steps + 1, dtype=torch.float32)
    left = (mask_ratio(r, schedule) * num_tokens).round().long()
    counts = left[:-1] - left[1:]
    counts[counts == 0] = 1
    counts[-1] += num_tokens - counts.sum()
    return counts


def reveal_count(
    r_next: Float[Tensor, "*batch"],
    num_masked: Int[Tensor, "*batch"],
    num_tokens: int | Int[Tensor, "*batch"],
    schedule: str = "arccos",
) -> Int[Tensor, "*batch"]:
    """Number of positions to reveal so that the masked share falls to that of the schedule.

    It is num_masked - mask_ratio(r_next) * num_tokens, rounded towards zero, and at least 0.

    Args:
        r_next: MaskGIT's time at the end of the step, (...).
        num_masked: number of positions that are masked at its beginning, (...).
        num_tokens: number of all positions, or one number for each row, (...).
        schedule: a key of MASK_RATIOS.
    """
    known = num_tokens - num_masked
    return ((1 - mask_ratio(r_next, schedule)) * num_tokens - known).long().clamp_min(0)


def ramp(r: Float[Tensor, "*batch"], num_steps: int) -> Float[Tensor, "*batch"]:
    """Linear ramp r n / (n - 1): 0 in the first of n steps and 1 in the last.

    It is 1 if there is only one step. The guidance weight grows along the ramp, and the Gumbel
    noise decays along it. Beyond the last step, r > (n - 1) / n, the ramp exceeds 1, as in
    published training.

    Args:
        r: MaskGIT's time, (...).
        num_steps: n.

    Raises:
        ValueError: If there is no step.
    """
    check_count("num_steps", num_steps)
    return r * num_steps / (num_steps - 1) if num_steps > 1 else torch.ones_like(r)
