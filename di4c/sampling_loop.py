r"""What all samplers share: the count of steps, the loop over them, and what it returns.

Counting, stated here and nowhere else: a grid $t_0 < \dots < t_N$ costs N network calls, at
$t_N, \dots, t_1$; the call at $t_k$ moves x from $t_k$ to $t_{k-1}$, and "n steps" means n calls.
Published samplers that count otherwise are grids too:

- tauLDR, "n steps": n - 1 transitions down to time .01 and an argmax of one last call there, so
  `call_grid(n, 0.01)` with `last="argmax"`.
- MDLM and SDTT, "n steps": n transitions down to 1e-5, then an argmax for what is still masked,
  so `call_grid(n + 1, 1e-5)` with `last="argmax"`.

A masked process never changes a value once revealed: calls after the last mask of a batch are
skipped and not counted, which does not change the law.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.denoisers import Denoiser
from di4c.likelihood.checks import check_log_probs, check_shape, check_states
from di4c.processes import ForwardProcess, InterpolatingProcess, MaskedProcess
from di4c.rng import Generator, categorical
from di4c.schedules import Time, uniform_grid


class Step(NamedTuple):
    """What a callback sees after each step.

    Attributes:
        call: 0 for the first step.
        num_calls: N.
        s: time after the step.
        t: time before the step.
        x_t: states before the step.
        x_s: states after the step.
        latent: what the network was given; None without a latent or if the call was skipped.
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
        samples: states at the first time of the grid.
        nfe: network calls made, each on the whole batch.
        trajectory: states at all times of the grid, noise first; None unless asked for.
    """

    samples: Int[Tensor, "batch dim"]
    nfe: int
    trajectory: Int[Tensor, "time batch dim"] | None = None


Callback = Callable[[Step], object]


class Call(NamedTuple):
    """A network call: which denoiser, and where its latents come from."""

    denoiser: Denoiser
    latents: Iterator[Tensor | None]


Move = Callable[[Tensor, Tensor, Time, Time, int], Tensor]
"""(probs of x_0, x_t, s, t, number of the call) -> x_s; s is the float 0.0 at time zero."""


def call_grid(num_calls: int, first: float, horizon: float = 1.0) -> Float[Tensor, "time"]:
    """The grid 0, then num_calls equispaced times from `first` to the horizon, (num_calls + 1,).

    Raises:
        ValueError: If there is no call, or first is not in (0, horizon).
    """
    if num_calls < 1:
        raise ValueError(f"num_calls must be at least 1; got {num_calls}")
    if not 0 < first < horizon:
        raise ValueError(f"first must lie in (0, horizon) = (0, {horizon}); got {first}")
    if num_calls == 1:
        return torch.tensor([0.0, horizon], dtype=torch.float64)
    grid = torch.cat([torch.zeros(1).double(), uniform_grid(num_calls - 1, horizon, first)])
    grid[-1] = horizon  # no rounding past it
    return grid


def prior_samples(
    process: ForwardProcess,
    num_samples: int,
    num_dims: int,
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Int[Tensor, "batch dim"]:
    """Independent draws from the prior of the process: where generation starts."""
    law = process.prior().to(device).expand(num_samples, num_dims, -1)
    return categorical(law, generator=generator)


_LASTS = ("sample", "argmax")


def generate(
    process: ForwardProcess,
    calls: list[Call],
    start: Int[Tensor, "batch dim"],
    times: list[float],
    move: Move,
    *,
    last: str,
    callback: Callback | None,
    trajectory: bool,
    validate: bool,
) -> Samples:
    """The loop that all samplers share; arguments as in `samplers.ancestral`.

    Args:
        process: forward process.
        calls: the N network calls.
        start: states at the last time.
        times: a checked grid of N + 1 times.
        move: takes x from t to s.
        last: see ancestral.
        callback: see ancestral.
        trajectory: see ancestral.
        validate: see ancestral.
    """
    if last not in _LASTS:
        raise ValueError(f"last must be one of {', '.join(map(repr, _LASTS))}; got {last!r}")
    if last == "argmax" and times[0] > 0:
        raise ValueError(
            f'last="argmax" needs a grid that starts at 0; got {times[0]}: prepend 0 to the grid'
        )
    if times[-1] > process.horizon * (1 + 1e-12):  # the slack of check_times
        raise ValueError(
            f"grid must end at the horizon {process.horizon} of the process or before; got "
            f"{times[-1]}"
        )
    check_shape("start", start, (-1, -1), "batch, dim")
    check_states("start", start, process.num_states, "draw it with prior_samples")
    on_device = partial(torch.tensor, dtype=torch.float64, device=start.device)
    x_t, path, nfe = start, [start], 0
    for k, call in enumerate(calls):
        s, t = times[-2 - k], times[-1 - k]
        latent, x_s = None, x_t
        if process.mask_state is None or bool((x_t == process.mask_state).any()):
            latent = next_latent(call.latents, k, len(start))
            log_probs = predict(
                process, call.denoiser, x_t, t, latent, drop_mask=True, validate=validate
            )
            nfe += 1
            probs = log_probs.exp()
            if s == 0 and last == "argmax":
                x_s = probs.argmax(-1)
                if isinstance(process, InterpolatingProcess):  # zeros of others may be rounding
                    x_s = carry_over(process, x_s, x_t, on_device(t))
            else:
                x_s = move(probs, x_t, 0.0 if s == 0 else on_device(s), on_device(t), k)
        if callback is not None:
            callback(Step(k, len(calls), s, t, x_t, x_s, latent))
        if trajectory:
            path.append(x_s)
        x_t = x_s
    return Samples(x_t, nfe, torch.stack(path) if trajectory else None)


def carry_over(
    process: ForwardProcess, x_0: Int[Tensor, "*batch"], x_t: Int[Tensor, "*batch"], t: Time
) -> Int[Tensor, "*batch"]:
    """x_0, but x_t where x_0 cannot lead to it (the convention of `ForwardProcess.reverse`)."""
    if isinstance(process, MaskedProcess):
        return torch.where(x_t == process.mask_state, x_0, x_t)
    evidence = process.likelihood(x_t, 0.0, t).gather(-1, x_0[..., None]).squeeze(-1)
    return torch.where(evidence > 0, x_0, x_t)


def next_latent(latents: Iterator[Tensor | None], call: int, batch: int) -> Tensor | None:
    """The next latent of a sampler, or a ValueError that says what is wrong with it."""
    try:
        latent = next(latents)
    except StopIteration:
        raise ValueError(
            f"latent must hold one entry a network call; call {call} finds none left"
        ) from None
    if latent is not None and (latent.ndim == 0 or len(latent) != batch):
        raise ValueError(
            f"latent must have one entry a sample, {batch}, on its first axis; call {call} got "
            f"shape {tuple(latent.shape)}"
        )
    return latent


def predict(
    process: ForwardProcess,
    denoiser: Denoiser,
    x_t: Int[Tensor, "batch dim"],
    t: float,
    latent: Tensor | None,
    *,
    drop_mask: bool,
    validate: bool,
) -> Float[Tensor, "batch dim value"]:
    """One network call without gradients, checked: log-probabilities in float32 or wider.

    Args:
        process: forward process.
        denoiser: the network.
        x_t: its input.
        t: time, the same for all samples.
        latent: latents of the samples, or None.
        drop_mask: whether a denoiser that returns all states must give the mask no probability.
        validate: whether to look at values.

    Raises:
        ValueError: If the shape is wrong, or a row holds NaN or does not sum to 1.
    """
    times = torch.full((len(x_t),), t, dtype=torch.float64, device=x_t.device)
    with torch.no_grad():
        log_probs = denoiser(x_t, times, latent)
    num_values = process.num_values
    remedy = ""
    if log_probs.shape[-1:] == (process.num_states,):
        if drop_mask and process.mask_state is not None:
            log_probs = log_probs[..., :num_values]
            remedy = "give the mask no probability, as FromLogits(network, mask_state=...) does"
        num_values = log_probs.shape[-1]
    name = "log_probs returned by the denoiser"
    check_shape(name, log_probs, (*x_t.shape, num_values), "batch, dim, value")
    if validate:
        check_log_probs(name, log_probs, remedy)
    return log_probs.to(torch.promote_types(log_probs.dtype, torch.float32))
