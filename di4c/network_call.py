"""Calls of networks: checks of what goes in and of what comes out, and the call of a sampler."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_states, first_index, require_callable, require_tensor
from di4c.likelihood.checks import check_log_probs, check_not_nan, check_shape
from di4c.likelihood.mixture import check_latent_law, log_joint
from di4c.processes.state_space import StateSpace

_ROUNDING = 0.05  # largest log-probability, for rounding in half precision


def entry(name: str, entries: Sequence[Any] | Tensor, step: int) -> Any:
    """What a replayed run gives for a step.

    Raises:
        ValueError: If nothing is left for it.
    """
    if step >= len(entries):
        raise ValueError(
            f"{name} must hold one entry for each step; got {len(entries)}, and step {step} needs "
            "one more"
        )
    return entries[step]


def next_latent(latents: Iterator[Tensor | None], call: int, batch: int) -> Tensor | None:
    """The latents of the next network call, checked.

    Args:
        latents: see `di4c.latents.latent_draws`.
        call: number of the call, for errors.
        batch: B, the number of samples.

    Raises:
        ValueError: If no latent is left, or it has not one entry for each sample.
    """
    try:
        latent = next(latents)
    except StopIteration:
        raise ValueError(
            f"latent must hold one entry for each network call; call {call} finds none left"
        ) from None
    if latent is None:
        return None
    require_tensor("latent", latent)
    if latent.ndim == 0 or len(latent) != batch:
        raise ValueError(
            f"latent must have one entry for each of the {batch} samples on its first axis; call "
            f"{call} got shape {tuple(latent.shape)}"
        )
    return latent


def predict(
    process: StateSpace,
    denoiser: Callable[..., Tensor],
    x_t: Int[Tensor, "batch dim"],
    t: float,
    latent: Tensor | None,
    *,
    drop_mask: bool,
    validate: bool,
) -> Float[Tensor, "batch dim value"]:
    """One network call without gradients, with a check of its output.

    Args:
        process: forward process.
        denoiser: the network.
        x_t: its input, (B, D).
        t: time, the same for all samples.
        latent: latents of the samples, or None.
        drop_mask: remove the mask from the output of a denoiser that returns all states. The mask
            must have probability 0 then.
        validate: whether to check the values of the output.

    Returns:
        (B, D, V), log-probabilities in float32 or wider.

    Raises:
        TypeError: If the denoiser is no function, or does not return a tensor.
        ValueError: If the denoiser was made for other states, the shape is wrong, or a row holds
            NaN or does not sum to 1.
    """
    require_callable("denoiser", denoiser)
    check_same_states("denoiser", denoiser, process)
    times = torch.full((len(x_t),), t, dtype=torch.float64, device=x_t.device)
    with torch.no_grad():
        log_probs = denoiser(x_t, times, latent)
    name, remedy = "log_probs returned by the denoiser", ""
    require_tensor(name, log_probs)
    width = process.num_values if process.mask_is_last else process.num_states
    if log_probs.shape[-1:] == (process.num_states,):
        width = process.num_states
    elif width > process.num_values:
        remedy = "return all states, with -inf for the mask, because it is not the last state"
    check_shape(name, log_probs, (*x_t.shape, width), "batch, dim, value", remedy)
    if drop_mask and process.mask_state is not None:
        if log_probs.shape[-1] == process.num_states:
            log_probs = process.without_mask(log_probs)
        remedy = "give the mask no probability, as FromLogits(network, mask_state=...) does"
    if validate:
        check_log_probs(name, log_probs, remedy)
    return log_probs.to(torch.promote_types(log_probs.dtype, torch.float32))


def check_same_states(name: str, network: object, process: StateSpace) -> None:
    """Raise ValueError if a network has a `process`, with other states than this one."""
    own = getattr(network, "process", None)
    if not isinstance(own, StateSpace):
        return
    theirs, ours = (f"{p.num_states} states and mask {p.mask_state}" for p in (own, process))
    if theirs != ours:
        raise ValueError(
            f"{name} must be made for a process with {ours}; it was made for a "
            f"{type(own).__name__} with {theirs}"
        )


def check_x_t(x_t: Int[Tensor, "batch dim"], num_dims: int, num_states: int) -> None:
    """Raise an error unless x_t holds states of as many coordinates as a known law.

    States on a GPU are not checked: the check would wait for the device.
    """
    require_tensor("x_t", x_t)
    check_shape("x_t", x_t, (-1, num_dims), "batch, dim")
    if x_t.device.type == "cpu":
        check_states("x_t", x_t, num_states, "use states of the process")


def check_t(t: Float[Tensor, "batch"], batch: int, horizon: float) -> None:
    """Raise an error unless t holds a time in [0, horizon] for each example.

    Times on a GPU are not checked: the check would wait for the device.
    """
    require_tensor("t", t)
    check_shape("t", t, (batch,), "batch", "give one time for each example")
    if not t.is_floating_point():
        raise ValueError(f"t must hold floats; got {t.dtype}: use t.double()")
    if t.device.type == "cpu":
        fits = (t >= 0) & (t <= horizon * (1 + torch.finfo(t.dtype).eps))
        if not bool(fits.all()):
            index = first_index(~fits)
            raise ValueError(
                f"t must lie in [0, {horizon}], from data to noise; got {float(t[index])} at index "
                f"{list(index)}"
            )


def check_mixture(name: str, values: Tensor, log_weights: Tensor, axes: str) -> None:
    """Raise an error unless values (B, L, D, ...) and the law of the latents fit each other."""
    require_tensor(name, values)
    require_tensor("log_weights", log_weights)
    check_shape(name, values, (-1, -1, -1, -1), axes)
    check_latent_law(log_weights, values.shape[1], True)


def check_gathered(gathered: Tensor, log_weights: Tensor) -> None:
    """Raise an error unless these are log-probabilities of atoms that the mixture can draw."""
    check_mixture("gathered", gathered, log_weights, "batch, latent, dim, atom")
    check_not_nan("gathered", gathered)
    if bool((gathered > _ROUNDING).any()):
        raise ValueError(
            f"gathered must be log-probabilities, at most 0; got {float(gathered.max())}: give "
            "mixture.gather(atoms)"
        )
    impossible = log_joint(gathered, log_weights) == -torch.inf
    if bool(impossible.any()):
        raise ValueError(
            f"gathered has probability 0 for the atom at index {list(first_index(impossible))}: "
            "draw the atoms from the mixture"
        )
