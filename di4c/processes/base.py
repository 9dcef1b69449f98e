"""The interface of a forward process, with Bayes' rule and the reverse steps from it."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.processes.state_space import StateSpace
from di4c.processes.times import select_rows
from di4c.rng import Generator, categorical
from di4c.schedules import Time


class ForwardProcess(StateSpace, ABC):
    r"""A Markov process that adds noise to all D coordinates independently and by the same law.

    A process supplies $q_{t|s}$ of one coordinate as a matrix (`transition`). Bayes' rule needs two
    products with this matrix (`likelihood` and `push`). Large state spaces override both, so that
    no S x S matrix is ever built.

    Time runs from 0 (data) to the horizon (noise), with s < t. A time is a float, or a tensor with
    one time for each leading entry of x.

    Attributes:
        horizon: T, the time at which generation starts.
        breaks: times at which the rates jump.
    """

    horizon: float

    @property
    def breaks(self) -> tuple[float, ...]:
        """Times at which the rates jump; none unless a process says so."""
        return ()

    @abstractmethod
    def transition(self, s: Time, t: Time) -> Float[Tensor, "*batch source target"]:
        r"""Transition matrix $q_{t|s}$ of one coordinate.

        Returns:
            (S, S) as [from, to], in float64; rows sum to 1. With one time for each entry of a batch
            the result is (B, S, S).
        """

    @abstractmethod
    def prior(self) -> Float[Tensor, "state"]:
        """Law of one coordinate from which generation starts, (S,)."""

    def unit_rates(self) -> Float[Tensor, "source target"]:
        r"""Rate matrix R of one coordinate at unit speed.

        The chain jumps at time t with the rates $R_t = \mathrm{speed}(t)\, R$.

        Returns:
            (S, S) as [from, to], in float64; rows sum to 0.

        Raises:
            ValueError: If the rates of the process are not known.
        """
        raise self._no_rates()

    def speed(self, t: Time) -> Float[Tensor, "*time"]:
        r"""Factor of `unit_rates` at time t, in float64 and in the shape of t.

        It is infinite or NaN where no data is left at t.

        Raises:
            ValueError: If the rates of the process are not known.
        """
        raise self._no_rates()

    def rates(self, t: Time) -> Float[Tensor, "*time source target"]:
        r"""Rate matrix $R_t = \mathrm{speed}(t)\, R$ of one coordinate at time t.

        Returns:
            (..., S, S) as [from, to], in float64; not finite where no data is left at t.

        Raises:
            ValueError: If the rates of the process are not known.
        """
        return self.speed(t)[..., None, None] * self.unit_rates()

    def likelihood(
        self, x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Probability $q_{t|s}(x_t \mid x_s)$ of the given $x_t$ for every state $x_s$.

        Args:
            x_t: states at time t, (...).
            s: earlier time.
            t: later time.

        Returns:
            (..., S), over the states $x_s$.
        """
        return select_rows(self.transition(s, t).mT, x_t)

    def push(
        self, weights: Float[Tensor, "*batch state"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Forward image $\sum_{x_s} w(x_s)\, q_{t|s}(\cdot \mid x_s)$ of weights.

        Args:
            weights: w, (..., S), over the states at time s; need not sum to 1.
            s: earlier time.
            t: later time.

        Returns:
            (..., S), over the states at time t.
        """
        kernel = self.transition(s, t).to(weights)
        if kernel.ndim == 3:  # one kernel for each leading entry
            if weights.ndim == 2:
                return (weights[:, None] @ kernel).squeeze(1)
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
        r"""Draw $x_t \sim q_{t|s}(\cdot \mid x_s)$; with s = 0 this adds noise to data."""
        self.check_states(x_s=x_s)
        return categorical(select_rows(self.transition(s, t), x_s), generator=generator)

    def posterior(
        self, x_0: Int[Tensor, "*batch"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Law $q_{s|0,t}(\cdot \mid x_0, x_t)$ of each coordinate at a time between 0 and t.

        $$q_{s|0,t}(x_s \mid x_0, x_t) = q_{t|s}(x_t \mid x_s)\, q_{s|0}(x_s \mid x_0) /
        q_{t|0}(x_t \mid x_0).$$

        Where $q_{t|0}(x_t \mid x_0) = 0$ the coordinate is carried over: $x_s = x_t$.

        Args:
            x_0: data, (...).
            x_t: states at time t, (...).
            s: earlier time.
            t: later time.

        Returns:
            (..., S), probabilities over all states.
        """
        self.check_states(x_0=x_0)
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
        r"""Draw $x_s \sim q_{s|0,t}(\cdot \mid x_0, x_t)$, the law that `posterior` returns."""
        return categorical(self.posterior(x_0, x_t, s, t), generator=generator)

    def reverse(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Law $p_{s|t}(\cdot \mid x_t)$ of each coordinate after a reverse step from t to s.

        The denoiser predicts $x_0$, and the step averages the posterior over its prediction:

        $$p_{s|t}(x_s \mid x_t) = q_{t|s}(x_t \mid x_s) \sum_{x_0} \frac{q_{s|0}(x_s \mid x_0)\,
        p_{0|t}(x_0 \mid x_t)}{q_{t|0}(x_t \mid x_0)}.$$

        A value $x_0$ with $q_{t|0}(x_t \mid x_0) = 0$ cannot lead to $x_t$. Its mass under
        $p_{0|t}$ is carried over: it keeps $x_s = x_t$.

        Args:
            probs: $p_{0|t}(\cdot \mid x_t)$ of each coordinate, (..., V) over the values or
                (..., S) over all states.
            x_t: states at time t, (...).
            s: earlier time.
            t: later time.

        Returns:
            (..., S), probabilities over all states, in the dtype of probs.
        """
        self.check_step(probs, x_t)
        dtype = probs.dtype
        # Ratios of small likelihoods overflow in half precision.
        probs = self.over_states(probs.to(torch.promote_types(dtype, torch.float32)))
        weights, possible = self._over_evidence(probs, x_t, t)
        step = self.likelihood(x_t, s, t).to(probs) * self.push(weights, 0.0, s)
        impossible = probs.where(~possible, 0.0).sum(-1, keepdim=True)
        step = step.scatter_add(-1, x_t[..., None], impossible)
        total = step.sum(-1, keepdim=True)
        # If all products underflow, no mass is left; the coordinate is carried over then.
        step = step.scatter_add(-1, x_t[..., None], (total == 0).to(step))
        return (step / total.where(total > 0, 1.0)).to(dtype)

    def reverse_step(
        self,
        probs: Float[Tensor, "*batch value"],
        x_t: Int[Tensor, "*batch"],
        s: Time,
        t: Time,
        *,
        generator: Generator | None = None,
    ) -> Int[Tensor, "*batch"]:
        r"""Draw $x_s$ from the law that `reverse` returns, in two stages.

        First $x_0 \sim p_{0|t}(\cdot \mid x_t)$, then $x_s \sim q_{s|0,t}(\cdot \mid x_0, x_t)$.

        Args:
            probs: $p_{0|t}(\cdot \mid x_t)$ of each coordinate, (..., V); need not be normalised.
            x_t: states at time t, (...).
            s: earlier time.
            t: later time.
            generator: source of randomness.

        Returns:
            States at time s, (...).
        """
        self.check_step(probs, x_t)
        x_0 = categorical(probs, generator=generator)
        if isinstance(s, float) and s == 0:
            return self.carry_over(x_0, x_t, t)
        return self.bridge(x_0, x_t, s, t, generator=generator)

    def carry_over(
        self, x_0: Int[Tensor, "*batch"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Int[Tensor, "*batch"]:
        r"""Return $x_0$, but $x_t$ at each coordinate where $q_{t|0}(x_t \mid x_0) = 0$."""
        evidence = self.likelihood(x_t, 0.0, t).gather(-1, x_0[..., None]).squeeze(-1)
        return torch.where(evidence > 0, x_0, x_t)

    def most_likely(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Int[Tensor, "*batch"]:
        r"""Most likely value of each coordinate of $x_0$ under $p_{0|t}(\cdot \mid x_t)$.

        An InterpolatingProcess carries over. Others do not: their zeros may be rounding.

        Args:
            probs: $p_{0|t}(\cdot \mid x_t)$ of each coordinate, (..., V).
            x_t: states at time t, (...).
            t: the time.
        """
        return probs.argmax(-1)

    def reverse_rates(
        self, probs: Float[Tensor, "*batch value"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Rates of the reverse jumps of each coordinate from $x_t$ to every state k.

        $$\hat R_t(x_t \to k) = R_t(k \to x_t) \sum_{x_0} \frac{q_{t|0}(k \mid x_0)\,
        p_{0|t}(x_0 \mid x_t)}{q_{t|0}(x_t \mid x_0)}$$

        (Campbell et al. 2022, Proposition 3), and 0 at $k = x_t$. A value $x_0$ that cannot lead to
        $x_t$ causes no jump.

        Args:
            probs: $p_{0|t}(\cdot \mid x_t)$ of each coordinate, (..., V) over the values or
                (..., S) over all states.
            x_t: states at time t, (...).
            t: a time, or one for each leading entry of x_t.

        Returns:
            (..., S), rates per unit of time in float64; infinite where no data is left at t.

        Raises:
            ValueError: If the rates of the process are not known.
        """
        self.check_step(probs, x_t)
        weights, _ = self._over_evidence(self.over_states(probs.double()), x_t, t)
        return self._reverse_rates(weights, x_t, t).scatter(-1, x_t[..., None], 0.0)

    def _reverse_rates(
        self, weights: Float[Tensor, "*batch state"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Rates $R_t(k \to x_t) \sum_{x_0} q_{t|0}(k \mid x_0)\, w(x_0)$ over all states k."""
        return select_rows(self.rates(t).mT, x_t) * self.push(weights, 0.0, t)

    def _over_evidence(
        self, probs: Float[Tensor, "*batch state"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> tuple[Float[Tensor, "*batch state"], Tensor]:
        r"""$p_{0|t}(x_0) / q_{t|0}(x_t \mid x_0)$, 0 where the evidence is 0; where it is not 0.

        Evidence so small that the quotient would overflow counts as 0.
        """
        evidence = self.likelihood(x_t, 0.0, t).to(probs)
        possible = evidence >= torch.finfo(probs.dtype).tiny
        return probs / evidence.where(possible, torch.inf), possible

    def _no_rates(self) -> ValueError:
        return ValueError(
            f"process must have known jump rates, as an InterpolatingProcess or a "
            f"RateMatrixProcess has; got {type(self).__name__}: use ancestral sampling"
        )
