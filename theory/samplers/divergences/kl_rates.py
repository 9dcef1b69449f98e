r"""The divergence of the output falls like 1/N^2, that of the paths like 1/N.

N product steps on the uniform grid, started from $q_T$; $q_0$ has full support. By Theorem 1 the
total variation of the output falls like 1/N. Its divergence $\mathrm{KL}(q_0 \| \mathrm{out}_N)$
falls like 1/N^2. The theory of samplers bounds another number, the divergence of the paths
$\sum_k \mathbb{E}\, \mathrm{TC}(x_{t_{k-1}} | x_{t_k})$. It falls like 1/N only. Both limits are in
`kl_limits`.

Pinsker's inequality $TV \le \sqrt{\mathrm{KL}/2}$ turns the rate of the paths into $N^{-1/2}$. A
bound on paths therefore does not imply Theorem 1.

Without full support the output's divergence can fall like 1/N too. For two bits that always agree
it is $-\log(1 - TV_N)$.

Source: this project. The limits are confirmed by Richardson extrapolation, by increments and by
two-sided bounds.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from di4c.exact import kl, product_composition, total_variation
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    two_state_process,
)
from di4c.schedules import ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.samplers.divergences.jump_your_steps import step_total_correlations
from theory.samplers.divergences.kl_limits import (
    masked_path_limit,
    output_limit,
    pair_output_limit,
    pair_path_limit,
    path_limit,
)
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law
from theory.tools.laws import sparse_law

STEPS = (4, 8, 16, 32)


@dataclass(frozen=True)
class Divergences:
    """What N product steps on the uniform grid make of a law.

    Attributes:
        output: KL(q_0 || out_N).
        path: the divergence of the paths.
        variation: the total variation between q_0 and out_N.
        chi_square: the chi-square divergence of q_0 from out_N.
    """

    output: float
    path: float
    variation: float
    chi_square: float


def divergences(process: ForwardProcess, q_0: Tensor, num_steps: int) -> Divergences:
    """The left sides: the output of the sampler, and its steps one by one."""
    grid = uniform_grid(num_steps, process.horizon)
    law = product_composition(process, q_0, grid)
    return Divergences(
        float(kl(q_0, law)),
        math.fsum(step_total_correlations(process, q_0, grid)),
        float(total_variation(q_0, law)),
        float(((q_0 - law) ** 2 / law).sum()),
    )


@dataclass(frozen=True)
class MeasuredSampler:
    """A process and a law with full support, measured for N in STEPS, with its limits."""

    name: str
    process: ForwardProcess
    q_0: Tensor
    path_limit: float
    measured: list[Divergences]

    @functools.cached_property
    def output_limit(self) -> float:
        """The limit of N^2 times the output's divergence."""
        return output_limit(self.process, self.q_0)


@functools.cache
def measured_samplers() -> list[MeasuredSampler]:
    """Masked, two-state and three-state noise on two or three coordinates."""
    rng = torch.Generator().manual_seed(0)
    bits, ternary = (random_law(rng, n, spread=0.3) for n in (8, 9))
    rates = [[-0.7, 0.4, 0.3], [0.2, -0.5, 0.3], [0.1, 0.6, -0.7]]  # not reversible
    three = RateMatrixProcess(torch.tensor(rates, dtype=torch.float64), 0.6)
    two = two_state_process(0.4, 1.1, 0.6)
    listed: list[tuple[str, ForwardProcess, Tensor, float]] = [
        ("masked, three bits", MaskedProcess(2), bits, masked_path_limit(bits, 2)),
        ("masked, S = 3", MaskedProcess(3), ternary, masked_path_limit(ternary, 3)),
        ("three states, a pair", three, ternary, path_limit(three, ternary)),
        ("two states, three bits", two, bits, path_limit(two, bits)),
    ]
    return [
        MeasuredSampler(name, process, q_0, limit, [divergences(process, q_0, n) for n in STEPS])
        for name, process, q_0, limit in listed
    ]


def _check_limit(record: Record, values: Sequence[float], limit: float, name: str) -> None:
    """The Richardson limit to a relative 1e-4, and increments below limit / N.

    A term in log N would have larger increments.
    """
    record.equal(extrapolate(values) / limit, 1.0, 1e-4, f"limit, {name}")
    for n, (before, after) in zip(STEPS, itertools.pairwise(values), strict=False):
        record.at_most(n * abs(after - before), limit, f"increments, {name}")


@claim(
    "output-kl-rate",
    "The output's divergence is O(1/N^2): N^2 KL(q_0 || out_N) -> (T^2 / 2) sum_x V(x)^2 / q_0(x).",
    group="beyond",
    source="this project",
    hypotheses="full support, uniform grid, start q_T; T V is the limit of N (out_N - q_0). "
    "Richardson limits to 1e-4, increments below limit / N",
)
def verify_output(record: Record) -> None:
    for sampler in measured_samplers():
        values = [n**2 * m.output for n, m in zip(STEPS, sampler.measured, strict=True)]
        _check_limit(record, values, sampler.output_limit, sampler.name)


