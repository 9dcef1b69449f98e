r"""Rectified coupling (ReDi): a product student trained on pairs that the teacher generates.

In usual training noise $x_T$ and data $x_0$ are independent. A product model then cannot give
correlated values in one step. In the teacher's own generations noise and data depend on each other:
given $x_T$, the values of $x_0$ are less uncertain (Yoo et al. 2025). The student learns from pairs
of one regeneration.

Teacher and student step by the discrete flow, in which a coordinate keeps its noise until it jumps.
Ancestral steps would not couple noise and data: their first step from $x_T$ forgets $x_T$
(`theory/samplers/rectified_pair.py`). Masked noise starts from a single state, so the method is for
uniform noise only.
"""

import itertools
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from di4c.exact import product_step, states
from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture
from di4c.losses import Target, data_loss
from di4c.processes import InterpolatingProcess
from di4c.rng import categorical, fold_seed, generator_at, uniform
from di4c.sampling_loop import prior_samples
from di4c.schedules import uniform_grid
from reporting.measure import Meter
from toys.students.network import WIDTH
from toys.students.training import fit, training_teacher
from toys.tasks.setting import MULTI_STEP_STATES, Output, Setting

PAIRS = 2**14
TEACHER_STEPS = 64

_ROWS = 2**13  # states in one call of the network


class StateNetwork(nn.Module):
    """A product model that reads the noisy state itself: one-hot states and the time."""

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


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """Make pairs by the teacher, train on them, and yield the laws of the student's flow."""
    process, task = setting.process, setting.task
    assert isinstance(process, InterpolatingProcess)  # both processes of the benchmark are
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(setting.seed, 0, "network"))
        network = StateNetwork(task.num_values, task.num_dims)
    with Meter() as meter:
        x_T, x_0 = coupled(setting, process, PAIRS)

        def loss(generator: torch.Generator) -> Tensor:
            pick = torch.randint(PAIRS, (setting.budget.batch,), generator=generator)
            t = process.horizon * (1 - uniform((len(pick),), generator=generator))
            kept = uniform((len(pick), task.num_dims), generator=generator)
            x_t = torch.where(kept < process.survival(0.0, t)[:, None], x_0[pick], x_T[pick])
            log_probs = network(x_t, t)[:, None]
            student = DenseMixture(log_probs, uniform_log_weights(1), validate=False)
            target = Target.from_samples(x_0[pick, None], validate=False)
            return data_loss(student, target, control_variate=False).total.mean()

        fit(network, loss, setting.budget.iterations, setting.seed)
    network = network.double()
    parameters = sum(p.numel() for p in network.parameters())
    for nfe in steps:
        if (nfe - 1) * setting.num_noisy_states <= MULTI_STEP_STATES:
            law = flow_law(setting, process, network, nfe)
            yield Output(law, nfe, meter.seconds, parameters, peak_memory=meter.memory)


@torch.no_grad()
def coupled(
    setting: Setting, process: InterpolatingProcess, num_pairs: int
) -> tuple[Int[Tensor, "pair dim"], Int[Tensor, "pair dim"]]:
    """Draws of noise x_T, and the x_0 that the teacher's flow generates from each of them."""
    generator = generator_at(setting.seed, 0, "coupling")
    teacher = training_teacher(setting)
    x_T = prior_samples(process, num_pairs, setting.task.num_dims, generator=generator)
    x = x_T
    for t, s in itertools.pairwise(uniform_grid(TEACHER_STEPS, process.horizon).flip(0).tolist()):
        times = torch.full((num_pairs,), t, dtype=torch.float64)
        x = categorical(process.flow(teacher(x, times).exp(), x, s, t), generator=generator)
    return x_T, x


@torch.no_grad()
def flow_law(
    setting: Setting,
    process: InterpolatingProcess,
    network: Callable[[Tensor, Tensor], Tensor],
    nfe: int,
) -> Float[Tensor, "atom"]:
    """The law after `nfe` equal steps of the student's flow from the law of x_T."""
    x, law = states(setting.task.num_dims, process.num_states), setting.start
    for t, s in itertools.pairwise(uniform_grid(nfe, process.horizon).flip(0).tolist()):
        later = torch.zeros_like(law)
        for weights, rows in zip(law.split(_ROWS), x.split(_ROWS), strict=True):
            times = torch.full((len(rows),), t, dtype=torch.float64)
            later += product_step(weights, process.flow(network(rows, times).exp(), rows, s, t))
        law = later
    return law
