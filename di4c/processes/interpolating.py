"""Processes that keep a coordinate or redraw it: the general form, uniform and absorbing noise."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, shown
from di4c.probabilities import as_probabilities
from di4c.processes.base import ForwardProcess
from di4c.processes.times import align_time, check_times
from di4c.rng import Generator, categorical, uniform
from di4c.schedules import ExponentialSchedule, LinearSchedule, Schedule, Time, as_time


class InterpolatingProcess(ForwardProcess):
    r"""$q_{t|s} = a\, I + (1 - a)\, \mathbf{1}\pi^\top$ with $a = \alpha_t / \alpha_s$.

    A coordinate survives with probability a. Otherwise it is redrawn from the law $\pi$. Every
    method but `transition` costs O(S) for each coordinate.

    Args:
        stationary: $\pi$, (S,), sums to 1.
        schedule: $\alpha$.
    """

    def __init__(self, stationary: Float[Tensor, "state"], schedule: Schedule) -> None:
        if not isinstance(schedule, Schedule):
            raise TypeError(
                f"schedule must be one of di4c.schedules, such as CosineSchedule(); got "
                f"{shown(schedule)}"
            )
        self.stationary = as_probabilities("stationary", stationary)
        self.schedule = schedule
        self.num_states = len(self.stationary)
        self.horizon = schedule.horizon

    def prior(self) -> Float[Tensor, "state"]:
        return self.stationary

    def survival(self, s: Time, t: Time) -> Tensor:
        r"""Probability $\alpha_t / \alpha_s$ that a coordinate is not redrawn between s and t.

        In float64; 0 where $\alpha_s$ is 0 and s < t. An exponential schedule is never 0: only the
        time between s and t counts.
        """
        s, t = self._times(s, t)
        if isinstance(self.schedule, ExponentialSchedule):  # alpha itself may underflow
            return self.schedule.alpha(t - s)
        alpha_s, alpha_t = self.schedule.alpha(s), self.schedule.alpha(t)
        ratio = alpha_t / alpha_s.where(alpha_s > 0, torch.inf)
        return torch.where(s == t, 1.0, ratio)

    def redraw_probability(self, s: Time, t: Time) -> Tensor:
        r"""$(\alpha_s - \alpha_t) / \alpha_s$, which is 1 - `survival`, without its rounding error.

        In float64; 1 where $\alpha_s$ is 0 and s < t.
        """
        s, t = self._times(s, t)
        if isinstance(self.schedule, ExponentialSchedule):
            return self.schedule.complement(t - s)
        survival, alpha_s = self.survival(s, t), self.schedule.alpha(s)
        near = self.schedule.drop(s, t) / alpha_s.where(alpha_s > 0, 1.0)
        return torch.where(survival > 0.5, near, 1 - survival)

    def _times(self, s: Time, t: Time) -> tuple[Tensor, Tensor]:
        """The times, checked, in float64 and on one device."""
        check_times(s, t, self.horizon)
        s, t = as_time(s), as_time(t)
        device = s.device if s.ndim else t.device  # a number goes where the tensor is
        return s.to(device), t.to(device)

    def transition(self, s: Time, t: Time) -> Float[Tensor, "*batch source target"]:
        survival = self.survival(s, t)[..., None, None]
        redrawn = self.redraw_probability(s, t)[..., None, None]
        eye = torch.eye(self.num_states, dtype=torch.float64, device=survival.device)
        return survival * eye + redrawn * self.stationary.to(survival)

    def unit_rates(self) -> Float[Tensor, "source target"]:
        eye = torch.eye(self.num_states, dtype=torch.float64)
        return self.stationary.expand(self.num_states, -1) - eye

    def speed(self, t: Time) -> Float[Tensor, "*time"]:
        return -self.schedule.derivative(t) / self.schedule.alpha(t)

    def likelihood(
        self, x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        survival, redraw = (
            align_time(share.to(x_t.device), x_t).expand(x_t.shape)[..., None]
            for share in (self.survival(s, t), self.redraw_probability(s, t))
        )
        redrawn = redraw * self.stationary.to(survival)[x_t][..., None]
        return redrawn.expand(*x_t.shape, self.num_states).scatter_add(-1, x_t[..., None], survival)

    def push(
        self, weights: Float[Tensor, "*batch state"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        survival = align_time(self.survival(s, t).to(weights), weights)
        redraw = align_time(self.redraw_probability(s, t).to(weights), weights)
        redrawn = weights.sum(-1, keepdim=True) * self.stationary.to(weights)
        return survival * weights + redraw * redrawn

    def sample(
        self,
        x_s: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        self.check_states(x_s=x_s)
        survival = align_time(self.survival(s, t).to(x_s.device), x_s)
        draws = uniform(x_s.shape, generator=generator, device=x_s.device)
        return torch.where(draws < survival, x_s, self._redraw(x_s, generator))

    def most_likely(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Int[Tensor, "*batch"]:
        return self.carry_over(super().most_likely(probs, x_t, t), x_t, t)

    def reveal_probability(self, s: Time, t: Time) -> Tensor:
        r"""$(\alpha_s - \alpha_t) / (1 - \alpha_t)$, for s <= t.

        This is the probability that a coordinate which was redrawn before t was not yet redrawn
        at s. It is 0 at s = t. Where $1 - \alpha_t$ is 0 in float64 and s < t, it is 1.
        """
        s, t = self._times(s, t)
        redrawn = self.schedule.complement(t)
        reveal = self.schedule.drop(s, t) / redrawn.where(redrawn > 0, 1.0)
        return torch.where(redrawn > 0, reveal, (s < t).to(reveal))

    def flow(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Law $(1 - r)\, \delta_{x_t} + r\, p_{0|t}$ of a coordinate after a discrete flow step.

        Here r is `reveal_probability`. The discrete flow (Gat et al. 2024, Discrete Flow Matching)
        is another sampler for the same noise: with small steps it follows the same $q_t$ as
        `reverse`. For masked noise both are equal if the denoiser keeps the unmasked coordinates.
        Without masks they differ: the flow remembers $x_t$, `reverse` may forget it. If no data is
        left at the horizon, a step of `reverse` from there does not depend on $x_T$ at all.

        Args:
            probs: $p_{0|t}(\cdot \mid x_t)$ of each coordinate, (..., V) or (..., S).
            x_t: states at time t, (...).
            s: earlier time.
            t: later time.

        Returns:
            (..., S), probabilities over all states, in the dtype of probs.
        """
        self.check_step(probs, x_t)
        wide = self.over_states(probs.to(torch.promote_types(probs.dtype, torch.float32)))
        reveal = align_time(self.reveal_probability(s, t).to(wide), x_t)
        reveal = reveal.expand(x_t.shape)[..., None]
        return (reveal * wide).scatter_add(-1, x_t[..., None], 1 - reveal).to(probs.dtype)

    def _reverse_rates(
        self, weights: Float[Tensor, "*batch state"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Float[Tensor, "*batch state"]:
        law = self.stationary.to(x_t.device)
        t = as_time(t).to(x_t.device)
        alpha = align_time(self.schedule.alpha(t), weights)
        complement = align_time(self.schedule.complement(t), weights)
        slope = align_time(-self.schedule.derivative(t), weights)
        # The rate is -alpha'/alpha times pi(x_t) times alpha w + (1 - alpha) pi sum(w). The factor
        # alpha is divided out: the rates into values that noise never draws, such as all values of
        # a masked process, stay finite at alpha = 0.
        redrawn = law * complement / alpha * weights.sum(-1, keepdim=True)
        rates = slope * law[x_t][..., None] * (weights + torch.where(law > 0, redrawn, 0.0))
        # Noise never jumps to a state x_t with pi(x_t) = 0. At alpha = 0 the product above would
        # be 0 times infinity there.
        return torch.where(law[x_t][..., None] > 0, rates, 0.0)

    def _redraw(
        self, x: Int[Tensor, "*batch"], generator: Generator | None
    ) -> Int[Tensor, "*batch"]:
        r"""Independent draws from $\pi$ in the shape of x."""
        stationary = self.stationary.to(x.device).expand(*x.shape, -1)
        return categorical(stationary, generator=generator)


class UniformProcess(InterpolatingProcess):
    r"""Uniform noise: a coordinate that does not survive is redrawn uniformly.

    With S = 2 and $\alpha_t = e^{-2rt}$ this is the symmetric chain that flips a bit at rate r.

    Args:
        num_states: S.
        schedule: $\alpha$; linear by default.
    """

    def __init__(self, num_states: int, schedule: Schedule | None = None) -> None:
        check_count("num_states", num_states, 2)
        uniform = torch.full((num_states,), 1 / num_states, dtype=torch.float64)
        super().__init__(uniform, schedule or LinearSchedule())

    def _redraw(
        self, x: Int[Tensor, "*batch"], generator: Generator | None
    ) -> Int[Tensor, "*batch"]:
        return (self.num_states * uniform(x.shape, generator=generator, device=x.device)).long()


def absorbing_process(schedule: Schedule) -> InterpolatingProcess:
    r"""The absorbing chain on {0, 1} without a mask: a one falls to zero, $P(1 \to 1) = \alpha$."""
    return InterpolatingProcess(torch.tensor([1.0, 0.0], dtype=torch.float64), schedule)
