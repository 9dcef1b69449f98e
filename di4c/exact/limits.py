r"""First-order asymptotics of few-step product sampling: the limit of N TV_N for any S and D.

On the uniform grid with step $\varepsilon = T/N$ the marginal-matching product sampler makes, at
every step, the error $\varepsilon^2 G_t$ (Lemma 1 in the mean), which the rest of the sampling
carries to time 0 by the true kernel. Summed over the N steps,

$$N (\mathrm{out}_N - q_0) \to T V, \qquad V = \int_0^T K_{0|t}[G_t]\, dt, \qquad
N\, d_{TV}(\mathrm{out}_N, q_0) \to \tfrac{T}{2} \|V\|_1.$$

This goes beyond Theorem 1 of the Di4C paper, which bounds the rate: it is the constant.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import quad_vec
from torch import Tensor

from di4c.exact.forward import _transform, push_forward
from di4c.exact.laws import as_law, infer_num_dims, marginals, require_memory
from di4c.processes import ForwardProcess, InterpolatingProcess, RateMatrixProcess
from di4c.processes.reverse_rates import intensity
from di4c.schedules import Schedule


def limit_n_tv(process: ForwardProcess, q_0: Tensor, stop: float = 0.0) -> float:
    r"""$\lim_N N\, d_{TV}(\mathrm{out}_N, q_{\mathrm{stop}})$ on the uniform grid, start $q_T$.

    Args: see `limit_direction`.
    """
    direction = limit_direction(process, q_0, stop)
    return (process.horizon - stop) / 2 * float(direction.abs().sum())


def limit_direction(
    process: ForwardProcess, q_0: Tensor, stop: float = 0.0, tolerance: float = 1e-8
) -> Float[Tensor, "atom"]:
    r"""V with $N (\mathrm{out}_N - q_{\mathrm{stop}}) \to (T - \mathrm{stop})\, V$.

    Masked noise, any $q_0$, with m = |A| and
    $c_m = \int_0^T \alpha^m (1-\alpha)^{D-2-m} \alpha'^2 dt$:
    $V = -\sum_{i<j} \sum_{A \not\ni i,j} c_m\, p(A) [p(ij|A) - p(i|A) p(j|A)]\, p(\cdot|A,i,j)$,
    where $p(\cdot|A,i,j)$ is a product of marginals if (A, i, j) is impossible (the convention of
    `posterior_marginals`). Other noise: quadrature of $K_{0|t}[G_t]$ over t, at
    $O(D^2 S^2 S^D)$ a node.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,) or (num_values,)*D.
        stop: time at which generation stops: 0, or early stopping (noise without a mask only).
        tolerance: target of the quadrature error in the Euclidean norm, relative to V.

    Returns:
        (num_values^D,), float64, sums to 0.

    Raises:
        ValueError: where the limit is not of this form: $G_t$ must be integrable at the stop. It is
            if q_stop has full support, if no zero of it is entered from its support by jumps along
            two different coordinates, or if the noise starts slowly (rate 0 at the stop, as on the
            cosine schedule). The rate must be finite at the stop; at T it may be infinite, as on
            the linear schedule, where $\beta^2 G_t$ stays bounded because $q_T$ is a product.
    """
    law, num_dims = as_law(q_0, process.num_values)
    if not 0 <= stop < process.horizon:
        raise ValueError(f"stop must lie in [0, horizon = {process.horizon}); got {stop}")
    if process.mask_state is not None:
        if stop > 0:
            raise ValueError(
                f"stop must be 0 for masked noise; got {stop} (it needs no early stopping)"
            )
        return _masked_direction(process, law, num_dims, tolerance)
    rates, speed = _generator(process)
    if not math.isfinite(speed(stop)):
        raise ValueError(
            f"the process must have a finite rate at stop = {stop}; it is infinite and N TV grows "
            "like log N: choose another schedule or a later stop"
        )
    law = push_forward(law, process.transition(0.0, stop)) if stop > 0 else law
    _check_support(law, rates, slow_start=speed(stop) == 0)

    def integrand(t: float) -> Tensor:
        kernel = process.transition(stop, t)
        law_t = push_forward(law, kernel)
        defect = one_step_defect(law_t, rates) * speed(t) ** 2
        return law * push_forward(defect / law_t, kernel.T.contiguous())  # K_{0|t}, Bayes' rule

    return _integrate(integrand, stop, process.horizon, tolerance)


def one_step_defect(
    law: Float[Tensor, "atom"], rates: Float[Tensor, "state state"]
) -> Float[Tensor, "atom"]:
    r"""$G = -\sum_x q(x) \Delta_x$: the mean error of one product step over $\varepsilon^2$.

    By Lemma 1 the reverse kernel K and the product P of its marginals differ, to second order, on
    pairs of coordinates only: $\Delta_x = \lim (K - P)(\cdot|x) / \varepsilon^2$ puts $+\kappa$ on
    the double flip $x^{d \to u, e \to v}$, $-\kappa$ on both single flips and $+\kappa$ on x, with
    $\kappa = R(u, x_d) R(v, x_e) [q(x^{uv})/q(x) - q(x^u) q(x^v) / q(x)^2]$. The bracket vanishes
    where u = x_d or v = x_e, so the sums run over all values with the full generator R, and its
    rows sum to 0: that leaves, with $b_d = R_d^\top q$ and $s_d = b_d / q$,
    $G = \sum_{d<e} [C_{de} + b_d s_e - R_d^\top R_e^\top q] - q \sum_{d \ne e} R_d s_e$ and
    $C_{de}(u, v) = \sum_{i,j} R(u,i) R(v,j)\, q(u,j) q(i,v) / q(i,j)$.

    Args:
        law: q, positive everywhere.
        rates: R of one coordinate, [from, to], rows sum to 0, at unit speed.
    """
    num_states = len(rates)
    num_dims = infer_num_dims(len(law), num_states)
    if not float(law.min()) > 0:
        raise ValueError(
            f"law must be positive everywhere; its smallest entry is {float(law.min())}"
        )
    backward = rates.T.contiguous()
    flows = [_along(law, rates, d) for d in range(num_dims)]  # b_d
    total_flow = sum(flows, torch.zeros_like(law))
    defect = torch.zeros_like(law)
    for d, flow in enumerate(flows):
        others = total_flow - flow
        defect += (flow / law * others - _along(others, rates, d)) / 2
        defect -= law * _along(others / law, backward, d)
    for d, e in itertools.combinations(range(num_dims), 2):
        # The pair in front and the other coordinates last: few large matrix products.
        cube = law.reshape((num_states,) * num_dims).movedim((d, e), (0, 1))
        pair = cube.reshape(num_states, num_states, -1)
        ratio = pair[:, None] / pair  # q(u, j) / q(i, j) at [u, i, j, rest]
        inner = (rates @ ratio) * rates[:, :, None, None] * pair  # [u, i, v, rest]
        defect += inner.sum(1).reshape(cube.shape).movedim((0, 1), (d, e)).flatten()
    return defect


def _along(vector: Tensor, matrix: Tensor, d: int) -> Tensor:
    """A vector over S^D multiplied by an S x S matrix along coordinate d."""
    num_states = len(matrix)
    before = num_states**d
    after = len(vector) // (before * num_states)
    return _transform(vector, matrix, before, 1, after).flatten()


def _generator(process: ForwardProcess) -> tuple[Tensor, Callable[[float], float]]:
    """The generator R of one coordinate and its speed beta(t): rate(t) = beta(t) R."""
    if isinstance(process, InterpolatingProcess):
        schedule, size = process.schedule, process.num_states
        rates = process.stationary.expand(size, size) - torch.eye(size, dtype=torch.float64)

        def speed(t: float) -> float:
            alpha = float(schedule.alpha(t))
            if alpha == 0:
                raise ValueError(
                    f"schedule must leave some data at every time before the horizon; at t = {t} "
                    "its alpha is 0 in float64: take a smaller rate or a shorter horizon"
                )
            return -float(schedule.derivative(t)) / alpha

        return rates, speed
    if isinstance(process, RateMatrixProcess):
        if process.floor > 0:
            raise ValueError(
                f"process must have floor = 0, a Markov process; got floor = {process.floor}"
            )

        return process.rate_matrix, lambda t: float(intensity(process, t))
    raise ValueError(
        "process must be an InterpolatingProcess or a RateMatrixProcess, whose rates are known; "
        f"got {type(process).__name__}"
    )


def _check_support(law: Tensor, rates: Tensor, slow_start: bool) -> None:
    r"""ValueError unless $\beta(t)^2 q_t(x^u)\, q_t(x^v) / q_t(x)$ is integrable at t = 0.

    $q_t(x)$ vanishes like $B^{m(x)}$, $B = \int_0^t \beta$, with m(x) the least number of jumps
    from the support to x, so that $m(x) \le m(x^u) + 1$. The exponent $m(x^u) + m(x^v) - m(x)$ is
    negative only at m(x) = 1 with both neighbours in the support. Such a zero does no harm either
    where the noise starts slowly, $\beta(0) = 0$: $\beta^2 / B$ is bounded for smooth B.
    """
    if float(law.min()) > 0:
        return
    num_states = len(rates)
    num_dims = infer_num_dims(len(law), num_states)
    support = (law > 0).double()
    jumps = (rates > 0).double()  # the diagonal of a generator is negative
    steps = jumps + torch.eye(num_states, dtype=torch.float64)
    reached = push_forward(support, (torch.matrix_power(steps, num_states) > 0).double()) > 0
    if not bool(reached.all()):
        raise ValueError(
            f"q_0 must let the noise reach every state; {int((~reached).sum())} of {len(law)} stay "
            "at probability 0: drop the values that never occur, or use masked noise"
        )
    sides = torch.zeros_like(law)
    for d in range(num_dims):
        sides += _along(support, jumps, d) > 0
    harmful = (law == 0) & (sides > 1)
    if bool(harmful.any()) and not slow_start:
        raise ValueError(
            "q_0 must have full support, or at least no zero that noise enters along two "
            f"coordinates; {int(harmful.sum())} of its {len(law)} entries are such, and N TV grows "
            "like log N unless they balance: stop early (stop > 0), start slowly (cosine), or mask"
        )


def _integrate(
    integrand: Callable[[float], Tensor], first: float, last: float, tolerance: float
) -> Tensor:
    """Adaptive Gauss-Kronrod quadrature of a vector; ValueError where it does not converge.

    In s with t = first + (last - first) s^2: the integrand varies fastest at the first time.
    """
    length = last - first
    value, error, info = quad_vec(
        lambda s: (2 * length * s * integrand(first + length * s * s)).numpy(),
        0.0,
        1.0,
        epsabs=1e-14,
        epsrel=tolerance,
        norm="2",
        quadrature="gk15",
        full_output=True,
    )
    if not info.success and error > 100 * tolerance * max(1.0, float(np.linalg.norm(value))):
        raise ValueError(
            f"the integral over [{first}, {last}] did not converge: error {error:.2g}; "
            "raise tolerance, or stop early"
        )
    return torch.from_numpy(value)


def _masked_direction(
    process: ForwardProcess, law: Tensor, num_dims: int, tolerance: float
) -> Tensor:
    r"""V for masked noise, on the cube M(z) = p(unmasked part of z), z in $(S+1)^D$.

    A pair unmasked at once leaves z = (A, i, j) with the error
    $g(z) = \sum_{i<j} [M(z_{\setminus i}) M(z_{\setminus j}) / M(z_{\setminus ij}) - M(z)]$.
    """
    if not isinstance(process, InterpolatingProcess):
        raise ValueError(f"masked noise must come from MaskedProcess; got {type(process).__name__}")
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
    ratio = torch.where(possible, defect / mass.where(possible, 1.0), 0.0)
    direction = law * push_forward(ratio, marginalise.T.contiguous())
    lost = torch.where(possible, 0.0, defect)
    if bool(lost.any()):  # impossible states: the rest is drawn from its own marginals
        for d, row in enumerate(marginals(law, num_dims, size)):
            complete = torch.cat([eye, row[None]])
            lost = _transform(lost, complete, size**d, 1, (size + 1) ** (num_dims - d - 1))
        direction += lost.flatten()
    return direction


def _pair_weights(schedule: Schedule, num_dims: int, tolerance: float) -> Tensor:
    r"""$c_m = \int_0^T \alpha^m (1 - \alpha)^{D-2-m} \alpha'^2 dt$ at entry m + 2 (0 before)."""
    ends = torch.tensor([0.0, schedule.horizon], dtype=torch.float64)
    if not bool(torch.isfinite(schedule.derivative(ends)).all()):
        raise ValueError(
            f"the schedule must have a finite derivative; {type(schedule).__name__} has not, "
            "and N TV grows like log N"
        )
    power = torch.arange(num_dims - 1, dtype=torch.float64)

    def integrand(t: float) -> Tensor:
        alpha = schedule.alpha(t)
        return alpha**power * (1 - alpha) ** power.flip(0) * schedule.derivative(t) ** 2

    weights = _integrate(integrand, 0.0, schedule.horizon, tolerance) if num_dims > 1 else power
    return torch.cat([torch.zeros(2, dtype=torch.float64), weights])