@claim(
    "path-kl-rate",
    "The paths' divergence is O(1/N) only; for masked noise N times it tends to sum_i I(X_i; X_-i) "
    "/ 2.",
    group="beyond",
    source="this project",
    hypotheses="uniform grid, start q_T. Linear masked noise with any law, or full support and "
    "constant rates, where the limit is an integral over the reverse rates of jumps in two "
    "coordinates",
)
def verify_path(record: Record) -> None:
    for sampler in measured_samplers():
        values = [n * m.path for n, m in zip(STEPS, sampler.measured, strict=True)]
        _check_limit(record, values, sampler.path_limit, sampler.name)
    rng = torch.Generator().manual_seed(4)
    for num_values, num_dims in ((2, 3), (2, 4), (3, 2)):
        q_0, process = sparse_law(rng, num_dims, num_values), MaskedProcess(num_values)
        steps = [step_total_correlations(process, q_0, uniform_grid(n)) for n in STEPS]
        values = [n * math.fsum(terms) for n, terms in zip(STEPS, steps, strict=True)]
        what = f"masked, {int((q_0 == 0).sum())} zeros of {len(q_0)}"
        _check_limit(record, values, masked_path_limit(q_0, num_values), what)


@claim(
    "output-kl-two-sided",
    "The output's divergence lies between 2 TV^2 and chi^2, which are both of order 1/N^2.",
    group="beyond",
    source="the inequalities of Pinsker and of chi-square; the orders: this project",
    hypotheses="full support; N = 4, 8, 16, 32",
)
def verify_two_sided(record: Record) -> None:
    for sampler in measured_samplers():
        for n, m in zip(STEPS, sampler.measured, strict=True):
            what, limit = f"{sampler.name}, N = {n}", sampler.output_limit
            record.at_most(2 * m.variation**2, m.output, f"Pinsker, {what}")
            record.at_most(m.output, m.chi_square, f"chi-square, {what}")
            record.at_most(0.2 * limit, n**2 * 2 * m.variation**2, f"order below, {what}")
            record.at_most(n**2 * m.chi_square, 3 * limit, f"order above, {what}")


@claim(
    "pair-kl-rates",
    "For a symmetric pair of spins both divergences tend to rigorously enclosed limits.",
    group="beyond",
    source="this project",
    hypotheses="uniform noise at a constant rate, |theta| < 1; enclosures of radius below 1e-25, "
    "Richardson limits to 1e-4",
)
def verify_enclosed_pair(record: Record) -> None:
    for theta, rate, horizon in (
        (Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)),
        (Fraction(-3, 5), Fraction(1, 4), Fraction(3, 4)),
    ):
        schedule = ExponentialSchedule(float(horizon), rate=2 * float(rate))
        w = float(theta)
        q_0 = torch.tensor([1 + w, 1 - w, 1 - w, 1 + w], dtype=torch.float64) / 4
        measured = [divergences(UniformProcess(2, schedule), q_0, n) for n in STEPS]
        output = pair_output_limit(theta, rate, horizon)
        values = [n**2 * m.output for n, m in zip(STEPS, measured, strict=True)]
        _check_limit(record, values, float(output.mid()), f"output, theta = {theta}")
        path = pair_path_limit(theta, rate, horizon)
        values = [n * m.path for n, m in zip(STEPS, measured, strict=True)]
        _check_limit(record, values, float(path.mid()), f"path, theta = {theta}")
        for enclosed in (output, path):
            record.at_most(float(enclosed.rad()), 1e-25, f"radius, theta = {theta}")


@claim(
    "pinsker-from-paths",
    "False in general: a bound on the paths' divergence and Pinsker's inequality give TV = O(1/N). "
    "They give O(N^-1/2).",
    group="fails",
    source="this project",
    hypotheses="full support. The bound is sqrt(c / 2N), so N times it grows by sqrt(2) when N "
    "doubles",
)
def verify_pinsker(record: Record) -> None:
    """N times the bound from the paths grows like sqrt(N), and N TV_N does not."""
    for sampler in measured_samplers():
        bounds = [math.sqrt(m.path / 2) for m in sampler.measured]
        scaled = [math.sqrt(n) * b for n, b in zip(STEPS, bounds, strict=True)]
        limit = math.sqrt(sampler.path_limit / 2)
        record.equal(extrapolate(scaled), limit, 1e-5, f"N^(-1/2), {sampler.name}")
        grown = [n * b for n, b in zip(STEPS, bounds, strict=True)]
        for before, after in itertools.pairwise(grown):
            record.exceeds(after, before, 0.4 * before, f"growth, {sampler.name}")
        variation = 4 * STEPS[-1] * sampler.measured[-1].variation
        record.exceeds(grown[-1], variation, 0.0, f"bound above 4 TV, {sampler.name}")


@claim(
    "output-kl-without-support",
    "False in general: the output's divergence is O(1/N^2) for every law. For two bits that always "
    "agree it is -log(1 - TV_N), of order 1/N.",
    group="fails",
    source="this project",
    hypotheses="no full support; masked and uniform noise, N = 4, 16",
)
def verify_equal_bits(record: Record) -> None:
    equal_bits = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for process in (MaskedProcess(2), UniformProcess(2, ExponentialSchedule(1.0))):
        for n in (4, 16):
            m, what = divergences(process, equal_bits, n), f"{type(process).__name__}, N = {n}"
            record.equal(m.output, -math.log1p(-m.variation), 1e-13, what)
            record.exceeds(n**2 * m.output, 0.3 * n, 0.0, f"N^2 KL grows, {what}")
