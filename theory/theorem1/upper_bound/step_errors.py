r"""Theorem 1, upper side: N product steps err by O(1/N) in total variation, with constants.

K_k is the true reverse kernel of step k, P_k the product of its marginals. S and D are arbitrary.

* Any noise, law and grid: TV_N <= sum_k E_{x ~ q_{t_k}} TV(K_k(.|x), P_k(.|x)). The proof replaces
  one kernel at a time. By Lemma 1 each term is O(1/N^2) where the mean of its constant is bounded.
* One step: let c_d(x) be the probability that coordinate d changes. K and P agree on each
  coordinate, so TV(K, P) <= 2 sum_{d<e} [K(d and e change | x) + c_d(x) c_e(x)]. Where two or more
  coordinates change, K - P is at most K. Where d alone changes, K - P is at most the probability
  that P changes d and another one. Where none changes, Bonferroni's inequality bounds K - P.
* Masked noise, any law, schedule and grid: a step is exact unless it unmasks two coordinates, so
  TV_N <= C(D, 2) sum_k (alpha_{k-1} - alpha_k)^2. On the uniform grid this is at most
  C(D, 2) T int alpha'^2 / N. The constant is sharp: two equal coordinates with S equally likely
  values reach 1 - 1/S of it.
* Uniform noise, full support: let rho be the largest p_0(y) / p_0(x) of two states that differ in
  one coordinate, and h_k = (1 - alpha_k / alpha_{k-1}) (S-1)/S. A coordinate changes only by a
  redraw, so c_d <= rho h_k, and the mean of c_d is h_k. Hence
  TV_N <= D (D-1) (1 + rho) sum_k h_k^2. At a constant redraw rate lambda this is at most
  D (D-1) (1 + rho) ((S-1) lambda T / S)^2 / N. It is not sharp: 5 to 115 times the error on random
  laws, but less than twice the error of two spins of correlation 0.6 at a small rate.

The paper states the order; the constants are beyond it. The rate itself, and the hypotheses that it
needs, are in rate.py.
"""

import itertools
import math
import random

import scipy.integrate
import torch
from torch import Tensor

from di4c.exact import states
from di4c.processes import (
    ForwardProcess,
    InterpolatingProcess,
    MaskedProcess,
    UniformProcess,
    absorbing_process,
    two_state_process,
)
from di4c.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    Schedule,
    uniform_grid,
)
from theory.claim import Record, claim
from theory.tools.dense_chain import dense_chain
from theory.tools.finite_mixture import random_law
from theory.tools.laws import cycle, sparse_law
from theory.tools.pair_cases import random_grid


def times(draw: random.Random, num_steps: int, process: ForwardProcess) -> Tensor:
    """A random grid over the whole horizon."""
    return torch.tensor(random_grid(draw, num_steps, process.horizon), dtype=torch.float64)


def error(process: ForwardProcess, q_0: Tensor, grid: Tensor) -> float:
    """TV between the output of the product steps on the grid and the law at its first time."""
    chain = dense_chain(process, q_0, grid)
    return float((chain.generated() - chain.laws[0]).abs().sum()) / 2


def redraws(process: InterpolatingProcess, grid: Tensor) -> Tensor:
    """Probability 1 - alpha_k / alpha_{k-1} that a coordinate is redrawn in each step, (N,)."""
    return 1 - process.survival(grid[:-1], grid[1:])


def largest_ratio(law: Tensor, num_dims: int, num_states: int) -> float:
    """Largest p(y) / p(x) of states x, y that differ in one coordinate; infinite with zeros."""
    cube = law.reshape((num_states,) * num_dims)
    ratios = [cube.amax(d) / cube.amin(d) for d in range(num_dims)]
    return max(float(ratio.max()) for ratio in ratios)


def masked_bound(process: MaskedProcess, grid: Tensor, num_dims: int) -> float:
    """The bound C(D, 2) sum_k (alpha_{k-1} - alpha_k)^2."""
    drops = process.schedule.alpha(grid).diff()
    return math.comb(num_dims, 2) * float((drops**2).sum())


