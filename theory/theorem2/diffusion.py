r"""Theorem 2 on diffusion chains: exact product teachers, one-step mixture students.

The teacher is the marginal-matching product denoiser of a forward process, N steps; the student
is a finite mixture with one latent for all coordinates, used in one step from $t_N$. Left side:
the two generated laws by the engine, which never forms a kernel. Right side: the losses on dense
kernels. `quantile_student` follows Proposition 1: with latents $\lambda_j = (j + 1/2)/L$ it
rounds the teacher's composition to L equal point masses, blended with one product component that
keeps every divergence finite. Both sides fall to 0 as L grows, the left one at the rate of the
rounding: at most (1 - share) + n / 2L. No product student does that: it is the method.
"""

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from di4c import exact
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    UniformProcess,
    absorbing_process,
    two_state_process,
)
from di4c.schedules import ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.theorem2.bound import Chains, bound, distance, expected_distance
from theory.tools.finite_mixture import random_law

PROCESSES: list[tuple[str, ForwardProcess, int]] = [
    ("masked", MaskedProcess(2), 2),
    ("masked", MaskedProcess(2), 3),
    ("masked, S = 3", MaskedProcess(3), 2),
    ("uniform", UniformProcess(2, ExponentialSchedule(1.0, 2.0)), 3),
    ("uniform, S = 3", UniformProcess(3), 2),
    ("absorbing", absorbing_process(ExponentialSchedule(2.0, 1.0)), 2),
    ("two-state", two_state_process(0.3, 1.0, 2.0), 2),
]


class Student:
    r"""A mixture for every $x_t$ at each time: $p^\theta_{0|t}(x_0 \mid x_t)$, one latent a draw.

    Attributes:
        weights: law of the latent, (L,).
        tables: for each time, the components for every $x_t$, (L, n, D, S).
    """

    def __init__(self, weights: Tensor, tables: dict[float, Tensor]) -> None:
        self.weights = weights
        self.tables = tables

    def kernel(self, t: float) -> Tensor:
        """The dense one-step kernel [x_t, x_0]."""
        return torch.tensordot(self.weights, exact.product_law(self.tables[t]), 1)

    def denoiser(self, num_states: int) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        """The same student as the engine's denoiser (x_t, t, latent) -> log-probabilities."""

        def log_probs(x_t: Tensor, t: Tensor, latent: Tensor | None) -> Tensor:
            if latent is None:
                raise ValueError("latent must be an index; got None")
            powers = num_states ** torch.arange(x_t.shape[1] - 1, -1, -1)
            return self.tables[t[0].item()][latent, (x_t * powers).sum(1)].log()

        return log_probs


def teacher_kernels(process: ForwardProcess, q_0: Tensor, grid: list[float]) -> list[Tensor]:
    """Dense product kernels of the exact teacher, entry k from grid[k + 1] to grid[k]."""
    return [
        exact.product_kernel(exact.posterior_marginals(process, q_0, s, t))
        for s, t in itertools.pairwise(grid)
    ]


def compositions(kernels: list[Tensor]) -> list[Tensor]:
    """The teacher from each time down to 0, dense."""
    return list(itertools.accumulate(kernels, lambda done, kernel: kernel @ done))


def quantile_student(
    composed: list[Tensor], grid: list[float], num_dims: int, num_latents: int, share: float
) -> Student:
    """Probability `share` on L point masses at equispaced quantiles, the rest on one product."""
    num_states = round(len(composed[0]) ** (1 / num_dims))
    levels = (torch.arange(num_latents, dtype=torch.float64) + 0.5) / num_latents
    tables = {}
    for t, kernel in zip(grid[1:], composed, strict=True):
        product = exact.marginals(kernel, num_dims, num_states)  # (n, D, S)
        cumulative = kernel.cumsum(-1)
        drawn = torch.searchsorted(cumulative / cumulative[:, -1:], levels.repeat(len(kernel), 1))
        points = exact.states(num_dims, num_states)[drawn]  # (n, L, D)
        one_hot = torch.nn.functional.one_hot(points, num_states).double()
        tables[t] = torch.cat([product[None], one_hot.transpose(0, 1)])
    weights = torch.full((num_latents + 1,), share / num_latents, dtype=torch.float64)
    weights[0] = 1 - share
    return Student(weights, tables)


