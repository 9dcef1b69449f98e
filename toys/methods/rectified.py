"""Rectified coupling (ReDi): a product student trained on the pairs that the teacher makes.

Noise and data are independent in training, which is why a product model cannot tell in one step
which of the correlated answers to give. The teacher's own runs couple them: given its $x_T$ the
answer is less uncertain (Yoo et al. 2025). One regeneration. Masked noise starts from one state and
has no coupling to rectify.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from di4c.exact import product_step, states
from di4c.generation import prior_samples
from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture
from di4c.losses import Target, data_loss
from di4c.processes import InterpolatingProcess
from di4c.rng import fold_seed, generator_at, uniform
from toys.jumps import TeacherJump
from toys.problem import Output, Problem
from toys.student_network import WIDTH
from toys.training import Meter, fit, training_teacher

PAIRS = 8192


class StateNetwork(nn.Module):
    """A product model that sees the noise itself: one-hot states and the time."""

    def __init__(self, num_values: int, num_dims: int) -> None:
        super().__init__()
        self.shape = (num_dims, num_values)
        size = num_dims * num_values
        self.layers = nn.Sequential(
            *(nn.Linear(size + 1, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU()),
            nn.Linear(WIDTH, size),
        )

    def forward(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim value"]:
        """Log-probabilities of each coordinate of x_0."""
        features = torch.cat([one_hot(x_t, self.shape[1]).flatten(1), t[:, None]], 1)
        logits = self.layers(features.to(self.layers[0].weight)).unflatten(1, self.shape)
        return logits.log_softmax(-1)


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """Couple, train on the pairs, and go from x_T to x_0 in one step."""
    if 1 not in steps or not problem.multi_step:
        return
    process, task = problem.process, problem.task
    assert isinstance(process, InterpolatingProcess)  # both processes of the benchmark are
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(problem.seed, 0, "network"))
        network = StateNetwork(task.num_values, task.num_dims)
    with Meter() as meter:
        generator = generator_at(problem.seed, 0, "coupling")
        x_T = prior_samples(process, PAIRS, task.num_dims, generator=generator)
        horizon = torch.full((PAIRS,), process.horizon, dtype=torch.float64)
        jump = TeacherJump(process, training_teacher(problem))
        x_0 = jump(x_T, torch.zeros_like(horizon), horizon, generator)

        def loss(generator: torch.Generator) -> Tensor:
            pick = torch.randint(PAIRS, (problem.budget.batch,), generator=generator)
            t = process.horizon * (1 - uniform((len(pick),), generator=generator))
            kept = uniform((len(pick), task.num_dims), generator=generator)
            x_t = torch.where(kept < process.survival(0.0, t)[:, None], x_0[pick], x_T[pick])
            log_probs = network(x_t, t)[:, None]
            student = DenseMixture(log_probs, uniform_log_weights(1), validate=False)
            target = Target.from_samples(x_0[pick, None], validate=False)
            return data_loss(student, target, control_variate=False).total.mean()

        fit(network, loss, problem.budget.iterations, problem.seed)
    with torch.no_grad():
        x = states(task.num_dims, task.num_values)
        t = torch.full((len(x),), process.horizon, dtype=torch.float64)
        law = product_step(problem.start, network.double()(x, t).exp())
    parameters = sum(p.numel() for p in network.parameters())
    yield Output(law, 1, meter.seconds, parameters, peak_memory=meter.memory)
