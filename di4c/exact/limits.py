r"""First-order limit of few-step product sampling: N TV_N as N grows, for any S and D.

Take the uniform grid with step $\varepsilon = T/N$. At every step the marginal-matching product
sampler makes the error $\varepsilon^2 G_t$ (Lemma 1, averaged over $x_t$). The remaining steps
carry this error to time 0 by the true kernel. The constant of the sum is beyond the Di4C paper:

$$N (\mathrm{out}_N - q_0) \to T V, \qquad V = \int_0^T K_{0|t}[G_t]\, dt, \qquad
N\, d_{TV}(\mathrm{out}_N, q_0) \to \tfrac{T}{2} \|V\|_1.$$
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import quad_vec
from torch import Tensor

from di4c.checks import check_number
from di4c.exact.defect import along, one_step_defect
from di4c.exact.forward import push_forward, transform
from di4c.exact.laws import as_law, for_each, marginals, require_memory
from di4c.processes import InterpolatingProcess
from di4c.processes.composed import Noise
from di4c.schedules import Schedule

# Beside a zero of the law the integrand has rounding errors, and more intervals do not help.
_MAX_INTERVALS = 100


def limit_n_tv(process: Noise, q_0: Tensor, stop: float = 0.0) -> float:
    r"""$\lim_N N\, d_{TV}(\mathrm{out}_N, q_{\mathrm{stop}})$ on the uniform grid, from $q_T$.

    Args:
        process: see `limit_direction`.
        q_0: see `limit_direction`.
        stop: see `limit_direction`.

    Raises:
        ValueError: As `limit_direction`.
    """
    size = float(limit_direction(process, q_0, stop).abs().sum())
    return (process.horizon - stop) / 2 * size


def limit_direction(
    process: Noise, q_0: Tensor, stop: float = 0.0, tolerance: float = 1e-8
) -> Float[Tensor, "atom"]:
    r"""Signed measure V with $N (\mathrm{out}_N - q_{\mathrm{stop}}) \to (T - \mathrm{stop}) V$.

    For masked noise V is a sum over pairs of coordinates. With m = |A| and
    $c_m = \int_0^T \alpha^m (1-\alpha)^{D-2-m} \alpha'^2 dt$,

    $$V = -\sum_{i<j} \sum_{A \not\ni i,j} c_m\, p(A) [p(ij|A) - p(i|A) p(j|A)]\,
    p(\cdot|A,i,j).$$

    If (A, i, j) is impossible, $p(\cdot|A,i,j)$ is a product of marginals, the convention of
    `posterior_marginals`. For other noise V is the quadrature of $K_{0|t}[G_t]$ over t, which costs
    $O(D^2 S^2 S^D)$ at each node.

    Args:
        process: forward process with known rates, or one for each coordinate.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        stop: time at which generation stops. It must be 0 for masked noise.
        tolerance: target of the quadrature error in the Euclidean norm, relative to V.

    Returns:
        (num_values^D,), float64, sums to 0.

    Raises:
        ValueError: If the limit is not of this form. $G_t$ must be integrable at the stop. One of
            three conditions is enough: q_stop has full support; the noise enters no zero of q_stop
            from the support along two different coordinates; the rate is 0 at the stop, as on the
            cosine schedule. The rate must also be finite at the stop. At T it may be infinite, as
            on the linear schedule, because $q_T$ is a product then and $\beta^2 G_t$ is bounded.
    """
    law, num_dims = as_law(q_0, process.num_values)
    check_number("stop", stop, f"[0, {process.horizon})", "stop before the horizon")
    check_number("tolerance", tolerance, "(0, inf)")
    if process.mask_state is not None:
        if stop > 0:
            raise ValueError(
                f"stop must be 0 for masked noise; got {stop} (it needs no early stopping)"
            )
        return _masked_direction(process, law, num_dims, tolerance)
    first_rates = for_each(process.rates(stop), num_dims)
    if bool(first_rates.isinf().any()):
        raise ValueError(
            f"the process must have a finite rate at stop = {stop}; it is infinite and N TV grows "
            "like log N: choose another schedule or a later stop"
        )
    _check_rates(first_rates, stop)
    law = push_forward(law, process.transition(0.0, stop)) if stop > 0 else law
    after = stop + 1e-3 * (process.horizon - stop)
    _check_support(law, first_rates, for_each(process.rates(after), num_dims))

    def integrand(t: float) -> Tensor:
        kernel, rates = process.transition(stop, t), process.rates(t)
        _check_rates(rates, t)
        law_t = push_forward(law, kernel)
        defect = one_step_defect(law_t, rates)
        return law * push_forward(defect / law_t, kernel.mT.contiguous())  # K_{0|t}, Bayes' rule

    fastest = float(first_rates.abs().max())
    return _integrate(integrand, stop, process.horizon, tolerance, fastest, process.breaks)


def _check_rates(rates: Tensor, t: float) -> None:
    """Raise ValueError if no data is left at t, where the rates of the noise are not finite."""
    if not bool(rates.isfinite().all()):
        raise ValueError(
            f"schedule must leave some data at every time before the horizon; at t = {t} its alpha "
            "is 0 in float64: take a smaller rate or a shorter horizon"
        )


def _check_support(law: Tensor, first_rates: Tensor, rates: Tensor) -> None:
    r"""Raise ValueError unless $R_{d,t} R_{e,t}\, q_t(x^u)\, q_t(x^v) / q_t(x)$ is integrable at 0.

    Let m(x) be the least number of jumps from the support to x. Then $q_t(x)$ vanishes like
    $B^{m(x)}$ with $B = \int_0^t \beta$, and $m(x) \le m(x^u) + 1$. The exponent
    $m(x^u) + m(x^v) - m(x)$ is negative only if m(x) = 1 and both neighbours are in the support.
    Such a zero is harmless if the noise of one of the two coordinates starts slowly, with rate 0,
    because $\beta^2 / B$ is bounded for smooth B.

    Args:
        law: q_0, (S^D,).
        first_rates: rates at time 0, (D, S, S).
        rates: rates just after it, (D, S, S), which tell the states that noise reaches.
    """
    if float(law.min()) > 0:
        return
    support, num_states = (law > 0).double(), rates.shape[-1]
    steps = (rates > 0).double() + torch.eye(num_states, dtype=torch.float64)
    reached = push_forward(support, (torch.matrix_power(steps, num_states) > 0).double()) > 0
    if not bool(reached.all()):
        raise ValueError(
            f"q_0 must let the noise reach every state; {int((~reached).sum())} of {len(law)} stay "
            "at probability 0: drop the values that never occur, or use masked noise"
        )
    sides = torch.zeros_like(law)
    for d, jumps in enumerate((first_rates > 0).double()):  # the diagonal of rates is negative
        sides += along(support, jumps, d) > 0
    harmful = (law == 0) & (sides > 1)
    if bool(harmful.any()):
        raise ValueError(
            "q_0 must have full support, or at least no zero that noise enters along two "
            f"coordinates; {int(harmful.sum())} of its {len(law)} entries are such, and N TV grows "
            "like log N unless they balance: stop early (stop > 0), use a schedule with rate 0 at "
            "t = 0 (cosine), or use masked noise"
        )


def _integrate(
    integrand: Callable[[float], Tensor],
    first: float,
    last: float,
    tolerance: float,
    fastest: float,
    breaks: Sequence[float] = (),
) -> Tensor:
    r"""Adaptive Gauss-Kronrod quadrature of a vector that may jump at the breaks.

    The integrand varies fastest near the first time, and long after it hardly. So the variable is
    s in [0, 1], $t = \text{first} + \tau (e^{L s^2} - 1)$. Here $\tau$ is the time of one jump
    there, or the length of the interval if that is shorter.

    Raises:
        ValueError: If the quadrature does not converge, or an integrand overflows.
    """
    length = last - first
    unit = min(length, 1 / fastest) if fastest > 0 else length
    scale, log_unit = math.log1p(length / unit), math.log(unit)

    def time(s: float) -> float:
        return min(first + unit * math.expm1(scale * s * s), last)

    def transformed(s: float) -> np.ndarray:
        slope = 2 * scale * s * math.exp(log_unit + scale * s * s)
        return (slope * integrand(time(s))).numpy()

    value, error, info = quad_vec(
        transformed,
        0.0,
        1.0,
        epsabs=1e-14,
        epsrel=tolerance,
        quadrature="gk15",
        limit=_MAX_INTERVALS,
        points=[
            math.sqrt(math.log1p((t - first) / unit) / scale) for t in breaks if first < t < last
        ],
        full_output=True,
    )
    if not info.success and error > 100 * tolerance * max(1.0, float(np.linalg.norm(value))):
        raise ValueError(
            f"the integral over [{first}, {last}] did not converge: error {error:.2g} after "
            f"{info.neval} evaluations; raise the tolerance, or stop later than time 0"
        )
    if not np.isfinite(value).all():
        raise ValueError(
            f"the integral over [{first}, {last}] overflows; take times and rates nearer to 1"
        )
    return torch.from_numpy(value)


def _masked_direction(process: Noise, law: Tensor, num_dims: int, tolerance: float) -> Tensor:
    r"""V for masked noise.

    The computation is on the cube M(z) = p(unmasked part of z) with z in $(S+1)^D$. Unmasking a
    pair at once makes the error
    $g(z) = \sum_{i<j} [M(z_{\setminus i}) M(z_{\setminus j}) / M(z_{\setminus ij}) - M(z)]$ at
    the resulting state z = (A, i, j).
    """
    if not isinstance(process, InterpolatingProcess):
        raise ValueError(
            f"process must be a MaskedProcess if it has a mask; got {type(process).__name__}"
        )
    size = process.num_values
    require_memory(40 * (size + 1) ** num_dims, f"the marginals of {size}^{num_dims} states")
    eye, ones = torch.eye(size, dtype=torch.float64), torch.ones(size, 1, dtype=torch.float64)
    marginalise = torch.cat([eye, ones], 1)
    mass = push_forward(law, marginalise)
    defect = torch.zeros_like(mass)
    count = torch.zeros(len(mass), dtype=torch.uint8)  # unmasked coordinates
    for d in range(num_dims):
        count.view((size + 1) ** d, size + 1, -1)[:, :size] += 1
    for d, e in itertools.combinations(range(num_dims), 2):
        split = ((size + 1) ** d, size + 1, (size + 1) ** (e - d - 1), size + 1, -1)
        cube = mass.view(split)
        neither = cube[:, size:, :, size:]
        independent = cube[:, :size, :, size:] * cube[:, size:, :, :size]
        independent /= neither.where(neither > 0, 1.0)
        defect.view(split)[:, :size, :, :size] += independent - cube[:, :size, :, :size]
    defect *= _pair_weights(process.schedule, num_dims, tolerance)[count.int()]
    possible = mass > 0
    ratio = defect / mass.where(possible, torch.inf)
    direction = law * push_forward(ratio, marginalise.T.contiguous())
    lost = torch.where(possible, 0.0, defect)
    if bool(lost.any()):  # from an impossible state the rest is drawn from its own marginals
        for d, row in enumerate(marginals(law, num_dims, size)):
            complete = torch.cat([eye, row[None]])
            lost = transform(lost, complete[None], size**d, (size + 1) ** (num_dims - d - 1))
        direction += lost.flatten()
    return direction


def _pair_weights(schedule: Schedule, num_dims: int, tolerance: float) -> Tensor:
    r"""$c_m = \int_0^T \alpha^m (1 - \alpha)^{D-2-m} \alpha'^2 dt$.

    Returns:
        (D + 1,), with $c_m$ at entry m + 2 and 0 at the first two entries.
    """
    ends = torch.tensor([0.0, schedule.horizon], dtype=torch.float64)
    if not bool(torch.isfinite(schedule.derivative(ends)).all()):
        raise ValueError(
            f"the schedule must have a finite derivative; {type(schedule).__name__} has none, "
            "and N TV grows like log N: choose another schedule"
        )
    power = torch.arange(num_dims - 1, dtype=torch.float64)

    def integrand(t: float) -> Tensor:
        alpha, hidden = schedule.alpha(t), schedule.complement(t)
        return alpha**power * hidden ** power.flip(0) * schedule.derivative(t) ** 2

    fastest = -float(schedule.derivative(0.0))
    weights = _integrate(integrand, 0.0, schedule.horizon, tolerance, fastest)
    return torch.cat([torch.zeros(2, dtype=torch.float64), weights])