def uniform_bound(process: UniformProcess, grid: Tensor, num_dims: int, ratio: float) -> float:
    """The bound D (D-1) (1 + rho) sum_k h_k^2."""
    size = process.num_states
    changes = redraws(process, grid) * (size - 1) / size
    return num_dims * (num_dims - 1) * (1 + ratio) * float((changes**2).sum())


@claim(
    "theorem1-upper-steps",
    "The error of N product steps is at most the sum of the mean errors of the steps: "
    "TV_N <= sum_k E TV(K_k, P_k).",
    group="paper",
    source="Theorem 1, upper bound",
    hypotheses="any law, noise and grid; the sampler starts from q_T",
)
def verify_swapping(record: Record) -> None:
    """TV_N against the sum of the step errors: laws with and without zeros, random grids."""
    generator, draw = torch.Generator().manual_seed(0), random.Random(0)
    cases = (
        (MaskedProcess(2, CosineSchedule()), 3),
        (MaskedProcess(3), 2),
        (UniformProcess(2, ExponentialSchedule()), 4),
        (UniformProcess(3), 3),
        (two_state_process(0.4, 0.9, 1.5), 4),
        (absorbing_process(ExponentialSchedule()), 3),
        (cycle(), 3),
    )
    for (process, num_dims), num_steps in itertools.product(cases, (1, 2, 3, 7, 20)):
        size = process.num_values
        laws = random_law(generator, size**num_dims), sparse_law(generator, num_dims, size)
        for law in laws:
            grid = times(draw, num_steps, process)
            chain = dense_chain(process, law, grid)
            left = float((chain.generated() - chain.laws[0]).abs().sum()) / 2
            what = f"{type(process).__name__}, S = {size}, D = {num_dims}, N = {num_steps}"
            bound = float(chain.step_errors().sum())
            record.at_most(left, bound, what, rounding=1e-13, largest=1)


@claim(
    "theorem1-upper-one-step",
    "One step: TV(K(.|x), P(.|x)) <= 2 sum_{d<e} [K(d and e change | x) + c_d(x) c_e(x)], where "
    "c_d(x) is the probability that coordinate d changes.",
    group="beyond",
    source="this project",
    hypotheses="q_t(x) > 0; q_t may vanish elsewhere",
)
def verify_one_step(record: Record) -> None:
    """Both sides at every x that is reached, in every step of a uniform grid."""
    generator = torch.Generator().manual_seed(1)
    for process, num_dims in ((UniformProcess(2), 4), (cycle(), 3), (MaskedProcess(2), 3)):
        size = process.num_states
        law = sparse_law(generator, num_dims, process.num_values)
        chain = dense_chain(process, law, uniform_grid(6, process.horizon))
        table = states(num_dims, size)
        changed = (table[:, None] != table[None]).double()  # [x_t, x_s, d]
        both = torch.einsum("kxy,xyd,xye->kxde", chain.true, changed, changed)
        single = both.diagonal(dim1=-2, dim2=-1)
        pairs = both + single[..., :, None] * single[..., None, :]
        bound = pairs.sum((-2, -1)) - pairs.diagonal(dim1=-2, dim2=-1).sum(-1)
        reached = chain.laws[1:] > 0
        distance = (chain.true - chain.product).abs().sum(-1) / 2
        slack = torch.where(reached, bound - distance, 1.0)
        for k, least in enumerate(slack.amin(1).tolist()):
            what = f"{type(process).__name__}, D = {num_dims}, step {k + 1}"
            record.at_most(0, least, what, rounding=1e-13)


