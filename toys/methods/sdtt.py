"""SDTT: a product student that learns jumps twice as long in each round.

Self-distillation through time (Deschenaux & Gulcehre 2025). The model of the last round makes one
step from $x_t$ and predicts $x_0$ from there. The student learns to make this prediction from $x_t$
directly. In the next round the student takes the place of that model. Only marginals are matched,
so the student stays a product.
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
from reporting.measure import Meter
from toys.students.network import Backbone
from toys.students.student import TrainedStudent
from toys.students.training import DataSampler, fit, make_network, training_teacher
from toys.tasks.setting import Output, Setting

ROUNDS = 4
TIMES = 2**ROUNDS
LEARNING_RATE = 1e-2  # as in `JumpOptions`; the smaller default does worse


@dataclass(frozen=True)
class StepLoss:
    r"""$\mathrm{KL}(p_{0|u}(\cdot \mid x_u) \,\|\, p^\theta_{0|t}(\cdot \mid x_t))$ of each $x_t$.

    $x_u$ is one step of the last round's model from $x_t$, with $u = t - \delta$. Times are
    multiples of horizon / `TIMES`, up to the start of generation. If $u \le 0$, the target is the
    prediction of that model from $x_t$ itself.

    Attributes:
        process: forward process.
        student: the network to train.
        last: denoiser of the last round's model.
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
            probs = self.last(x_t, t).exp()
            x_u = self.process.reverse_step(probs, x_t, u, t, generator=generator)
            final = u == 0
            target = self.last(x_u.where(~final[:, None], x_t), u.where(~final, t))
        return self.student(x_t[:, None], t, None).marginal_kl(target)


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """Train rounds of gaps 1/16, 1/8, 1/4, 1/2, with equal shares of the budget; yield the laws."""
    network, draw = make_network(setting, None), DataSampler(setting)
    last, iterations = training_teacher(setting), max(1, setting.budget.iterations // ROUNDS)
    with Meter() as meter:
        for k in range(ROUNDS):
            step_loss = StepLoss(setting.process, network, last, 2**k)

            def loss(generator: torch.Generator, step_loss: StepLoss = step_loss) -> Tensor:
                return step_loss(draw(setting.budget.batch, generator), generator).mean()

            fit(network, loss, iterations, fold_seed(setting.seed, k, "rounds"), LEARNING_RATE)
            last = copy.deepcopy(network).requires_grad_(False).denoiser
    yield from TrainedStudent(setting, network, None, "-", meter).outputs(steps)
