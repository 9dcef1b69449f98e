r"""Theorem 2 for diffusion: exact product teachers and one-step mixture students.

The teacher is the marginal-matching product denoiser of a forward process, used in N steps. The
student is a finite mixture with one latent for all coordinates, used in one step from $t_N$. The
left side compares the two generated laws, computed by the exact engine, which never forms a kernel.
The right side computes the losses from dense kernels.

`quantile_student` follows Proposition 1. With latents $\lambda_j = (j + 1/2)/L$ it rounds the
teacher's composition to L equal point masses. One product component of weight 1 - share keeps every
divergence finite. Both sides tend to 0 as L grows and share tends to 1; the left side is at most
(1 - share) + n / 2L, with n the number of states. A product student cannot do this.
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
    r"""A finite mixture $p^\theta_{0|t}(x_0 \mid x_t)$ for every $x_t$ at each time.

    Attributes:
        weights: law of the latent, (L,).
        tables: for each time, the components for every $x_t$, (L, n, D, S).
    """

    def __init__(self, weights: Tensor, tables: dict[float, Tensor]) -> None:
        self.weights = weights
        self.tables = tables

    def kernel(self, t: float) -> Tensor:
        """The dense kernel of one step, [x_t, x_0]."""
        return torch.tensordot(self.weights, exact.product_law(self.tables[t]), 1)

    def denoiser(self, num_states: int) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        """The student as a denoiser of the exact engine: (x_t, t, latent) -> log-probabilities."""

        def log_probs(x_t: Tensor, t: Tensor, latent: Tensor | None) -> Tensor:
            if latent is None:
                raise ValueError("latent must be an index; got None")
            powers = num_states ** torch.arange(x_t.shape[1] - 1, -1, -1)
            return self.tables[t[0].item()][latent, (x_t * powers).sum(1)].log()

        return log_probs


def teacher_kernels(process: ForwardProcess, q_0: Tensor, grid: list[float]) -> list[Tensor]:
    """Dense product kernels of the exact teacher; entry k goes from grid[k + 1] to grid[k]."""
    return [
        exact.product_kernel(exact.posterior_marginals(process, q_0, s, t))
        for s, t in itertools.pairwise(grid)
    ]


def compositions(kernels: list[Tensor]) -> list[Tensor]:
    """The dense kernels of the teacher from each time to 0."""
    return list(itertools.accumulate(kernels, lambda done, kernel: kernel @ done))


def quantile_student(
    composed: list[Tensor], grid: list[float], num_dims: int, num_latents: int, share: float
) -> Student:
    """A student with weight `share` on L point masses at equispaced quantiles.

    The rest of the weight is on the product of the teacher's marginals.
    """
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
    """A student with three random components; unmasked coordinates are carried over."""
    x = exact.states(num_dims, process.num_states)
    tables = {}
    for t in grid[1:]:
        probs = random_law(generator, 3, len(x), num_dims, process.num_values, spread=2.0)
        tables[t] = process.reverse(probs, x.expand(3, -1, -1), 0.0, t)
    return Student(random_law(generator, 3), tables)


def diffusion_chains() -> Iterator[tuple[str, ForwardProcess, Tensor, list[float], Student]]:
    """(what, process, q_0, grid, student) for every process, number of steps and student."""
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
    """Teacher and student as dense kernels, a batch of one, started from q_T."""
    start = exact.forward_law(process, q_0, grid[-1])
    teacher = [kernel[None] for kernel in teacher_kernels(process, q_0, grid)]
    return Chains(start[None], teacher, [student.kernel(t)[None] for t in grid[1:]])


def engine_distance(
    process: ForwardProcess, q_0: Tensor, grid: list[float], student: Student
) -> float:
    """Left side by the exact engine: N product steps against one mixture step."""
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
    "Theorem 2 holds for diffusion: N steps of the exact product teacher against one step of a "
    "mixture student.",
    group="paper",
    source="Theorem 2",
    hypotheses="masked, uniform, absorbing and two-state noise; finite mixtures with 1, 3 and 6 "
    "latents; N = 1 and 3",
)
def _verify(record: Record) -> None:
    for what, process, q_0, grid, student in diffusion_chains():
        chains = as_chains(process, q_0, grid, student)
        left, right = engine_distance(process, q_0, grid, student), bound(chains).item()
        record.equal(left, distance(chains).item(), 1e-12, f"engine against dense, {what}")
        record.at_most(left, right, what, rounding=1e-12, largest=1)
        mean = expected_distance(chains).item()
        record.at_most(mean, right, f"E_x TV, {what}", rounding=1e-12, largest=1)


@claim(
    "theorem2-diffusion-latents",
    "A mixture student with L latents reaches its many-step teacher: the distance is at most 1 - "
    "share + n/(2L), and the bound of Theorem 2 falls too.",
    group="beyond",
    source="this project",
    hypotheses="n states; the student has weight share on L quantiles of the teacher (Proposition "
    "1), the rest on one product component; L = 1, 32, 128",
)
def _verify_more_latents(record: Record) -> None:
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
