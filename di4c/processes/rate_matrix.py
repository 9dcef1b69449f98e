"""Continuous-time chains with any rate matrix: the discretised Gaussian of tauLDR, two states."""

import math
from collections.abc import Callable

import scipy.linalg
import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_number
from di4c.probabilities import as_probabilities
from di4c.processes.base import ForwardProcess
from di4c.processes.stiff import is_stationary, kernel_by_squaring, law_by_elimination
from di4c.processes.times import align_time, check_times, select_rows
from di4c.schedules import Time, as_time

_ROUNDING = 1e-15  # absolute error of a matrix exponential in float64
_STIFF = 4096.0  # the error of a matrix exponential is about _ROUNDING for each expected jump


def _identity(t: Tensor) -> Tensor:
    return t


class RateMatrixProcess(ForwardProcess):
    r"""$q_{t|s} = \exp\big((B(t) - B(s))\, R\big)$ with $B(t) = \int_0^t \beta$.

    If R is reversible with respect to a positive `stationary` law, it is diagonalised once as a
    symmetric matrix. Any other R goes through the matrix exponential at every call, or through
    repeated squaring where thousands of jumps are expected before the horizon.

    `floor` and `epsilon` reproduce published samplers that regularise their kernels in this way.
    With both at 0 the process is exact, but a transition probability below 1e-15 counts as 0.

    Args:
        rate_matrix: R, (S, S) as [from, to]; off-diagonal rates >= 0, rows sum to 0.
        horizon: T.
        stationary: law from which generation starts, (S,); by default the law $\pi$ with
            $\pi R = 0$.
        integrated_rate: B, increasing, with B(0) = 0; the identity by default.
        floor: transition probabilities below this number are set to 0.
        epsilon: number added to every transition probability inside Bayes' rule.

    Raises:
        ValueError: If R is not a rate matrix, the horizon or the stationary law does not fit, B is
            not finite at the horizon, or floor or epsilon lies outside of [0, 1).
    """

    def __init__(
        self,
        rate_matrix: Float[Tensor, "source target"],
        horizon: float = 1.0,
        *,
        stationary: Float[Tensor, "state"] | None = None,
        integrated_rate: Callable[[Tensor], Tensor] = _identity,
        floor: float = 0.0,
        epsilon: float = 0.0,
    ) -> None:
        rates = _checked_rates(torch.as_tensor(rate_matrix, dtype=torch.float64))
        check_number("horizon", horizon, "(0, inf)")
        check_number("floor", floor, "[0, 1)")
        check_number("epsilon", epsilon, "[0, 1)")
        self.rate_matrix = rates
        self.horizon = horizon
        self.num_states = len(rates)
        self.integrated_rate = integrated_rate
        self.floor = floor
        self.epsilon = epsilon
        self._longest = float(integrated_rate(as_time(horizon)) - integrated_rate(as_time(0.0)))
        if not 0 <= self._longest < math.inf:
            raise ValueError(
                f"integrated_rate must be finite and increase up to the horizon = {horizon}; it "
                f"grows by {self._longest}: take an earlier horizon or a slower rate"
            )
        law = _stationary_law(rates) if stationary is None else stationary
        self.stationary = as_probabilities("stationary", law)
        if self.stationary.shape != rates.shape[:1]:
            raise ValueError(
                f"stationary must hold one probability for each of the {len(rates)} states; got "
                f"shape {tuple(self.stationary.shape)}"
            )
        self._stiff = float(rates.abs().max()) * self._longest > _STIFF
        self._eigen = _eigen_decomposition(rates, self.stationary, self._stiff)

    def prior(self) -> Float[Tensor, "state"]:
        return self.stationary

    def transition(self, s: Time, t: Time) -> Float[Tensor, "*batch source target"]:
        check_times(s, t, self.horizon)
        elapsed = self.integrated_rate(as_time(t)) - self.integrated_rate(as_time(s))
        if self._eigen is not None:
            left, values, right = (part.to(elapsed) for part in self._eigen)
            kernel = (left * torch.exp(elapsed[..., None, None] * values)) @ right
        elif self._stiff:
            kernel = kernel_by_squaring(self.rate_matrix, elapsed, self._longest)
        else:
            # scipy is used because torch's matrix_exp has errors of about 1e-12.
            exponents = (elapsed.cpu()[..., None, None] * self.rate_matrix).numpy()
            kernel = torch.from_numpy(scipy.linalg.expm(exponents)).to(elapsed)
        # An entry below _ROUNDING is noise and may be negative; Bayes' rule would divide by it.
        return torch.where(kernel < max(self.floor, _ROUNDING), 0.0, kernel)

    def unit_rates(self) -> Float[Tensor, "source target"]:
        if self.floor > 0:
            raise ValueError(
                f"process must have floor = 0, otherwise it is no Markov process; got floor = "
                f"{self.floor}"
            )
        return self.rate_matrix

    def speed(self, t: Time) -> Float[Tensor, "*time"]:
        r"""$\beta(t) = B'(t)$, by automatic differentiation of B."""
        with torch.inference_mode(False), torch.enable_grad():
            t = as_time(t).detach().clone().requires_grad_()
            return torch.autograd.grad(self.integrated_rate(t).sum(), t)[0]

    def likelihood(
        self, x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        return select_rows(self.transition(s, t).mT + self.epsilon, x_t)

    def push(
        self, weights: Float[Tensor, "*batch state"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        return super().push(weights, s, t) + self.epsilon * weights.sum(-1, keepdim=True)

    def posterior(
        self, x_0: Int[Tensor, "*batch"], x_t: Int[Tensor, "*batch"], s: Time, t: Time
    ) -> Float[Tensor, "*batch state"]:
        r"""Law $q_{s|0,t}(\cdot \mid x_0, x_t)$ from one row of each kernel.

        This avoids the S x S matrix product that `reverse` needs for a general law of $x_0$. Like
        the published sampler it adds epsilon once more to the result.
        """
        self.check_states(x_0=x_0, x_t=x_t)
        prior = select_rows(self.transition(0.0, s), x_0) + self.epsilon
        probs = self.likelihood(x_t, s, t) * prior
        total = probs.sum(-1, keepdim=True)
        if self.epsilon:  # regularised kernels no longer compose, so the sum is not the evidence
            total = self.likelihood(x_t, 0.0, t).gather(-1, x_0[..., None])
        probs = probs / total.where(total > 0, 1.0)
        probs = probs.scatter_add(-1, x_t[..., None], (total == 0).to(probs)) + self.epsilon
        return probs / probs.sum(-1, keepdim=True)

    def _reverse_rates(
        self, weights: Float[Tensor, "*batch state"], x_t: Int[Tensor, "*batch"], t: Time
    ) -> Float[Tensor, "*batch state"]:
        into = self.rate_matrix.to(x_t.device).T[x_t]
        # As published, without the epsilon that `push` of this class adds.
        rates = into * super().push(weights, 0.0, t)
        return align_time(self.speed(t).to(rates), rates) * rates


def _checked_rates(rates: Tensor) -> Tensor:
    """The rates, checked, with a diagonal that is minus the sum of the others to the last digit."""
    if rates.ndim != 2 or rates.shape[0] != rates.shape[1] or len(rates) < 2:
        raise ValueError(f"rate_matrix must be square, at least 2 x 2; got {tuple(rates.shape)}")
    off_diagonal = rates - rates.diagonal().diag()
    if not bool(torch.isfinite(rates).all()) or bool((off_diagonal < 0).any()):
        worst = float(off_diagonal.min())
        raise ValueError(f"rate_matrix must have finite rates >= 0; its smallest is {worst}")
    error = float(rates.sum(1).abs().max())
    if error > 1e-9 * max(1.0, float(rates.abs().max())):
        raise ValueError(
            f"rows of rate_matrix must sum to 0; the worst is off by {error} "
            "(set the diagonal to minus the sum of the other rates)"
        )
    return off_diagonal - off_diagonal.sum(1).diag()


def _stationary_law(rates: Tensor) -> Tensor:
    r"""Solve $\pi R = 0$, $\sum\pi = 1$ by elimination; by least squares if there are several laws.

    Least squares lose the digits of a law whose rates are far from each other.

    Raises:
        ValueError: If neither finds a law in double precision.
    """
    law = law_by_elimination(rates)
    if not is_stationary(law, rates):
        system = torch.cat([rates.T, torch.ones(1, len(rates), dtype=torch.float64)])
        target = torch.zeros(len(rates) + 1, dtype=torch.float64)
        target[-1] = 1
        law = torch.linalg.lstsq(system, target[:, None]).solution[:, 0].clamp_min(0)
        law = law / law.sum()
    if not is_stationary(law, rates):
        raise ValueError(
            "stationary must be given for this rate_matrix: its stationary law is not unique, or "
            "double precision cannot hold it"
        )
    return law


def _eigen_decomposition(
    rates: Tensor, law: Tensor, stiff: bool
) -> tuple[Tensor, Tensor, Tensor] | None:
    r"""Factors of $R = U \Lambda V$ from the symmetric matrix $\Pi^{1/2} R\, \Pi^{-1/2}$.

    The matrix is symmetric if and only if R satisfies detailed balance with `law`.

    Returns:
        U, the diagonal of Lambda, and V. None if detailed balance fails, or if the law is so peaked
        that the factors $\Pi^{\pm 1/2}$ would cost more than three digits. Also None if the chain
        is stiff and its slowest rate is lost in the rounding of its largest.
    """
    if float(law.min()) < 1e-6 * float(law.max()):
        return None
    root = law.sqrt()
    symmetric = root[:, None] * rates / root
    if float((symmetric - symmetric.T).abs().max()) > 1e-14 * float(rates.abs().max()):
        return None
    values, vectors = torch.linalg.eigh((symmetric + symmetric.T) / 2)
    if stiff and not float(rates.abs().max()) <= -_STIFF * float(values[-2]):
        return None
    values = values.clamp_max(0.0)
    values[-1] = 0.0  # without rounding, which a long time would multiply
    return vectors / root[:, None], values, vectors.T * root


def two_state_process(rate_up: float, rate_down: float, horizon: float = 1.0) -> RateMatrixProcess:
    """The chain on {0, 1} that jumps 0 -> 1 at `rate_up` and 1 -> 0 at `rate_down`."""
    check_number("rate_up", rate_up)
    check_number("rate_down", rate_down)
    check_number("rate_up + rate_down", rate_up + rate_down, "(0, inf)")
    rates = torch.tensor([[-rate_up, rate_up], [rate_down, -rate_down]], dtype=torch.float64)
    law = torch.tensor([rate_down, rate_up], dtype=torch.float64) / (rate_up + rate_down)
    return RateMatrixProcess(rates, horizon, stationary=law)


def gaussian_process(
    num_states: int = 256,
    *,
    rate_sigma: float = 6.0,
    stationary_sigma: float = 512.0,
    time_base: float = 3.0,
    time_exponential: float = 100.0,
    horizon: float = 1.0,
    floor: float = 0.0,
    epsilon: float = 0.0,
) -> RateMatrixProcess:
    r"""The discretised Gaussian process of tauLDR (Campbell et al. 2022).

    The default values are those of CIFAR-10. A jump of k states towards the centre has the rate
    $e^{-(k-1)^2/\sigma_r^2}$. The rates of the opposite jumps follow from detailed balance with
    the stationary law $\pi(x) \propto e^{-(x + 1 - \lfloor S/2 \rfloor)^2 / 2\sigma^2}$. The
    integrated rate is $B(t) = b\,(e_b^{\,t} - 1)$.

    Args:
        num_states: S.
        rate_sigma: $\sigma_r$, in states.
        stationary_sigma: $\sigma$, in states.
        time_base: b, the factor of the integrated rate.
        time_exponential: $e_b$, the base of its exponential growth.
        horizon: T.
        floor: see RateMatrixProcess; the published sampler uses 1e-8.
        epsilon: see RateMatrixProcess; the published sampler uses 1e-9.

    Raises:
        ValueError: If there are fewer than two states, or a number is out of range.
    """
    check_count("num_states", num_states, 2)
    for name, value, least in (
        ("rate_sigma", rate_sigma, 1e-150),
        ("stationary_sigma", stationary_sigma, 1e-150),
        ("time_base", time_base, 0),
        ("time_exponential", time_exponential, 1),
    ):
        check_number(name, value, f"({least}, 1e150)")  # beyond it a square overflows
    index = torch.arange(num_states, dtype=torch.float64)
    half = num_states // 2
    log_law = -((index + 1 - half) ** 2) / (2 * stationary_sigma**2)
    law = torch.softmax(log_law, 0)
    if float(law.min()) < torch.finfo(law.dtype).tiny:
        raise ValueError(
            f"stationary_sigma must be larger for {num_states} states, or the smallest stationary "
            f"probability underflows; got {stationary_sigma}"
        )
    source, target = index[:, None], index[None, :]
    inwards = ((source < half) & (source < target) & (target < num_states - source)) | (
        (source > half) & (num_states - 1 - source < target) & (target < source)
    )
    rates = torch.exp(-(((target - source).abs() - 1) ** 2) / rate_sigma**2) * inwards
    outwards = rates.T * torch.exp(log_law[None, :] - log_law[:, None])
    rates = torch.where(inwards, rates, outwards)
    rates = rates - rates.sum(1).diag()
    return RateMatrixProcess(
        rates,
        horizon,
        stationary=law,
        integrated_rate=lambda t: time_base * (time_exponential**t - 1),
        floor=floor,
        epsilon=epsilon,
    )
