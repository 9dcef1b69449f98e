r"""Denoisers $p_{0|t}(\cdot \mid x_t; \lambda)$: the interface, exact denoisers, and adapters.

A denoiser is any callable that maps (x_t (B, D), t (B,), latent (B, ...) or None) to the
log-probabilities of each coordinate of x_0, (B, D, num_values). They are normalised over the last
axis, and -inf is allowed. Where the mask is not the last state they are (B, D, num_states), with
-inf for the mask, because values and states would have different numbers. A denoiser need not keep
unmasked coordinates: the samplers do so through the process.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_states, require_callable, require_tensor
from di4c.exact import posterior_marginals
from di4c.exact.laws import as_law
from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, HeadMixture, LogitsTransform
from di4c.likelihood.checks import check_log_probs, check_shape
from di4c.network_call import check_t, check_x_t
from di4c.processes import ForwardProcess
from di4c.processes.masked import half_masked
from di4c.schedules import Schedule


@runtime_checkable  # beartype checks arguments against it in tests
class Denoiser(Protocol):
    """A network as the samplers call it: one law of x_0 for each example."""

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """Log-probabilities of each coordinate of x_0.

        Args:
            x_t: states at time t, (B, D).
            t: times, (B,).
            latent: one latent for each example, (B, ...), or None.

        Returns:
            (B, D, num_values), normalised over the last axis; (B, D, num_states) where the mask is
            not the last state.
        """
        ...


@runtime_checkable  # beartype checks arguments against it in tests
class MixtureNetwork(Protocol):
    """A network as the losses call it: one product law of x_0 for each latent of each example."""

    def __call__(
        self,
        x_t: Int[Tensor, "batch latent dim"],
        t: Float[Tensor, "batch"],
        latents: Tensor | None,
    ) -> DenseMixture | HeadMixture:
        """The mixture over the latents of each example.

        Args:
            x_t: (B, L, D), one state for each latent. All latents may have the same state.
            t: times, (B,).
            latents: (B, L, ...), or None.
        """
        ...


def as_mixture(denoiser: Denoiser, *, validate: bool = True) -> MixtureNetwork:
    """The MixtureNetwork that calls a denoiser once for the B L pairs of an example and a latent.

    Args:
        denoiser: the network.
        validate: whether the mixture checks its values.
    """
    require_callable("denoiser", denoiser)
    return _DenoiserMixture(denoiser, validate)


@dataclass(frozen=True)
class _DenoiserMixture:
    """See `as_mixture`."""

    denoiser: Denoiser
    validate: bool

    @property
    def process(self) -> ForwardProcess | None:
        """The process that the denoiser was made for, if it is known."""
        return getattr(self.denoiser, "process", None)

    def __call__(
        self,
        x_t: Int[Tensor, "batch latent dim"],
        t: Float[Tensor, "batch"],
        latents: Tensor | None,
    ) -> DenseMixture:
        batch, num_latents, num_dims = x_t.shape
        log_probs = self.denoiser(
            x_t.reshape(-1, num_dims),
            t.repeat_interleave(num_latents),
            None if latents is None else latents.flatten(0, 1),
        )
        name = "log_probs returned by the denoiser"
        require_tensor(name, log_probs)
        check_shape(name, log_probs, (batch * num_latents, num_dims, -1), "batch, dim, value")
        log_probs = log_probs.reshape(batch, num_latents, num_dims, -1)
        weights = uniform_log_weights(num_latents, log_probs.device)
        return DenseMixture(log_probs, weights, self.validate)


class ExactDenoiser:
    r"""The exact product denoiser $\prod_d q^d_{0|t}(\cdot \mid x_t)$ of a known data law.

    A perfectly trained teacher converges to this denoiser. It looks up the marginals in a table of
    all num_states^D states. The table is computed once for each time. For masked noise one table
    serves all times, because the marginals depend on the unmasked values and not on t.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        max_tables: number of tables to keep. If there are more, the least recently used is dropped.

    Raises:
        ValueError: If q_0 is not a law on num_values^D states.
    """

    def __init__(self, process: ForwardProcess, q_0: Tensor, *, max_tables: int = 64) -> None:
        check_count("max_tables", max_tables)
        self.process = process
        self.q_0, self.num_dims = as_law(q_0, process.num_values)
        self.max_tables = max_tables
        self._tables: OrderedDict[float, Tensor] = OrderedDict()

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """The marginals at x_t. The latent is ignored.

        Raises:
            ValueError: If x_t holds a number that is no state, or t one that is no time.
        """
        check_x_t(x_t, self.num_dims, self.process.num_states)
        check_t(t, len(x_t), self.process.horizon)
        index = state_index(x_t, self.process.num_states)
        t = t if self.process.mask_state is None else 0 * t  # one table for all times
        times, group = t.double().unique(return_inverse=True)
        tables = [self.table(float(time)).to(x_t.device) for time in times]
        if len(tables) == 1:
            return tables[0][index]
        result = torch.empty(*x_t.shape, tables[0].shape[-1]).to(tables[0])
        for k, table in enumerate(tables):
            result[group == k] = table[index[group == k]]
        return result

    def table(self, t: float) -> Float[Tensor, "atom dim value"]:
        """Log-probabilities at time t for every state, in the order of `exact.states`."""
        if t not in self._tables:
            masked = self.process.mask_state is not None
            noise, time = half_masked(self.process) if masked else (self.process, t)
            probs = posterior_marginals(noise, self.q_0, 0.0, time)
            if self.process.mask_is_last:
                probs = probs[..., :-1]
            self._tables[t] = probs.log()
            if len(self._tables) > self.max_tables:
                self._tables.popitem(last=False)
        self._tables.move_to_end(t)
        return self._tables[t]


class TableDenoiser:
    r"""A denoiser that looks up its log-probabilities in a table, the same one at every time.

    Args:
        log_probs: (L, num_states^D, D, V), where V is num_values or num_states, see
            `di4c.denoisers`; entry l belongs to latent l. The latent of a call is the index l as an
            integer, or None if L = 1.
        num_states: number of states of one coordinate of x_t, a mask included.

    Raises:
        ValueError: If log_probs does not hold num_states^D states, or no log-probabilities.
    """

    def __init__(self, log_probs: Float[Tensor, "latent atom dim value"], num_states: int) -> None:
        require_tensor("log_probs", log_probs)
        check_count("num_states", num_states)
        check_shape("log_probs", log_probs, (-1, -1, -1, -1), "latent, atom, dim, value")
        if log_probs.shape[1] != num_states ** log_probs.shape[2]:
            raise ValueError(
                f"log_probs must hold {num_states}^{log_probs.shape[2]} states on axis 1; got "
                f"{log_probs.shape[1]}"
            )
        check_log_probs("log_probs", log_probs)
        self.log_probs = log_probs
        self.num_states = num_states

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """The entries of the table at x_t. The time is ignored."""
        check_x_t(x_t, self.log_probs.shape[2], self.num_states)
        index, num_latents = state_index(x_t, self.num_states), len(self.log_probs)
        if latent is None:
            if num_latents > 1:
                raise ValueError(
                    f"latent must be given for a table of {num_latents} latents; got None"
                )
            return self.log_probs.to(x_t.device)[0, index]
        require_tensor("latent", latent)
        check_shape("latent", latent, (len(x_t),), "batch", "give one latent for each example")
        if latent.device.type == "cpu":
            check_states("latent", latent, num_latents, "use latents of the table")
        return self.log_probs.to(x_t.device)[latent, index]


def state_index(x: Int[Tensor, "*batch dim"], num_states: int) -> Int[Tensor, "*batch"]:
    """Row of each state (..., D) in `exact.states`, which has lexicographic order: (...)."""
    index = x[..., 0]
    for d in range(1, x.shape[-1]):
        index = index * num_states + x[..., d]
    return index


def noise_level(
    schedule: Schedule, t: Float[Tensor, "*batch"], num_times: int = 0
) -> Float[Tensor, "*batch"]:
    r"""Total noise $\sigma(t) = -\log\alpha(t)$, the time input of MDLM's networks.

    Args:
        schedule: the survival probability $\alpha$.
        t: times, (...); rounded in their own precision.
        num_times: if T > 0, t is first moved up to the next of T equispaced times,
            $\lfloor tT \rfloor / T + 1 / T$. As published, this moves the horizon 1 beyond 1.

    Returns:
        Noise in the shape of t, float64. It is NaN where the moved time has $\alpha < 0$.
    """
    check_count("num_times", num_times, 0)
    if num_times > 0:
        t = (t * num_times).floor().double() / num_times + 1 / num_times
    alpha = schedule.alpha(t)
    near = -torch.log1p(-schedule.complement(t))  # keeps its digits where alpha rounds to 1
    return torch.where(alpha > 0.5, near, -alpha.log())


Network = Callable[..., Tensor]
"""(x_t (B, D), t (B,), latent or None, *condition) -> logits (B, D, num_states)."""


class FromLogits:
    """The denoiser of a network that returns logits over all states, a mask included.

    The mask gets probability 0, because data never has it. The other states are normalised in
    float32 or wider.

    Args:
        network: (x_t, t, latent, *condition) -> logits (B, D, num_states).
        condition: further arguments of the network, e.g. class labels (B,).
        mask_state: the mask; None if the process has no mask. If it is the last state, the output
            leaves it out. If not, the output has all states, with -inf for the mask.
        carry_over: whether an unmasked coordinate gets probability 1 at its own value (the SUBS
            parametrisation of MDLM) instead of the softmax of the network.

    Raises:
        ValueError: If carry_over is set without a mask, or the mask is no state.
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
        if mask_state is not None:
            check_count("mask_state", mask_state, 0)
        require_callable("network", network)
        self.network = network
        self.condition = condition
        self.mask_state = mask_state
        self.carry_over = carry_over

    def __call__(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        logits = self.network(x_t, t, latent, *self.condition)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))[:, None]
        if self.mask_state is None:
            return LogitsTransform().log_probs(logits)[:, 0]
        if self.carry_over:
            transform = LogitsTransform.subs(x_t, self.mask_state)
        else:
            transform = LogitsTransform(excluded_states=(self.mask_state,))
        log_probs = transform.log_probs(logits)[:, 0]
        return log_probs[..., :-1] if self.mask_state == logits.shape[-1] - 1 else log_probs
