"""Times of a process: checks, and one time for each example against a batch of states."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import first_index
from di4c.schedules import Time, as_time


def check_times(s: Time, t: Time, horizon: float) -> None:
    """Raise ValueError unless 0 <= s <= t <= horizon.

    Times on a GPU are not checked: the check would wait for the device.
    """
    for time in (s, t):
        if isinstance(time, Tensor) and time.device.type != "cpu":
            return
    s, t = as_time(s), as_time(t)
    if s.ndim and t.ndim and s.shape != t.shape:
        raise ValueError(
            f"s and t must have the same shape; got {tuple(s.shape)} and {tuple(t.shape)}: give "
            "one time for all examples, or one for each"
        )
    fits = (s >= 0) & (s <= t) & (t <= horizon * (1 + 1e-12))
    if not bool(fits.all()):
        index = first_index(~fits)
        s, t = (float(time.expand_as(fits)[index]) for time in (s, t))
        raise ValueError(
            f"times must satisfy 0 <= s <= t <= horizon = {horizon}; got s = {s}, t = {t}"
            + (f" at index {list(index)}" if index else "")
            + " (0 is data, the horizon is noise)"
        )


def align_time(t: Tensor, like: Tensor) -> Tensor:
    """Reshape times so that they broadcast against `like`.

    Args:
        t: a scalar, or one time for each leading entry of `like`.
        like: the tensor to broadcast against.
    """
    if not t.ndim:
        return t
    _check_one_for_each(len(t), like)
    return t.reshape(t.shape + (1,) * (like.ndim - t.ndim))


def select_rows(
    kernel: Float[Tensor, "*times source target"], x: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch target"]:
    """Row x of the kernel, or of the kernel that belongs to the leading entry of x."""
    kernel = kernel.to(x.device)  # times given as numbers leave it on the CPU
    if kernel.ndim == 2:
        return kernel[x]
    _check_one_for_each(len(kernel), x)
    batch = torch.arange(x.shape[0], device=x.device).reshape(-1, *(1,) * (x.ndim - 1))
    return kernel[batch, x]


def _check_one_for_each(count: int, of: Tensor) -> None:
    """Raise ValueError unless there are as many times as leading entries."""
    if of.shape[:1] != (count,):
        raise ValueError(
            f"times must be one for all examples or one for each; got {count} times for states "
            f"of shape {tuple(of.shape)}"
        )


def check_earlier_times(u: Tensor, t: Tensor, horizon: float) -> None:
    """Check the two times of each example of a batch.

    Raises:
        ValueError: If not 0 <= u < t <= horizon for some example, with its number.
    """
    fits = (u >= 0) & (u < t) & (t <= horizon)
    if not bool(fits.all()):
        bad = int((~fits).nonzero()[0, 0])
        raise ValueError(
            f"u must lie in [0, t) and t in (0, {horizon}]; example {bad} has "
            f"u = {float(u[bad])}, t = {float(t[bad])}"
        )
