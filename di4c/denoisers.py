r"""Denoisers: $p_{0|t}(\cdot \mid x_t; \lambda)$ as a function, exact ones and adapters.

A denoiser is any callable (x_t (B, D), t (B,), latent (B, ...) or None) -> log-probabilities of
each coordinate of x_0, (B, D, num_values), normalised; -inf is allowed. Where nothing else is said
unmasked coordinates need not be carried over: samplers do that through the process.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.exact import posterior_marginals
from di4c.exact.laws import as_law
from di4c.likelihood.logits import LogitsTransform
from di4c.processes import ForwardProcess
from di4c.schedules import Schedule


@runtime_checkable  # beartype checks arguments against it in tests
class Denoiser(Protocol):
    """What samplers and losses call."""

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """Log-probabilities of each coordinate of x_0."""
        ...


def check_num_dims(x_t: Int[Tensor, "batch dim"], num_dims: int) -> None:
    """ValueError unless the states have the dimensions of the data law."""
    if x_t.shape[1] != num_dims:
        raise ValueError(f"x_t must have the {num_dims} dimensions of q_0; got {x_t.shape[1]}")


class ExactDenoiser:
    r"""The marginals $q^d_{0|t}(\cdot \mid x_t)$ of a known data law, looked up in a table.

    This is the product denoiser that an infinitely trained teacher converges to. Its table holds
    all num_states^D states and is computed once for each time that occurs; once in all for masked
    noise, where $p_{0|t}$ depends on which values are seen and not on t.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        max_tables: how many times to keep; the least recently used goes first.

    Raises:
        ValueError: If q_0 is not a law on num_values^D states.
    """

    def __init__(self, process: ForwardProcess, q_0: Tensor, *, max_tables: int = 64) -> None:
        if max_tables < 1:
            raise ValueError(f"max_tables must be at least 1; got {max_tables}")
        self.process = process
        self.q_0, self.num_dims = as_law(q_0, process.num_values)
        self.max_tables = max_tables
        self._tables: OrderedDict[float, Tensor] = OrderedDict()

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """See Denoiser; the latent is ignored."""
        check_num_dims(x_t, self.num_dims)
        index = state_index(x_t, self.process.num_states)
        if self.process.mask_state is not None:  # any time at which every state can occur
            t = torch.full_like(t, self.process.horizon / 2)
        times, group = t.double().unique(return_inverse=True)
        tables = [self.table(float(time)).to(x_t.device) for time in times]
        if len(tables) == 1:
            return tables[0][index]
        result = torch.empty(*x_t.shape, self.process.num_values, dtype=torch.float64)
        result = result.to(x_t.device)
        for k, table in enumerate(tables):
            rows = group == k
            result[rows] = table[index[rows]]
        return result

    def table(self, t: float) -> Float[Tensor, "atom dim value"]:
        """The log-probabilities at time t for every state, in the order of `exact.states`."""
        if t not in self._tables:
            probs = posterior_marginals(self.process, self.q_0, 0.0, t)
            self._tables[t] = probs[..., : self.process.num_values].log()
            if len(self._tables) > self.max_tables:
                self._tables.popitem(last=False)
        self._tables.move_to_end(t)
        return self._tables[t]


class TableDenoiser:
    r"""Log-probabilities in a table, at every time the same: the smallest mixture there is.

    Args:
        log_probs: (L, num_states^D, D, num_values); entry l belongs to latent l. The latent of a
            call is the index l as an integer, or None where L = 1.
        num_states: states of one coordinate of x_t, a mask included.
    """

    def __init__(self, log_probs: Float[Tensor, "latent atom dim value"], num_states: int) -> None:
        if log_probs.shape[1] != num_states ** log_probs.shape[2]:
            raise ValueError(
                f"log_probs must hold {num_states}^{log_probs.shape[2]} states on axis 1; got "
                f"{log_probs.shape[1]}"
            )
        self.log_probs = log_probs
        self.num_states = num_states

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """See Denoiser."""
        index = state_index(x_t, self.num_states)
        if latent is None:
            if len(self.log_probs) > 1:
                raise ValueError(
                    f"latent must be given for a table of {len(self.log_probs)} latents; got None"
                )
            return self.log_probs.to(x_t.device)[0, index]
        return self.log_probs.to(x_t.device)[latent, index]


def state_index(x: Int[Tensor, "*batch dim"], num_states: int) -> Int[Tensor, "*batch"]:
    """The row of each state in `exact.states` (lexicographic order)."""
    index = x[..., 0]
    for d in range(1, x.shape[-1]):
        index = index * num_states + x[..., d]
    return index


def noise_level(
    schedule: Schedule, t: Float[Tensor, "*batch"], num_times: int = 0
) -> Float[Tensor, "*batch"]:
    r"""$\sigma(t) = -\log\alpha(t)$, the total noise that MDLM's networks are conditioned on.

    Args:
        schedule: the survival probability.
        t: times; rounded in their own precision.
        num_times: T > 0 first moves t up to the next of T equispaced times,
            $\lfloor tT \rfloor / T + 1 / T$; the horizon 1 then ends beyond itself, as published.

    Returns:
        float64; NaN where that moves t so far that the schedule leaves less than nothing.
    """
    if num_times > 0:
        t = (t * num_times).floor().double() / num_times + 1 / num_times
    return -schedule.alpha(t).log()


Network = Callable[..., Tensor]
"""(x_t (B, D), t (B,), latent or None, *condition) -> logits (B, D, num_states)."""


class FromLogits:
    """The denoiser of a network that returns logits over all states, a mask included.

    The mask is excluded (no data has it) and the rest normalised in float32 or wider.

    Args:
        network: (x_t, t, latent, *condition) -> logits (B, D, num_states).
        condition: further arguments of the network, e.g. class labels (B,).
        mask_state: the mask, the last state; None if the process has none.
        carry_over: give an unmasked coordinate all mass on its own value (the SUBS parametrisation
            of MDLM) instead of the network's softmax.
    """

    def __init__(
        self,
        network: Network,
        *condition: Tensor,
        mask_state: int | None = None,
        carry_over: bool = False,
    ) -> None:
        if carry_over and mask_state is None:
            raise ValueError("carry_over=True needs mask_state: say which state is the mask")
        self.network = network
        self.condition = condition
        self.mask_state = mask_state
        self.carry_over = carry_over

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """See Denoiser."""
        logits = self.network(x_t, t, latent, *self.condition)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))[:, None]
        if self.mask_state is None:
            return LogitsTransform().log_probs(logits)[:, 0]
        if self.carry_over:
            transform = LogitsTransform.subs(x_t, self.mask_state)
        else:
            transform = LogitsTransform(excluded_states=(self.mask_state,))
        return transform.log_probs(logits)[:, 0, :, : self.mask_state]
