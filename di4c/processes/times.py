"""Times of a process: checks, and one time for each example against a batch of states."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.schedules import Time, as_time


def check_times(s: Time, t: Time, horizon: float) -> None:
    """Raise ValueError unless 0 <= s <= t <= horizon.

    Times on a GPU are not checked: the check would wait for the device.
    """
    for time in (s, t):
        if isinstance(time, Tensor) and time.device.type != "cpu":
            return
    s_, t_ = as_time(s), as_time(t)
    if not bool(((s_ >= 0) & (s_ <= t_) & (t_ <= horizon * (1 + 1e-12))).all()):
        raise ValueError(
            f"times must satisfy 0 <= s <= t <= horizon = {horizon}; got s = {s}, t = {t} "
            "(0 is data, the horizon is noise)"
        )


def align_time(t: Tensor, like: Tensor) -> Tensor:
    """Reshape times so that they broadcast against `like`.

    Args:
        t: a scalar, or one time for each leading entry of `like`.
        like: the tensor to broadcast against.
    """
    return t.reshape(t.shape + (1,) * (like.ndim - t.ndim)) if t.ndim else t


def select_rows(
    kernel: Float[Tensor, "*times source target"], x: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch target"]:
    """Row x of the kernel, or of the kernel that belongs to the leading entry of x."""
    kernel = kernel.to(x.device)  # times given as numbers leave it on the CPU
    if kernel.ndim == 2:
        return kernel[x]
    batch = torch.arange(x.shape[0], device=x.device).reshape(-1, *(1,) * (x.ndim - 1))
    return kernel[batch, x]


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
