"""The benchmark's own settings of Di4C, as data, and the students that they train."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from di4c.latents import FiniteLatent, GaussianLatent, LatentLaw, UniformLatent
from di4c.rng import fold_seed
from reporting.measure import Meter
from toys.students.losses import JumpObjective
from toys.students.network import Backbone
from toys.students.student import TrainedStudent
from toys.students.training import DataSampler, fit, make_network, training_teacher
from toys.tasks.setting import Output, Setting
from toys.teachers.jumps import Jump, TeacherJump

_PREPARED = 8  # iterations whose noisy states are made together: few large tensors are faster

LATENTS: dict[str, Callable[[int, int], LatentLaw]] = {
    "categories": lambda _, count: FiniteLatent(torch.arange(count)),
    "scalar": lambda _, __: UniformLatent(),
    "gaussian": lambda _, __: GaussianLatent((8,)),
    "position": lambda num_dims, _: UniformLatent((num_dims,)),
}
"""From the numbers of dimensions and of categories to the law of the latent, by name: K categories,
the scalar uniform of the paper, 8 Gaussians, one uniform for each position."""


@dataclass(frozen=True)
class JumpOptions:
    r"""Settings of Di4C with long teacher jumps; `toys.students.losses` explains them.

    Attributes:
        latent: a key of LATENTS.
        num_latents: L for each state. For categories this is K, and all of them are enumerated.
        stratified: whether latents that are not categories are stratified.
        consistency: whether to distil the teacher.
        data: whether there is a data term; noisy states are made from data in any case.
        start_atoms: atoms of the consistency target at the start of generation.
        row_atoms: atoms of the consistency target at a random time.
        data_atoms: examples in an iteration; at the start they share one state.
        start_weight: of the loss at the start.
        data_weight: of the data term at random times. It is low, as a state there has one example.
        ratio: where the teacher's jump from t ends: u = ratio t.
        control_variate: whether the losses are split by the control variate.
        learning_rate: the largest.
    """

    latent: str = "categories"
    num_latents: int = 256
    stratified: bool = True
    consistency: bool = True
    data: bool = False
    start_atoms: int = 256
    row_atoms: int = 32
    data_atoms: int = 512
    start_weight: float = 1.0
    data_weight: float = 0.1
    ratio: float = 0.05
    control_variate: bool = False
    learning_rate: float = 1e-2

    def law(self, setting: Setting) -> LatentLaw:
        """The latent's law."""
        return LATENTS[self.latent](setting.task.num_dims, self.num_latents)

    def jump(self, setting: Setting) -> Jump | None:
        """Long jumps of the setting's teacher, None without consistency."""
        if not self.consistency:
            return None
        return TeacherJump(setting.process, training_teacher(setting))


def jump_outputs(
    setting: Setting, steps: tuple[int, ...], options: JumpOptions
) -> Iterator[Output]:
    """Train a student and yield its laws: a method of the benchmark for each set of options."""
    yield from jump_student(setting, options).outputs(steps)


def jump_student(
    setting: Setting,
    options: JumpOptions,
    callback: Callable[[TrainedStudent, int], None] | None = None,
) -> TrainedStudent:
    """A student trained within the setting's budget.

    Args:
        setting: what to learn.
        options: how.
        callback: called after each iteration with the student so far and the number from 1.
    """
    latent = options.law(setting)
    network = make_network(setting, latent)
    student = TrainedStudent(setting, network, latent, options.latent, Meter())
    report = None if callback is None else (lambda iteration: callback(student, iteration))
    with student.meter:
        jump, iterations = options.jump(setting), setting.budget.iterations
        train_by_jumps(setting, options, network, jump, iterations, callback=report)
    return student


def train_by_jumps(
    setting: Setting,
    options: JumpOptions,
    network: Backbone,
    jump: Jump | None,
    iterations: int,
    round_number: int = 0,
    callback: Callable[[int], None] | None = None,
) -> None:
    """Train a network in place.

    The budget's batch is shared between the start of generation and examples at random times.
    """
    rows = max(1, setting.budget.batch // options.num_latents - 1)
    objective = JumpObjective(setting.process, network, jump, options.law(setting), options, rows)
    draw, ready, atoms = DataSampler(setting), [], max(rows, options.data_atoms)

    def loss(generator: torch.Generator) -> Tensor:
        if not ready:
            x_0 = draw(_PREPARED * atoms, generator).unflatten(0, (_PREPARED, atoms))
            ready.extend(objective.prepare(x_0, generator))
        return objective(ready.pop(), generator)

    seed = fold_seed(setting.seed, round_number, "rounds")
    fit(network, loss, iterations, seed, options.learning_rate, callback)
