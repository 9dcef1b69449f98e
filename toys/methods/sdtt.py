"""SDTT: a product student that learns jumps twice as long in each round.

Self-distillation through time (Deschenaux & Gulcehre 2025).
In each round the student learns, from $x_t$, what the last round's model says of $x_0$ after one of
its steps, and takes over its place. Marginals alone are matched: the student stays a product.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.denoisers import Denoiser
from di4c.processes import ForwardProcess
from di4c.rng import fold_seed
from di4c.samplers import ancestral_step
from toys.students.network import Backbone
from toys.students.student import Student
from toys.students.training import DataSampler, Meter, fit, make_network, training_teacher
from toys.tasks.problem import Output, Problem

ROUNDS = 4
TIMES = 2**ROUNDS
LEARNING_RATE = 1e-2  # that of the benchmark's own recipe; the smaller default does worse


@dataclass(frozen=True)
class StepLoss:
    r"""$\mathrm{KL}(p_{0|u}(\cdot \mid x_u) \,\|\, p^\theta_{0|t}(\cdot \mid x_t))$ of each $x_t$.

    $x_u$ is one step of the last model from $x_t$, $u = t - \delta$; times are multiples of
    horizon / `TIMES`, the start of generation among them. Where $u \le 0$ the last model's word on
    $x_t$ is final.

    Attributes:
        process: forward process.
        student: what is trained.
        last: denoiser of the last round.
        gap: $\delta$ in units of horizon / `TIMES`.
    """

    process: ForwardProcess
    student: Backbone
    last: Denoiser
    gap: int

    def __call__(self, x_0: Tensor, generator: torch.Generator) -> Float[Tensor, "batch"]:
        """The loss of each example."""
        index = torch.randint(1, TIMES + 1, (len(x_0),), generator=generator)
        unit = self.process.horizon / TIMES
        t, u = index.double() * unit, (index - self.gap).clamp_min(0).double() * unit
        x_t = self.process.sample(x_0, 0.0, t, generator=generator)
        with torch.no_grad():
            x_u = ancestral_step(
                self.process, self.last(x_t, t).exp(), x_t, u, t, generator=generator
            )
            final = u == 0
            target = self.last(x_u.where(~final[:, None], x_t), u.where(~final, t))
        return self.student(x_t[:, None], t, None).marginal_kl(target)


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """Rounds with gaps 1/16, 1/8, 1/4, 1/2 and an equal share of the budget."""
    network, draw = make_network(problem, None), DataSampler(problem)
    last, iterations = training_teacher(problem), max(1, problem.budget.iterations // ROUNDS)
    with Meter() as meter:
        for k in range(ROUNDS):
            step_loss = StepLoss(problem.process, network, last, 2**k)

            def loss(generator: torch.Generator, step_loss: StepLoss = step_loss) -> Tensor:
                return step_loss(draw(problem.budget.batch, generator), generator).mean()

            fit(network, loss, iterations, fold_seed(problem.seed, k, "rounds"), LEARNING_RATE)
            last = copy.deepcopy(network).requires_grad_(False).denoiser
    yield from Student(problem, network, None, "-", meter).outputs(steps)
