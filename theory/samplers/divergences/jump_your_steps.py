r"""The output divergence is at most the sum of the per-step conditional total correlations.

For any forward process that factorises over the coordinates, any data law and any grid
$0 = t_0 < \dots < t_N$, let $\mathrm{out}_N$ be the law of the product sampler whose steps are the
products of the marginals of the true reverse kernels, started from $q_{t_N}$. Then

$$\mathrm{KL}(q_0 \| \mathrm{out}_N) \le
  \sum_{k=1}^N \mathbb{E}_{x_{t_k}} \mathrm{TC}(x_{t_{k-1}} \mid x_{t_k}).$$

The right side is the divergence of the two laws of paths. The difference is exactly
$\mathbb{E}_{x_0} \mathrm{KL}(q(x_{t_1}, \dots, x_{t_N} \mid x_0) \| p(x_{t_1}, \dots, x_{t_N} \mid
x_0))$. Equality holds if and only if the likelihood ratio of the paths depends on $x_0$ alone. Two
examples:

* Independent data: both sides are 0.
* One step from noise that has forgotten the data ($x_T$ has the law $q_T$ given any $x_0$): both
  sides are $\mathrm{TC}(q_0)$.

From two steps on the bound is loose in general. The right side falls like 1/N, the left side like
1/N^2 if the data have full support (`kl_rates.py`).

Started from a prior $\pi$ instead of $q_T$, the bound needs the further term
$\mathrm{KL}(q_T \| \pi)$.

Source: the bound is that of Park et al., Jump Your Steps (ICLR 2025; arXiv 2410.07761), for the
compounding decoding error. The remainder and the cases of equality follow from the chain rule.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from di4c.exact import (
    forward_law,
    kl,
    product_composition,
    product_law,
    reverse_kernel,
    total_correlation,
)
from di4c.exact.laws import infer_num_dims
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    UniformProcess,
    absorbing_process,
    gaussian_process,
    two_state_process,
)
from di4c.schedules import CosineSchedule, ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import random_law
from theory.tools.oracle import Kernel, Law

Grid = Sequence[float] | Tensor


def output_divergence(
    process: ForwardProcess, q_0: Tensor, grid: Grid, start: str = "q_T"
) -> float:
    """The left side: KL(q_0 || out_N) of the product sampler."""
    return float(kl(q_0, product_composition(process, q_0, grid, start)))


def step_total_correlations(process: ForwardProcess, q_0: Tensor, grid: Grid) -> list[float]:
    """E TC(x_{t_{k-1}} | x_{t_k}) for k = 1..N, from the dense reverse kernels."""
    times = [float(t) for t in grid]
    num_dims = infer_num_dims(len(q_0), process.num_values)
    terms = []
    for s, t in itertools.pairwise(times):
        rows = reverse_kernel(process, q_0, s, t)
        correlations = total_correlation(rows, num_dims, process.num_states)
        terms.append(float(forward_law(process, q_0, t) @ correlations))
    return terms


def path_decomposition(law: Law, kernels: Sequence[Kernel]) -> tuple[float, float, float]:
    """(KL of the paths, KL of x_0, mean KL of the path given x_0) by enumerating every path.

    In plain Python. The two laws are those of (x_{t_0}, ..., x_{t_N}) under the process and under
    the product sampler, which starts from the same law at t_N.
    """
    laws = [law]
    for kernel in kernels:
        laws.append(oracle.noised(laws[-1], kernel))
    true = {(x,): p for x, p in laws[-1].items() if p}
    model = dict(true)
    for law_s, kernel in zip(laws[-2::-1], kernels[::-1], strict=True):
        rows = {path[0]: oracle.reverse_row(law_s, kernel, path[0]) for path in true}
        products = {x: oracle.independent(row) for x, row in rows.items()}
        longer = [(y, path) for path in true for y in law_s if rows[path[0]][y]]
        model = {(y, *path): model[path] * products[path[0]][y] for y, path in longer}
        true = {(y, *path): true[path] * rows[path[0]][y] for y, path in longer}
    # The data give no mass to paths that only the sampler takes. They do count in its law of x_0.
    output = oracle.compose(law, kernels)
    conditional = math.fsum(
        p * math.log(p / law[path[0]] * output[path[0]] / model[path]) for path, p in true.items()
    )
    return oracle.kl(true, model), oracle.kl(law, output), conditional


def processes_and_grids() -> Iterator[tuple[str, ForwardProcess, int, list[list[float]]]]:
    """(name, process, D, grids) for seven kinds of noise."""
    grids = [[0.0, 0.8], [0.0, 0.4, 1.0], [0.0, 0.1, 0.35, 0.6, 0.9], [k / 8 for k in range(9)]]
    yield "masked, linear", MaskedProcess(2), 3, grids
    yield "masked, cosine", MaskedProcess(3, CosineSchedule()), 2, grids
    yield "uniform, linear", UniformProcess(2), 4, grids
    yield "uniform, exponential", UniformProcess(3, ExponentialSchedule(2.0, rate=1.3)), 2, grids
    yield "absorbing", absorbing_process(ExponentialSchedule(1.0, rate=2.0)), 3, grids
    yield "two states", two_state_process(0.4, 1.7), 3, grids
    gaussian = gaussian_process(5, rate_sigma=1.5, stationary_sigma=1.5, time_base=0.005)
    yield "discretised Gaussian", gaussian, 2, grids


@claim(
    "jump-your-steps",
    "The divergence of the output is at most that of the paths: KL(q_0 || out_N) <= sum_k E "
    "TC(x_{k-1} | x_k).",
    group="beyond",
    source="Park et al., Jump Your Steps (ICLR 2025)",
    hypotheses="products of the true marginals, start q_T; seven kinds of noise, any law, any grid",
)
def verify_bound(record: Record) -> None:
    generator = torch.Generator().manual_seed(0)
    for name, process, num_dims, grids in processes_and_grids():
        for grid in grids:
            for q_0 in random_law(generator, 3, process.num_values**num_dims, spread=1.5):
                left = output_divergence(process, q_0, grid)
                right = sum(step_total_correlations(process, q_0, grid))
                record.at_most(left, right, f"{name}, {len(grid) - 1} steps")


@claim(
    "jump-your-steps-equal-bits",
    "The same bound holds without full support: for two bits that always agree.",
    group="beyond",
    source="Park et al., Jump Your Steps (ICLR 2025)",
    hypotheses="masked and uniform noise, N = 2, 3, 5, 9",
)
def verify_equal_bits(record: Record) -> None:
    equal_bits = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for process in (MaskedProcess(2), UniformProcess(2, ExponentialSchedule(1.0, rate=2.0))):
        for num_steps in (2, 3, 5, 9):
            grid = uniform_grid(num_steps)
            left = output_divergence(process, equal_bits, grid)
            right = sum(step_total_correlations(process, equal_bits, grid))
            record.at_most(left, right, f"two equal bits, {num_steps} steps")


def small_chains() -> Iterator[tuple[ForwardProcess, Law, list[Kernel], list[float]]]:
    """(process, law, kernels, grid) for pairs of bits, small enough to enumerate every path."""
    for grid in ([0.0, 0.7], [0.0, 0.3, 0.8], [0.0, 0.2, 0.6, 1.0]):
        alphas = [1 - t for t in grid]
        ratios = [b / a for a, b in itertools.pairwise(alphas)]
        law = oracle.law_from([0.1, 0.25, 0.3, 0.35], 2, 2)
        masked = [oracle.masked_kernel(r, 2, from_data=k == 0) for k, r in enumerate(ratios)]
        yield MaskedProcess(2), law, masked, grid
        yield UniformProcess(2), law, [oracle.uniform_kernel(r, 2) for r in ratios], grid


@claim(
    "jump-your-steps-remainder",
    "The bound exceeds KL(q_0 || out_N) by exactly E KL(q(path | x_0) || p(path | x_0)).",
    group="beyond",
    source="the chain rule",
    hypotheses="as for jump-your-steps; two bits, one to three steps, every path is enumerated",
)
def verify_remainder(record: Record) -> None:
    for process, law, kernels, grid in small_chains():
        paths, output, conditional = path_decomposition(law, kernels)
        q_0 = torch.tensor(list(law.values()), dtype=torch.float64)
        what = f"{type(process).__name__}, grid {grid}"
        right = sum(step_total_correlations(process, q_0, grid))
        record.equal(paths, right, 1e-12, f"path divergence, {what}")
        record.equal(output, output_divergence(process, q_0, grid), 1e-12, f"output, {what}")
        record.equal(output + conditional, right, 1e-12, f"remainder, {what}")


@claim(
    "jump-your-steps-equality",
    "The bound is an equality for one step from complete noise, where it is TC(q_0), and for "
    "independent data.",
    group="beyond",
    source="this project",
    hypotheses="complete noise has alpha_T = 0; masked and uniform noise, three coordinates",
)
def verify_equality(record: Record) -> None:
    generator = torch.Generator().manual_seed(1)
    for process in (MaskedProcess(2), MaskedProcess(3), UniformProcess(2), UniformProcess(3)):
        size = process.num_values
        for q_0 in random_law(generator, 5, size**3):
            one_step = [0.0, process.horizon]
            left = output_divergence(process, q_0, one_step)
            right = sum(step_total_correlations(process, q_0, one_step))
            record.equal(left, right, 1e-12, "one step from complete noise")
            record.equal(left, float(total_correlation(q_0, 3, size)), 1e-12, "one step is TC(q_0)")
        for q_0 in product_law(random_law(generator, 4, 3, size)):
            grid = uniform_grid(4)
            record.vanishes(output_divergence(process, q_0, grid), 1e-12, "independent data")
            for term in step_total_correlations(process, q_0, grid):
                record.vanishes(term, 1e-12, "independent data, a step")


@claim(
    "jump-your-steps-strict",
    "False in general: the bound is the divergence of the output. From two steps on it is larger, "
    "by more than 0.005 on every random law tried.",
    group="fails",
    source="this project",
    hypotheses="three bits, masked and uniform noise, N = 2, 4, 8",
)
def verify_not_an_equality(record: Record) -> None:
    generator = torch.Generator().manual_seed(2)
    for process in (MaskedProcess(2), UniformProcess(2)):
        for num_steps in (2, 4, 8):
            for q_0 in random_law(generator, 5, 8, spread=1.5):
                grid = uniform_grid(num_steps)
                left = output_divergence(process, q_0, grid)
                right = sum(step_total_correlations(process, q_0, grid))
                record.exceeds(right, left, 0.005, f"bound above divergence, {num_steps} steps")


@claim(
    "jump-your-steps-prior",
    "False in general: the bound holds for a sampler that starts from the prior. It holds once "
    "KL(q_T || prior) is added.",
    group="fails",
    source="this project",
    hypotheses="uniform noise that is not complete at T; three bits",
)
def verify_prior(record: Record) -> None:
    generator = torch.Generator().manual_seed(3)
    process = UniformProcess(2, ExponentialSchedule(0.1))
    prior = product_law(process.prior().expand(3, -1))
    for q_0 in random_law(generator, 10, 8, spread=1.5):
        grid = uniform_grid(4, 0.1)
        left = output_divergence(process, q_0, grid, start="prior")
        steps = sum(step_total_correlations(process, q_0, grid))
        start = float(kl(forward_law(process, q_0, 0.1), prior))
        record.at_most(left, steps + start, "from the prior")
        record.exceeds(left, steps, 0.05, "from the prior, without its divergence")
