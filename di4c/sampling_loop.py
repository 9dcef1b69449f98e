r"""What all samplers share: the meaning of a step, the loop over steps, and the result.

A grid $t_0 < \dots < t_N$ costs N network calls, at the times $t_N, \dots, t_1$. The call at $t_k$
moves x from $t_k$ to $t_{k-1}$. In this library "n steps" means n network calls. Published samplers
count in other ways; these grids reproduce them:

- tauLDR with "n steps" makes n - 1 transitions down to time 0.01 and takes the argmax of one last
  call there: `call_grid(n, 0.01)` with `last="argmax"`.
- MDLM and SDTT with "n steps" make n transitions down to time 1e-5, then take the argmax for what
  is still masked: `call_grid(n + 1, 1e-5)` with `last="argmax"`.

A masked process never changes a value that is revealed. Once no mask is left in a batch, the
remaining calls are skipped and not counted. This does not change the law of the samples.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from di4c.checks import (
    check_choice,
    check_count,
    check_device,
    check_number,
    check_states,
    require_tensor,
)
from di4c.conditioning import Held
from di4c.denoisers import Denoiser
from di4c.latents import Latent, latent_draws
from di4c.likelihood.checks import check_shape
from di4c.network_call import next_latent, predict
from di4c.processes import ForwardProcess
from di4c.rng import Generator, categorical
from di4c.schedules import Time, check_grid, uniform_grid


class Step(NamedTuple):
    """What a callback receives after each step.

    Attributes:
        call: number of the step, from 0.
        num_calls: N, the number of steps.
        s: time after the step.
        t: time before the step.
        x_t: states before the step, (B, D).
        x_s: states after the step, (B, D).
        latent: latents that the network received. None if there are none or the call was skipped.
    """

    call: int
    num_calls: int
    s: float
    t: float
    x_t: Int[Tensor, "batch dim"]
    x_s: Int[Tensor, "batch dim"]
    latent: Tensor | None


class Samples(NamedTuple):
    """What a sampler returns.

    Attributes:
        samples: states at the first time of the grid, (B, D).
        nfe: number of network calls, each on the whole batch.
        trajectory: states at all times of the grid, (N + 1, B, D), noise first. None unless asked
            for.
    """

    samples: Int[Tensor, "batch dim"]
    nfe: int
    trajectory: Int[Tensor, "time batch dim"] | None = None


Callback = Callable[[Step], object]


class Calls(NamedTuple):
    """Consecutive network calls of a sampler that use the same denoiser.

    Attributes:
        denoiser: the network.
        latent: its latents, see `di4c.latents.Latent`.
        num_calls: how many; None for all that remain.
    """

    denoiser: Denoiser
    latent: Latent = None
    num_calls: int | None = None


Move = Callable[[Tensor, Tensor, Time, Time, int], Tensor]
"""(probabilities of x_0, x_t, s, t, number of the call) -> x_s. At time zero s is the float 0.0."""


def call_grid(num_calls: int, first: float, horizon: float = 1.0) -> Float[Tensor, "time"]:
    """Time 0, followed by equispaced times from `first` to the horizon.

    Args:
        num_calls: number of equispaced times, which is the number of network calls.
        first: earliest time of a network call.
        horizon: time of the first network call.

    Returns:
        (num_calls + 1,), float64. A single call is at the horizon.

    Raises:
        ValueError: If num_calls < 1, or first is not in (0, horizon).
    """
    check_count("num_calls", num_calls)
    check_number("horizon", horizon, "(0, inf)")
    check_number("first", first, f"(0, {horizon})", "start before the horizon")
    if num_calls == 1:
        return torch.tensor([0.0, horizon], dtype=torch.float64)
    grid = torch.cat([torch.zeros(1).double(), uniform_grid(num_calls - 1, horizon, first)])
    grid[-1] = horizon  # rounding must not exceed it
    return grid


def prior_samples(
    process: ForwardProcess,
    num_samples: int,
    num_dims: int,
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Int[Tensor, "batch dim"]:
    """Independent draws from the prior of the process, where generation starts: (B, D).

    Raises:
        ValueError: If num_samples or num_dims is below 1, or this machine lacks the device.
    """
    check_count("num_samples", num_samples)
    check_count("num_dims", num_dims)
    check_device("device", device)
    law = process.prior().to(device).expand(num_samples, num_dims, -1)
    return categorical(law, generator=generator)


_LASTS = ("sample", "argmax")


def generate(
    process: ForwardProcess,
    calls: Sequence[Calls],
    start: Int[Tensor, "batch dim"],
    grid: Sequence[float] | Tensor,
    move: Move,
    *,
    last: str,
    generator: Generator | None,
    callback: Callback | None,
    trajectory: bool,
    validate: bool,
    fixed: Bool[Tensor, "batch dim"] | None = None,
    valid: Bool[Tensor, "batch dim"] | None = None,
) -> Samples:
    """The loop that all samplers over a time grid share.

    Args:
        process: forward process.
        calls: which denoiser is called when; the counts of all but the last are given.
        start: see `samplers.ancestral`.
        grid: see `samplers.ancestral`.
        move: takes x from t to s.
        last: see `samplers.ancestral`.
        generator: see `samplers.ancestral`.
        callback: see `samplers.ancestral`.
        trajectory: see `samplers.ancestral`.
        validate: see `samplers.ancestral`.
        fixed: see `samplers.ancestral`.
        valid: see `samplers.ancestral`.

    Raises:
        ValueError: If an argument does not fit, see `samplers.ancestral`.
    """
    times = check_grid(grid)
    check_choice("last", last, _LASTS)
    if last == "argmax" and times[0] > 0:
        raise ValueError(
            f'last="argmax" needs a grid that starts at 0; got {times[0]}: prepend 0 to the grid'
        )
    if times[-1] > process.horizon * (1 + 1e-12):  # the same tolerance as in check_times
        raise ValueError(
            f"grid must end at the horizon {process.horizon} of the process or before; got "
            f"{times[-1]}"
        )
    require_tensor("start", start)
    check_shape("start", start, (-1, -1), "batch, dim")
    check_states("start", start, process.num_states, "draw it with prior_samples")
    held = Held.of(process, "start", start, fixed, valid, validate)
    on_device = partial(torch.tensor, dtype=torch.float64, device=start.device)
    num_calls = len(times) - 1
    x_t, path, nfe = start, [start], 0
    schedule = _schedule(calls, len(start), generator, start.device)
    for k, (denoiser, latents) in zip(range(num_calls), schedule, strict=False):
        s, t = times[-2 - k], times[-1 - k]
        latent, x_s = None, x_t
        if process.mask_state is None or bool(held.hides(x_t, process.mask_state).any()):
            latent = next_latent(latents, k, len(start))
            log_probs = predict(
                process, denoiser, x_t, t, latent, drop_mask=True, validate=validate
            )
            nfe += 1
            probs = log_probs.exp()
            if s == 0 and last == "argmax":
                x_s = process.most_likely(probs, x_t, on_device(t))
            else:
                x_s = move(probs, x_t, 0.0 if s == 0 else on_device(s), on_device(t), k)
            x_s = held.keep(x_s)
        if callback is not None:
            callback(Step(k, num_calls, s, t, x_t, x_s, latent))
        if trajectory:
            path.append(x_s)
        x_t = x_s
    return Samples(x_t, nfe, torch.stack(path) if trajectory else None)


def _schedule(
    calls: Sequence[Calls],
    batch: int,
    generator: Generator | None,
    device: torch.device,
) -> Iterator[tuple[Denoiser, Iterator[Tensor | None]]]:
    """The denoiser of each network call, with the iterator that its latent comes from."""
    for denoiser, latent, num_calls in calls:
        pair = denoiser, latent_draws(latent, batch, generator, device)
        yield from repeat(pair) if num_calls is None else repeat(pair, num_calls)
