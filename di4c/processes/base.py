"""The interface of a forward process, and Bayes' rule, written once for all of them."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.rng import Generator, categorical
from di4c.schedules import Time, as_time


def check_times(s: Time, t: Time, horizon: float) -> None:
    """ValueError unless 0 <= s <= t <= horizon (checked on the host: no GPU synchronisation)."""
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
    """A scalar time, or one per leading entry of `like`, shaped to broadcast against `like`."""
    return t.reshape(t.shape + (1,) * (like.ndim - t.ndim)) if t.ndim else t


class ForwardProcess(ABC):
    r"""A Markov process on $S^D$ that noises every coordinate independently and alike.

    A process supplies $q_{t|s}$ of one coordinate as a matrix (`transition`) and as the two
    products that Bayes' rule needs (`likelihood`, `push`); large state spaces override the latter
    so that no S x S matrix is ever built. Times are floats, or tensors with one time per leading
    entry of x.

    Attributes:
        num_states: states of one coordinate, a mask included.
        num_values: states that data can take (all but the mask).
        mask_state: index of the mask, or None.
        horizon: T, where generation starts.
    """

    num_states: int
    horizon: float
    mask_state: int | None = None

    @property
    def num_values(self) -> int:
        """Number of states that data can take."""
        return self.num_states - (self.mask_state is not None)

    @abstractmethod
    def transition(self, s: Time, t: Time) -> Float[Tensor, "*batch source target"]:
        r"""$q_{t|s}$ of one coordinate: [from, to], rows sum to 1, float64; batched over times."""

    @abstractmethod
    def prior(self) -> Float[Tensor, "state"]:
        """Law of one coordinate from which generation starts when $q_T$ is unknown."""

    def likelihood(
        self, x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""$q_{t|s}(x_t \mid \cdot)$ as a vector over $x_s$."""
        return _select(self.transition(s, t).mT, x_t)

    def push(
        self, weights: Float[Tensor, "*batch state"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""$\sum_{x_s} w(x_s)\, q_{t|s}(\cdot \mid x_s)$."""
        kernel = self.transition(s, t).to(weights)
        if kernel.ndim == 3:  # one kernel per leading entry
            if weights.ndim == 2:
                return (weights[:, None] @ kernel)[:, 0]
            kernel = kernel.reshape(kernel.shape[0], *(1,) * (weights.ndim - 3), *kernel.shape[1:])
        return weights @ kernel

    def sample(
        self,
        x_s: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        r"""A draw of $x_t \sim q_{t|s}(\cdot \mid x_s)$; s = 0 noises data."""
        return categorical(_select(self.transition(s, t), x_s), generator=generator)

    def posterior(
        self, x_0: Int[Tensor, "*batch"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""$q_{s|0,t}(\cdot \mid x_0, x_t) = q_{t|s}\, q_{s|0} / q_{t|0}$, per coordinate.

        Where $q_{t|0}(x_t \mid x_0) = 0$ the coordinate is carried over: $x_s = x_t$.
        """
        probs = torch.nn.functional.one_hot(x_0, self.num_states).double()
        return self.reverse(probs, x_t, s, t)

    def bridge(
        self,
        x_0: Int[Tensor, "*batch"],
        x_t: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        r"""A draw of $x_s \sim q_{s|0,t}(\cdot \mid x_0, x_t)$, see `posterior`."""
        return categorical(self.posterior(x_0, x_t, s, t), generator=generator)

    def over_states(self, probs: Float[Tensor, "*batch value"]) -> Float[Tensor, "*batch state"]:
        """Probabilities over the values, or already over all states, as ones over all states."""
        if probs.shape[-1] not in (self.num_values, self.num_states):
            raise ValueError(
                f"probs must have {self.num_values} values or {self.num_states} states on its "
                f"last axis; got {probs.shape[-1]}"
            )
        return torch.nn.functional.pad(probs, (0, self.num_states - probs.shape[-1]))

    def reverse(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""The $x_0$-parametrised step $p_{s|t}(\cdot \mid x_t)$, per coordinate.

        $p_{s|t}(x_s) = q_{t|s}(x_t \mid x_s) \sum_{x_0} q_{s|0}(x_s \mid x_0)\, p_{0|t}(x_0) /
        q_{t|0}(x_t \mid x_0)$. Mass of $p_{0|t}$ on values that cannot lead to $x_t$ is carried
        over: it keeps $x_s = x_t$.

        Args:
            probs: $p_{0|t}(\cdot \mid x_t)$ of each coordinate, over the values (or all states).
            x_t: the noisy states.
            s: earlier time.
            t: later time.

        Returns:
            Probabilities over all states, in the dtype of probs.
        """
        dtype = probs.dtype
        # Ratios of small likelihoods overflow in half precision.
        probs = self.over_states(probs.to(torch.promote_types(dtype, torch.float32)))
        evidence = self.likelihood(x_t, 0.0, t).to(probs)  # (..., x_0)
        possible = evidence > 0
        weights = torch.where(possible, probs / evidence.where(possible, 1.0), 0.0)
        step = self.likelihood(x_t, s, t).to(probs) * self.push(weights, 0.0, s)
        impossible = probs.where(~possible, 0.0).sum(-1, keepdim=True)
        step = step.scatter_add(-1, x_t[..., None], impossible)
        total = step.sum(-1, keepdim=True)
        # Underflow of both factors leaves nothing: carried over as well.
        step = step.scatter_add(-1, x_t[..., None], (total == 0).to(step))
        return (step / total.where(total > 0, 1.0)).to(dtype)


def _select(
    kernel: Float[Tensor, "*times source target"], x: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch target"]:
    """Row x of the kernel, or of the kernel that belongs to the leading entry of x."""
    kernel = kernel.to(x.device)  # times given as numbers leave it on the host
    if kernel.ndim == 2:
        return kernel[x]
    batch = torch.arange(x.shape[0], device=x.device).reshape(-1, *(1,) * (x.ndim - 1))
    return kernel[batch, x]
