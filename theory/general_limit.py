r"""The limit of N TV_N on the uniform grid, for any S and D, any full-support law, any rates.

With out_N the law of N product steps from q_T,

  N (out_N - p_0) -> T V,   V = int_0^T K_{0|t}[G_t] dt,   G_t = -sum_x q_t(x) Delta_x (lemma1.py),
  N TV_N -> (T / 2) |V|_1.

Masked noise needs no support: with c_m = int_0^T alpha^m (1 - alpha)^(D-2-m) alpha'^2 dt, m = |A|,
and c_m = m! (D-2-m)! / (D-1)! / T on the linear schedule,

  V = -sum_{i<j} sum_{A without i, j} c_m p(A) [p(ij|A) - p(i|A) p(j|A)] p(rest|A, i, j).

Where p_0 has zeros the sampler also reaches (A, i, j) that the data never shows. There
p(rest|A, i, j) is a convention, and V depends on it: the product of the marginals (what
posterior_marginals and the oracle do).

Theorem 1 of the paper bounds the rate; the limit is beyond it. It turns "O(1/N)" into a number that
can be computed for a law with 2^16 states without ever running the sampler. Against it stands the
sampler itself, N = 8, ..., 128 steps of dense kernels, extrapolated; on the linear masked schedule
out_N is a polynomial in 1/N, so that D - 1 small N give the limit with no rounding.
"""

import itertools
import math
import random
from fractions import Fraction

import torch
from torch import Tensor

from di4c.exact import product_law
from di4c.exact.laws import infer_num_dims
from di4c.exact.limits import limit_direction, limit_n_tv
from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair
from di4c.processes import (
    ForwardProcess,
    InterpolatingProcess,
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    absorbing_process,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    LogLinearSchedule,
    uniform_grid,
)
from theory import oracle
from theory.claim import Claim, Record
from theory.dense_chain import dense_chain
from theory.extrapolation import extrapolate
from theory.finite_mixture import random_law
from theory.lemma1 import rational_law
from theory.oracle import Law, State

_STEPS = (8, 16, 32, 64, 128)


def extrapolated(process: ForwardProcess, q_0: Tensor, stop: float = 0.0) -> Tensor:
    """The limit of N (out_N - q_stop), from the sampler itself, as a vector over the values."""
    column = []
    for num_steps in _STEPS:
        chain = dense_chain(process, q_0, uniform_grid(num_steps, process.horizon, stop))
        column.append(num_steps * (chain.generated() - chain.laws[0]))
    return without_masks(extrapolate(column), process)


def without_masks(law: Tensor, process: ForwardProcess) -> Tensor:
    """The entries of the states that hold no mask."""
    num_dims = infer_num_dims(len(law), process.num_states)
    cube = law.reshape((process.num_states,) * num_dims)
    return cube[(slice(0, process.num_values),) * num_dims].reshape(-1)


def masked_direction(law: Law) -> Law:
    """V on the linear schedule with T = 1, the sum written out, exact in fractions."""
    num_dims = len(next(iter(law)))
    single = oracle.marginals(law)

    def mass(x: State, known: tuple[int, ...]):
        return sum(p for y, p in law.items() if all(y[d] == x[d] for d in known))

    direction = {}
    for x in law:
        total = Fraction(0)
        for i, j in itertools.combinations(range(num_dims), 2):
            others = [d for d in range(num_dims) if d not in (i, j)]
            for m in range(num_dims - 1):
                weight = Fraction(
                    math.factorial(m) * math.factorial(num_dims - 2 - m),
                    math.factorial(num_dims - 1),
                )
                for known in itertools.combinations(others, m):
                    seen, pair = mass(x, known), mass(x, (*known, i, j))
                    if not seen:
                        continue
                    independent = mass(x, (*known, i)) * mass(x, (*known, j)) / seen
                    unknown = [d for d in others if d not in known]
                    rest = law[x] / pair if pair else math.prod(single[d][x[d]] for d in unknown)
                    total -= weight * (pair - independent) * rest
        direction[x] = total
    return direction


def polynomial_limit(values: dict[int, Fraction]) -> Fraction:
    """Value at 1/N = 0 of the polynomial in 1/N through the points (N, value) (Lagrange)."""
    return sum(
        value * math.prod(Fraction(n, n - k) for k in values if k != n)
        for n, value in values.items()
    )


