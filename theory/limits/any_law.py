r"""The limit of N TV_N on the uniform grid, for any S and D, any full-support law, any rates.

With out_N the law of N product steps from q_T,

  N (out_N - p_0) -> T V,   V = int_0^T K_{0|t}[G_t] dt,   G_t = -sum_x q_t(x) Delta_x,
  N TV_N -> (T / 2) |V|_1,

where Delta_x is that of Lemma 1 (lemma1/one_step.py).

The integral must exist at t = 0. With full support G_t is bounded. A zero of p_0 is harmful if
noise enters it from the support along two different coordinates, at a rate beta(0) > 0. Then
G_t ~ 1/t, and N TV_N grows like log N (theorem1/hypotheses/log_rate.py), unless the effects of
such zeros cancel. Other zeros do no harm:

* the zeros of an absorbing chain whose data are 0..0 and 1..1;
* the zeros of a code whose words differ in three coordinates or more;
* any zero, with early stopping;
* any zero, if the noise starts slowly. If beta(t) ~ t then q_t(x) ~ t^2, and beta^2 / q_t(x) stays
  bounded. This holds for the cosine schedule (alpha'(0) = 0) and for any process on the quadratic
  grid.

So Theorem 1 needs less than full support.

Theorem 1 of the paper bounds the rate; the limit is beyond it. The limit can be computed for a law
with 2^16 states without running the sampler. The claims compare it with the sampler itself:
N = 8, 16, ... steps with dense kernels, extrapolated to infinite N.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from di4c.exact import product_law
from di4c.exact.laws import infer_num_dims
from di4c.exact.limits import limit_direction, limit_n_tv
from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair
from di4c.processes import (
    ForwardProcess,
    InterpolatingProcess,
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
from theory.claim import Record, claim
from theory.tools.dense_chain import dense_chain
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law
from theory.tools.laws import cycle, sparse_law


@dataclass(frozen=True)
class Runs:
    """How N (out_N - p_0) is extrapolated to infinite N.

    Attributes:
        steps: the numbers of steps N; each is twice the one before.
        orders: powers of 1/N to remove, in turn; a repeated one also removes a logarithm.
    """

    steps: tuple[int, ...] = (8, 16, 32, 64, 128)
    orders: tuple[int, ...] | None = None


PLAIN = Runs()
SLOW_START = Runs((8, 16, 32, 64, 128, 256), (1, 1, 2, 2, 3))
CODE = Runs((128, 256, 512, 1024, 2048), (1, 2, 2, 3))


def extrapolated(
    process: ForwardProcess, q_0: Tensor, stop: float = 0.0, runs: Runs = PLAIN
) -> Tensor:
    """The limit of N (out_N - q_stop) from the sampler, for the states without a mask."""
    column = []
    for num_steps in runs.steps:
        chain = dense_chain(process, q_0, uniform_grid(num_steps, process.horizon, stop))
        column.append(num_steps * (chain.generated() - chain.laws[0]))
    return without_masks(extrapolate(column, runs.orders), process)


def without_masks(law: Tensor, process: ForwardProcess) -> Tensor:
    """The entries of the states that hold no mask."""
    num_dims = infer_num_dims(len(law), process.num_states)
    cube = law.reshape((process.num_states,) * num_dims)
    return cube[(slice(0, process.num_values),) * num_dims].reshape(-1)


def processes() -> list[tuple[str, ForwardProcess, int]]:
    """(name, process, D): noise that reaches every state, some varying, some not reversible."""
    lopsided = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    gaussian = gaussian_process(
        4, rate_sigma=1.5, stationary_sigma=2.0, time_base=0.1, time_exponential=5.0
    )
    return [
        ("uniform", UniformProcess(2, ExponentialSchedule(0.7, 1.4)), 5),
        ("uniform, linear", UniformProcess(3, LinearSchedule(2.0)), 3),
        ("uniform, log-linear", UniformProcess(4, LogLinearSchedule(epsilon=0.1)), 2),
        ("uniform, cosine", UniformProcess(2, CosineSchedule()), 4),
        ("redraw from (0.6, 0.3, 0.1)", InterpolatingProcess(lopsided, LinearSchedule()), 3),
        ("cycle", cycle(0.7), 3),
        ("cycle, growing", cycle(0.6, lambda t: t + t**2), 2),
        ("gaussian", gaussian, 2),
    ]


@claim(
    "general-limit",
    "N (out_N - p_0) -> T V and N TV_N -> (T/2) |V|_1 for any S, D and rates. V is an integral "
    "over time that needs no sampler.",
    group="beyond",
    source="this project",
    hypotheses="full support, bounded rates, uniform grid, start q_T",
)
def verify_any_process(record: Record) -> None:
    """The extrapolated sampler against the integral, for eight processes."""
    generator = torch.Generator().manual_seed(0)
    for name, process, num_dims in processes():
        q_0 = random_law(generator, process.num_states**num_dims, spread=0.5)
        what = f"{name}, S = {process.num_states}, D = {num_dims}"
        compare_limits(record, process, q_0, what)


def compare_limits(
    record: Record,
    process: ForwardProcess,
    q_0: Tensor,
    what: str,
    stop: float = 0.0,
    runs: Runs = PLAIN,
) -> None:
    """Compare the extrapolated sampler with the limit for one law, to 1e-4 of the limit."""
    left = extrapolated(process, q_0, stop, runs)
    right = (process.horizon - stop) * limit_direction(process, q_0, stop)
    scale = float(right.abs().sum())
    distance = float((left - right).abs().sum())
    record.vanishes(distance / scale, 1e-4, f"{what}: |N (out - p_0) - T V| / |T V|")
    record.equal(float(left.abs().sum()) / scale, 1, 1e-4, f"{what}: N TV over its limit")


def pairs() -> list[Pair]:
    """Masked, uniform and absorbing pairs, whose limits are known in closed form."""
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


@claim(
    "general-limit-pairs",
    "The general formula gives the known limits of the masked, uniform and absorbing pair.",
    group="beyond",
    source="this project",
    hypotheses="D = 2, and D = 4 with two more coordinates that are independent",
)
def verify_pairs(record: Record) -> None:
    """The general formula for each pair, alone and beside two independent bits."""
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


@claim(
    "general-limit-zeros",
    "The limit formula also holds with zeros in p_0 that noise enters along one coordinate only, "
    "and with early stopping.",
    group="beyond",
    source="this project",
    hypotheses="absorbing chain on 0..0 and 1..1; the code 000, 111; uniform noise stopped at 0.25",
)
def verify_zeros(record: Record) -> None:
    """Absorbing chains, a code, early stopping."""
    for num_dims in (2, 4):
        law = torch.zeros(2**num_dims, dtype=torch.float64)
        law[0], law[-1] = 0.4, 0.6
        chain = absorbing_process(ExponentialSchedule(0.8))
        compare_limits(record, chain, law, f"absorbing chain, D = {num_dims}")
        noise = UniformProcess(2, ExponentialSchedule(1.0, 1.0))
        compare_limits(record, noise, law, f"early stopping, D = {num_dims}", stop=0.25)
    law = torch.tensor([0.3, 0, 0, 0, 0, 0, 0, 0.7], dtype=torch.float64)
    compare_limits(record, two_state_process(2.0, 1.5), law, "code 000, 111", runs=CODE)


@claim(
    "general-limit-slow-start",
    "The limit formula also holds with any zeros in p_0 if the noise starts at rate 0: cosine "
    "schedule, quadratic grid.",
    group="beyond",
    source="this project",
    hypotheses="beta(t) ~ t; with beta(0) > 0 the same laws give N TV_N ~ c log N",
)
def verify_slow_start(record: Record) -> None:
    """Random laws with zeros; N TV_N - limit falls like log N / N."""
    generator = torch.Generator().manual_seed(3)
    quadratic = two_state_process(1.0, 0.6).rate_matrix
    for name, process, num_dims in (
        ("cosine", UniformProcess(2, CosineSchedule()), 3),
        ("cosine", UniformProcess(3, CosineSchedule()), 2),
        ("quadratic grid", RateMatrixProcess(quadratic, integrated_rate=lambda t: t**2), 3),
    ):
        law = sparse_law(generator, num_dims, process.num_states)
        what = f"{name}, S = {process.num_states}, D = {num_dims}"
        compare_limits(record, process, law, what, runs=SLOW_START)