def random_student(
    process: ForwardProcess, grid: list[float], num_dims: int, generator: torch.Generator
) -> Student:
    """Three random latents; unmasked coordinates are carried over."""
    x = exact.states(num_dims, process.num_states)
    tables = {}
    for t in grid[1:]:
        probs = random_law(generator, 3, len(x), num_dims, process.num_values, spread=2.0)
        tables[t] = process.reverse(probs, x.expand(3, -1, -1), 0.0, t)
    return Student(random_law(generator, 3), tables)


def diffusion_chains() -> Iterator[tuple[str, ForwardProcess, Tensor, list[float], Student]]:
    """(what, process, q_0, grid, student) over processes, steps, and students."""
    generator = torch.Generator().manual_seed(11)
    for (name, process, num_dims), num_steps in itertools.product(PROCESSES, (1, 3)):
        q_0 = random_law(generator, process.num_values**num_dims, spread=1.5)
        grid = uniform_grid(num_steps, process.horizon).tolist()
        composed = compositions(teacher_kernels(process, q_0, grid))
        students = {"random": random_student(process, grid, num_dims, generator)}
        for num_latents, share in ((1, 0.0), (6, 0.8)):
            student = quantile_student(composed, grid, num_dims, num_latents, share)
            students[f"{num_latents} quantiles"] = student
        for kind, student in students.items():
            yield f"{name}, D={num_dims}, N={num_steps}, {kind}", process, q_0, grid, student


def as_chains(process: ForwardProcess, q_0: Tensor, grid: list[float], student: Student) -> Chains:
    """The dense form, a batch of one, started from q_T."""
    start = exact.forward_law(process, q_0, grid[-1])
    teacher = [kernel[None] for kernel in teacher_kernels(process, q_0, grid)]
    return Chains(start[None], teacher, [student.kernel(t)[None] for t in grid[1:]])


def engine_distance(
    process: ForwardProcess, q_0: Tensor, grid: list[float], student: Student
) -> float:
    """Left side by the engine: N product steps against one mixture step."""
    start = exact.forward_law(process, q_0, grid[-1])
    few_step = exact.mixture_composition(
        process,
        student.denoiser(process.num_states),
        [grid[0], grid[-1]],
        start,
        latents=torch.arange(len(student.weights)),
        weights=student.weights,
    )
    return exact.total_variation(exact.product_composition(process, q_0, grid), few_step).item()


@claim(
    "theorem2-diffusion",
    "Theorem 2 for exact product teachers and finite-mixture students",
    group="paper",
    source="Theorem 2",
    hypotheses="masked, uniform, absorbing, two-state; left by the engine, right dense",
)
def _verify(record: Record) -> None:
    for what, process, q_0, grid, student in diffusion_chains():
        chains = as_chains(process, q_0, grid, student)
        left, right = engine_distance(process, q_0, grid, student), bound(chains).item()
        record.equal(left, distance(chains).item(), 1e-12, f"engine against dense, {what}")
        record.at_most(left, right, what, rounding=1e-12)
        record.at_most(expected_distance(chains).item(), right, f"E_x TV, {what}", rounding=1e-12)


@claim(
    "theorem2-diffusion-latents",
    "L latents: distance <= 1 - share + n/(2L), and the bound falls with it",
    group="beyond",
    source="this project",
    hypotheses="L rounded quantiles of the teacher (Proposition 1) plus one product component",
)
def _verify_latents_close_the_gap(record: Record) -> None:
    q_0 = torch.tensor([0.4, 0.1, 0.1, 0.4], dtype=torch.float64)
    for name, process in (("masked", MaskedProcess(2)), ("uniform", UniformProcess(2))):
        grid = uniform_grid(4).tolist()
        composed = compositions(teacher_kernels(process, q_0, grid))
        sides = []
        for num_latents, share in ((1, 0.0), (32, 0.97), (128, 0.995)):
            student = quantile_student(composed, grid, 2, num_latents, share)
            chains = as_chains(process, q_0, grid, student)
            left, right = engine_distance(process, q_0, grid, student), bound(chains).item()
            rounding = 1 - share + 4 * share / (2 * num_latents)
            record.at_most(left, rounding, f"distance, {num_latents} latents, {name}")
            sides.append((left, right))
        for (left, right), (finer_left, finer_right) in itertools.pairwise(sides):
            record.at_most(finer_left, left / 2, f"distance falls, {name}")
            record.at_most(finer_right, right, f"bound falls, {name}")