def masked_out(law: Law, num_steps: int) -> Law:
    """The oracle's N linear masked steps, in fractions."""
    num_values = max(map(max, law)) + 1
    alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
    kernels = [
        oracle.masked_kernel(later / earlier, num_values, from_data=earlier == 1)
        for earlier, later in itertools.pairwise(alphas)
    ]
    return oracle.compose(law, kernels)


def processes() -> list[tuple[str, ForwardProcess, int]]:
    """(name, process, D): noise that reaches every state, also varying and not reversible."""
    cycle = torch.tensor([[-1, 0.8, 0.2], [0, -0.5, 0.5], [0.7, 0, -0.7]], dtype=torch.float64)
    lopsided = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    gaussian = gaussian_process(
        4, rate_sigma=1.5, stationary_sigma=2.0, time_base=0.1, time_exponential=5.0
    )
    return [
        ("uniform", UniformProcess(2, ExponentialSchedule(0.7)), 2),
        ("uniform", UniformProcess(2, ExponentialSchedule(0.7, 1.4)), 5),
        ("uniform, linear", UniformProcess(3, LinearSchedule(2.0)), 3),
        ("uniform, log-linear", UniformProcess(4, LogLinearSchedule(epsilon=0.1)), 2),
        ("uniform, cosine", UniformProcess(2, CosineSchedule()), 4),
        ("redraw from (.6, .3, .1)", InterpolatingProcess(lopsided, LinearSchedule()), 3),
        ("two-state", two_state_process(0.3, 0.7, 0.8), 3),
        ("cycle", RateMatrixProcess(cycle, 0.7), 3),
        ("cycle, growing", RateMatrixProcess(cycle, 0.6, integrated_rate=lambda t: t + t**2), 2),
        ("gaussian", gaussian, 2),
    ]


def verify_any_process(record: Record) -> None:
    """Sampler, extrapolated, against the quadrature: the whole vector, and N TV itself."""
    generator = torch.Generator().manual_seed(0)
    for name, process, num_dims in processes():
        q_0 = random_law(generator, process.num_states**num_dims, spread=0.5)
        what = f"{name}, S = {process.num_states}, D = {num_dims}"
        compare_limits(record, process, q_0, what)


def compare_limits(
    record: Record, process: ForwardProcess, q_0: Tensor, what: str, stop: float = 0.0
) -> None:
    """Add the comparisons of one law: relative to the limit, to 1e-4."""
    left = extrapolated(process, q_0, stop)
    right = (process.horizon - stop) * limit_direction(process, q_0, stop)
    scale = float(right.abs().sum())
    distance = float((left - right).abs().sum())
    record.equal(distance / scale, 0, 1e-4, f"{what}: |N (out - p_0) - T V| / |T V|")
    record.equal(float(left.abs().sum()) / scale, 1, 1e-4, f"{what}: N TV over its limit")


def sparse_law(generator: torch.Generator, num_dims: int, num_states: int) -> Tensor:
    """A law of which about half the entries are 0."""
    law = random_law(generator, num_states**num_dims)
    law *= torch.rand(len(law), generator=generator, dtype=torch.float64) < 0.5
    return law / law.sum()


def verify_masked(record: Record) -> None:
    """Masked noise, laws with zeros, every schedule with a bounded derivative."""
    generator = torch.Generator().manual_seed(1)
    schedules = (
        LinearSchedule(1.7),
        CosineSchedule(0.5),
        ExponentialSchedule(2.0),
        LogLinearSchedule(epsilon=0.1),
    )
    for (num_values, num_dims), schedule in itertools.product(((2, 3), (3, 3), (4, 2)), schedules):
        what = f"S = {num_values}, D = {num_dims}, {type(schedule).__name__}"
        process = MaskedProcess(num_values, schedule)
        compare_limits(record, process, sparse_law(generator, num_dims, num_values), what)


