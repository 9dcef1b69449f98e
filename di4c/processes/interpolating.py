"""Processes that keep a coordinate or redraw it: uniform, absorbing and masked noise."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.probabilities import as_probabilities
from di4c.processes.base import ForwardProcess, align_time, check_times
from di4c.rng import Generator, categorical, uniform
from di4c.schedules import LinearSchedule, Schedule, Time, as_time


class InterpolatingProcess(ForwardProcess):
    r"""$q_{t|s} = a\, I + (1 - a)\, \mathbf{1}\pi^\top$ with $a = \alpha_t / \alpha_s$.

    A coordinate survives with probability a and is otherwise redrawn from the law $\pi$. Costs
    O(S) per coordinate everywhere but in `transition`.

    Args:
        stationary: $\pi$, (S,), sums to 1.
        schedule: $\alpha$.
    """

    def __init__(self, stationary: Float[Tensor, "state"], schedule: Schedule) -> None:
        self.stationary = as_probabilities("stationary", stationary)
        self.schedule = schedule
        self.num_states = len(self.stationary)
        self.horizon = schedule.horizon

    def prior(self) -> Float[Tensor, "state"]:
        r"""See ForwardProcess.prior: $\pi$."""
        return self.stationary

    def survival(self, s: Time, t: Time) -> Tensor:
        r"""$\alpha_t / \alpha_s$, float64; 0 where $\alpha_s$ itself is 0 and s < t."""
        check_times(s, t, self.horizon)
        s, t = as_time(s), as_time(t)
        device = s.device if s.ndim else t.device  # a float lives wherever the tensor does
        s, t = s.to(device), t.to(device)
        alpha_s, alpha_t = self.schedule.alpha(s), self.schedule.alpha(t)
        ratio = torch.where(alpha_s > 0, alpha_t / alpha_s.where(alpha_s > 0, 1.0), 0.0)
        return torch.where(s == t, 1.0, ratio)

    def transition(self, s: Time, t: Time) -> Float[Tensor, "*batch source target"]:
        """See ForwardProcess.transition."""
        survival = self.survival(s, t)[..., None, None]
        eye = torch.eye(self.num_states, dtype=torch.float64, device=survival.device)
        return survival * eye + (1 - survival) * self.stationary.to(survival)

    def likelihood(
        self, x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        """See ForwardProcess.likelihood."""
        survival = align_time(self.survival(s, t).to(x_t.device), x_t).expand(x_t.shape)[..., None]
        redrawn = (1 - survival) * self.stationary.to(survival)[x_t][..., None]
        return redrawn.expand(*x_t.shape, self.num_states).scatter_add(-1, x_t[..., None], survival)

    def push(
        self, weights: Float[Tensor, "*batch state"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        """See ForwardProcess.push."""
        survival = align_time(self.survival(s, t).to(weights), weights)
        redrawn = weights.sum(-1, keepdim=True) * self.stationary.to(weights)
        return survival * weights + (1 - survival) * redrawn

    def sample(
        self,
        x_s: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        """See ForwardProcess.sample."""
        survival = align_time(self.survival(s, t).to(x_s.device), x_s)
        draws = uniform(x_s.shape, generator=generator, device=x_s.device)
        return torch.where(draws < survival, x_s, self._redraw(x_s, generator))

    def reveal_probability(self, s: Time, t: Time) -> Tensor:
        r"""$(\alpha_s - \alpha_t) / (1 - \alpha_t)$: that what is noise at t is data at s < t."""
        alpha_s, alpha_t = self.survival(0.0, s), self.survival(0.0, t)
        return (alpha_s - alpha_t) / (1 - alpha_t)

    def flow(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""A step of the discrete flow, per coordinate: $(1 - r)\, \delta_{x_t} + r\, p_{0|t}$.

        r is `reveal_probability`. In small steps it follows the same $q_t$ as `reverse`, and with
        masks it is `reverse` if the denoiser keeps what it sees. Without masks it remembers $x_t$
        where `reverse` forgets it: from a horizon that nothing survives, a step of `reverse` does
        not depend on $x_T$ at all (Gat et al. 2024, Discrete Flow Matching).

        Arguments and result are those of `reverse`.
        """
        wide = self.over_states(probs.to(torch.promote_types(probs.dtype, torch.float32)))
        reveal = align_time(self.reveal_probability(s, t).to(wide), x_t)
        reveal = reveal.expand(x_t.shape)[..., None]
        return (reveal * wide).scatter_add(-1, x_t[..., None], 1 - reveal).to(probs.dtype)

    def _redraw(
        self, x: Int[Tensor, "*batch"], generator: Generator | None
    ) -> Int[Tensor, "*batch"]:
        stationary = self.stationary.to(x.device).expand(*x.shape, -1)
        return categorical(stationary, generator=generator)


class UniformProcess(InterpolatingProcess):
    r"""Uniform noise: a coordinate that does not survive is redrawn uniformly.

    At S = 2 and $\alpha_t = e^{-2rt}$ this is the symmetric chain that flips at rate r.

    Args:
        num_states: S.
        schedule: $\alpha$; linear by default.
    """

    def __init__(self, num_states: int, schedule: Schedule | None = None) -> None:
        _check_count("num_states", num_states)
        uniform = torch.full((num_states,), 1 / num_states, dtype=torch.float64)
        super().__init__(uniform, schedule or LinearSchedule())

    def _redraw(
        self, x: Int[Tensor, "*batch"], generator: Generator | None
    ) -> Int[Tensor, "*batch"]:
        return (self.num_states * uniform(x.shape, generator=generator, device=x.device)).long()


class MaskedProcess(InterpolatingProcess):
    r"""Absorbing noise into a mask: unmasked coordinates stay as they are in reverse.

    The mask is one more state, the last: `mask_state = num_values`, `num_states = num_values + 1`.

    Args:
        num_values: number of values that data can take, the mask not counted.
        schedule: $\alpha$, the share of unmasked coordinates; linear by default.
    """

    def __init__(self, num_values: int, schedule: Schedule | None = None) -> None:
        _check_count("num_values", num_values)
        point_mass = torch.zeros(num_values + 1, dtype=torch.float64)
        point_mass[-1] = 1
        super().__init__(point_mass, schedule or LinearSchedule())
        self.mask_state = num_values

    def bridge(
        self,
        x_0: Int[Tensor, "*batch"],
        x_t: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        """See ForwardProcess.bridge: a mask is revealed as x_0 or stays."""
        reveal = align_time(self.reveal_probability(s, t).to(x_t.device), x_t)
        draws = uniform(x_t.shape, generator=generator, device=x_t.device)
        return torch.where((x_t == self.mask_state) & (draws < reveal), x_0, x_t)

    def _redraw(
        self, x: Int[Tensor, "*batch"], generator: Generator | None
    ) -> Int[Tensor, "*batch"]:
        return torch.full_like(x, self.num_values)


def absorbing_process(schedule: Schedule) -> InterpolatingProcess:
    r"""The literal absorbing chain on {0, 1}: ones fall to zero, $P(1 \to 1) = \alpha$ (E3)."""
    return InterpolatingProcess(torch.tensor([1.0, 0.0], dtype=torch.float64), schedule)


def _check_count(name: str, value: int) -> None:
    if value < 2:
        raise ValueError(f"{name} must be at least 2; got {value}")