@claim(
    "theorem1-upper-masked",
    "Masked noise, any S and D: TV_N <= C(D,2) sum_k (alpha_{k-1} - alpha_k)^2. Two equal "
    "coordinates reach 1 - 1/S of it.",
    group="sharper",
    source="Theorem 1, upper bound; the constant: this project",
    hypotheses="any law (zeros allowed), schedule and grid; start q_T",
)
def verify_masked(record: Record) -> None:
    """Random laws and grids; the form c / N on the uniform grid; the family that is sharp."""
    generator, draw = torch.Generator().manual_seed(2), random.Random(2)
    schedules = (LinearSchedule(1.3), CosineSchedule(), ExponentialSchedule(2.0, 1.5))
    # With fewer steps the bound for more coordinates is above 1 and says nothing.
    sizes = ((2, 4, 24), (2, 4, 48), (3, 3, 12), (3, 3, 32), (6, 2, 2), (6, 2, 16))
    for (num_values, num_dims, num_steps), schedule in itertools.product(sizes, schedules):
        process = MaskedProcess(num_values, schedule)
        what = f"S = {num_values}, D = {num_dims}, {type(schedule).__name__}, N = {num_steps}"
        law = sparse_law(generator, num_dims, num_values)
        grid = times(draw, num_steps, process)
        bound = masked_bound(process, grid, num_dims)
        record.at_most(error(process, law, grid), bound, what, rounding=1e-14, largest=1)
        on_uniform = masked_bound(process, uniform_grid(num_steps, process.horizon), num_dims)
        over_n = math.comb(num_dims, 2) * process.horizon * _energy(schedule) / num_steps
        record.at_most(on_uniform, over_n, f"uniform grid, c / N, {what}", rounding=1e-12)
        if isinstance(schedule, LinearSchedule):
            record.equal(on_uniform, over_n, 1e-12, f"uniform grid, c / N, {what}")
    for size, schedule, num_steps in itertools.product((2, 8), schedules, (1, 2, 8, 32)):
        process = MaskedProcess(size, schedule)
        law = torch.eye(size, dtype=torch.float64).flatten() / size
        grid = times(draw, num_steps, process)
        right = (1 - 1 / size) * masked_bound(process, grid, 2)
        what = f"{size} equal values, {type(schedule).__name__}, N = {num_steps}"
        record.equal(error(process, law, grid), right, 1e-12, what)


def _energy(schedule: Schedule) -> float:
    r"""The integral $\int_0^T \alpha'^2 dt$."""
    energy, _ = scipy.integrate.quad(
        lambda t: schedule.derivative(t).item() ** 2, 0, schedule.horizon
    )
    return energy


@claim(
    "theorem1-upper-uniform",
    "Uniform noise at redraw rate lambda, any S and D: "
    "TV_N <= D(D-1)(1 + rho) ((S-1) lambda T / S)^2 / N, where rho is the largest p_0(y) / p_0(x) "
    "of states that differ in one coordinate.",
    group="sharper",
    source="Theorem 1, upper bound; the constant: this project",
    hypotheses="full support, so that rho is finite; uniform grid; start q_T",
)
def verify_uniform(record: Record) -> None:
    """Random laws: the bound on random grids and its form c / N. Two spins: within a factor 2."""
    generator, draw = torch.Generator().manual_seed(3), random.Random(3)
    # The rates are small, so that every bound is below 1: a larger bound would say nothing.
    cases = itertools.product(((2, 2), (2, 4), (3, 3), (5, 2)), (0.05, 0.2), (1, 4, 32))
    for (size, num_dims), rate, num_steps in cases:
        process = UniformProcess(size, ExponentialSchedule(1.2, rate))
        law = random_law(generator, size**num_dims, spread=0.3)
        ratio = largest_ratio(law, num_dims, size)
        what = f"S = {size}, D = {num_dims}, rate {rate}, N = {num_steps}"
        grid = times(draw, num_steps, process)
        bound = uniform_bound(process, grid, num_dims, ratio)
        record.at_most(error(process, law, grid), bound, f"{what}, random grid", largest=1)
        constant = (1 + ratio) * num_dims * (num_dims - 1) * ((size - 1) / size * rate * 1.2) ** 2
        left = error(process, law, uniform_grid(num_steps, process.horizon))
        record.at_most(left, constant / num_steps, f"{what}, uniform grid", largest=1)
    spins = torch.tensor([1.6, 0.4, 0.4, 1.6], dtype=torch.float64) / 4
    process = UniformProcess(2, ExponentialSchedule(1.2, 0.05))
    for num_steps in (1, 4, 32):
        grid = uniform_grid(num_steps, process.horizon)
        left, right = error(process, spins, grid), uniform_bound(process, grid, 2, 4.0)
        record.at_most(left, right, f"two spins, N = {num_steps}")
        record.at_most(right, 2 * left, f"two spins, at most twice the error, N = {num_steps}")