def verify_masked_exactly(record: Record) -> None:
    """Linear schedule: the polynomial through D - 1 values of N, in fractions, against V."""
    rng = random.Random(2)
    for num_dims, num_values, least in ((2, 3, 1), (3, 2, 1), (3, 2, -6), (3, 3, -6), (4, 2, -6)):
        law = rational_law(rng, num_dims, num_values, least)
        outs = {n: masked_out(law, n) for n in range(1, num_dims)}
        right = masked_direction(law)
        q_0 = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
        vector = limit_direction(MaskedProcess(num_values), q_0)
        for x, fast in zip(law, vector.tolist(), strict=True):
            what = f"S = {num_values}, D = {num_dims}: V at {x}"
            left = polynomial_limit({n: n * (out[x] - law[x]) for n, out in outs.items()})
            record.equal(left, right[x], 0, what)
            record.equal(float(right[x]), fast, 1e-7, f"{what}, limit_direction")


def pairs() -> list[Pair]:
    """Two coordinates whose limit is known in closed form (E1, E2, E3)."""
    table = torch.tensor([[0.2, 0.0, 0.1], [0.0, 0.3, 0.0], [0.05, 0.05, 0.3]], dtype=torch.float64)
    return [
        MaskedPair(p_0=table, schedule=CosineSchedule(0.6)),
        MaskedPair(p_0=table, schedule=ExponentialSchedule(2.0)),
        UniformPair(theta=0.5, schedule=ExponentialSchedule(1.5, 2.0)),
        UniformPair(theta=0.9, schedule=CosineSchedule()),
        UniformPair(theta=-0.3, schedule=LinearSchedule(2.0)),
        AbsorbingPair(weight=0.5, schedule=ExponentialSchedule(1.2, 0.9)),
        AbsorbingPair(weight=0.2, schedule=CosineSchedule()),
    ]


def verify_pairs(record: Record) -> None:
    """D = 2 closed forms, and the same pair beside two coordinates that do not matter."""
    aside = torch.tensor([0.3, 0.7], dtype=torch.float64)
    for pair in pairs():
        what = f"{type(pair).__name__}, {type(pair.schedule).__name__}"
        right = pair.limit()
        law = pair.data_law.reshape(-1)
        record.equal(limit_n_tv(pair.process, law), right, 1e-7, what)
        if isinstance(pair.schedule, LinearSchedule):
            beside = product_law(torch.stack([aside, aside]))
            wide = torch.outer(law, beside).flatten()
            record.equal(limit_n_tv(pair.process, wide), right, 1e-7, f"{what} x independent bits")


def verify_zeros(record: Record) -> None:
    """Zeros that do no harm (absorbing chain), and zeros that early stopping removes."""
    for num_dims in (2, 3, 4):
        law = torch.zeros(2**num_dims, dtype=torch.float64)
        law[0], law[-1] = 0.4, 0.6
        chain = absorbing_process(ExponentialSchedule(0.8))
        compare_limits(record, chain, law, f"absorbing chain, D = {num_dims}")
        noise = UniformProcess(2, ExponentialSchedule(1.0, 1.0))
        compare_limits(record, noise, law, f"early stopping, D = {num_dims}", stop=0.25)


CLAIMS = [
    Claim(
        name="general-limit",
        statement="N (out_N - p_0) -> T V and N TV_N -> (T/2)|V|_1 for any S, D and rates",
        source="this project",
        hypotheses="full support, rate of change of the noise bounded, uniform grid, start q_T",
        verify=verify_any_process,
    ),
    Claim(
        name="general-limit-masked",
        statement="masked, any schedule: V from c_m = int alpha^m (1-alpha)^(D-2-m) alpha'^2",
        source="this project",
        hypotheses="int alpha'^2 finite; zeros in p_0 allowed, V then depends on the convention",
        verify=verify_masked,
    ),
    Claim(
        name="general-limit-masked-linear",
        statement="masked, linear: V exactly, with c_m = m! (D-2-m)! / (D-1)!",
        source="this project",
        hypotheses="linear schedule: out_N is a polynomial of degree D - 1 in 1/N",
        verify=verify_masked_exactly,
    ),
    Claim(
        name="general-limit-pairs",
        statement="the general formula contains the closed limits of E1, E2 and E3",
        source="this project",
        hypotheses="D = 2, also beside independent coordinates",
        verify=verify_pairs,
    ),
    Claim(
        name="general-limit-zeros",
        statement="zeros in p_0: the formula holds for absorbing chains and with early stopping",
        source="this project",
        hypotheses="q_t(x^u) q_t(x^v) / q_t(x) bounded as t -> stop",
        verify=verify_zeros,
    ),
]
