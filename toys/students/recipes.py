"""The recipes of the benchmark's mixtures, as data, and the students that they train."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from di4c.latents import FiniteLatent, GaussianLatent, LatentLaw, UniformLatent
from di4c.objective import Di4CObjective
from di4c.recipes import SeparateDistillation
from di4c.rng import fold_seed
from toys.students.losses import JumpObjective
from toys.students.network import Backbone
from toys.students.student import Student
from toys.students.training import DataSampler, Meter, fit, make_network, training_teacher
from toys.tasks.problem import Problem
from toys.teachers.jumps import Jump, TeacherJump

_PREPARED = 8  # iterations whose noisy states are made together: one large tensor, not many small

LATENTS: dict[str, Callable[[int, int], LatentLaw]] = {
    "categories": lambda _, count: FiniteLatent(torch.arange(count)),
    "scalar": lambda _, __: UniformLatent(),
    "gaussian": lambda _, __: GaussianLatent((8,)),
    "position": lambda num_dims, _: UniformLatent((num_dims,)),
}
"""Latent laws by name, from the numbers of dimensions and of categories: K categories, the scalar
uniform of the paper, 8 Gaussians, one uniform for each position."""


@dataclass(frozen=True)
class JumpRecipe:
    r"""Di4C as improved here; see `toys.students.losses` for the reasons.

    Attributes:
        latent: a key of LATENTS.
        num_latents: L for each state; K if the latent is categories, all of which are enumerated.
        stratified: whether other latents are stratified.
        consistency: whether to distil the teacher.
        data: whether there is a data term; noisy states are made from data in any case.
        start_atoms: atoms of the consistency target at the start of generation.
        row_atoms: atoms of the consistency target at a random time.
        data_atoms: examples in an iteration; at the start they share one state.
        start_weight: of the loss at the start.
        data_weight: of the data term at random times, whose one atom a state is noisy.
        ratio: where the teacher's jump from t ends: u = ratio t.
        control_variate: whether the losses split off their independent part.
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

    def law(self, problem: Problem) -> LatentLaw:
        """The latent's law."""
        return LATENTS[self.latent](problem.task.num_dims, self.num_latents)

    def jump(self, problem: Problem) -> Jump | None:
        """The problem's teacher over long jumps, None without consistency."""
        if not self.consistency:
            return None
        return TeacherJump(problem.process, training_teacher(problem))


def jump_student(
    problem: Problem, recipe: JumpRecipe, callback: Callable[[Student, int], None] | None = None
) -> Student:
    """A student of the recipe within the problem's budget.

    Args:
        problem: what to learn.
        recipe: how.
        callback: called after each iteration with the student so far and the number from 1.
    """
    latent = recipe.law(problem)
    network = make_network(problem, latent)
    student = Student(problem, network, latent, recipe.latent, Meter())
    report = None if callback is None else (lambda iteration: callback(student, iteration))
    with student.meter:
        jump, iterations = recipe.jump(problem), problem.budget.iterations
        train_by_jumps(problem, recipe, network, jump, iterations, callback=report)
    return student


def train_by_jumps(
    problem: Problem,
    recipe: JumpRecipe,
    network: Backbone,
    jump: Jump | None,
    iterations: int,
    round_number: int = 0,
    callback: Callable[[int], None] | None = None,
) -> None:
    """Train in place; the start and the examples at random times share the budget's batch."""
    rows = max(1, problem.budget.batch // recipe.num_latents - 1)
    objective = JumpObjective(problem.process, network, jump, recipe.law(problem), recipe, rows)
    draw, ready, atoms = DataSampler(problem), [], max(rows, recipe.data_atoms)

    def loss(generator: torch.Generator) -> Tensor:
        if not ready:
            x_0 = draw(_PREPARED * atoms, generator).unflatten(0, (_PREPARED, atoms))
            ready.extend(objective.prepare(x_0, generator))
        return objective(ready.pop(), generator)

    seed = fold_seed(problem.seed, round_number, "rounds")
    fit(network, loss, iterations, seed, recipe.learning_rate, callback)


def objective_student(
    problem: Problem, network: Backbone, latent_name: str, objective: Di4CObjective
) -> Student:
    """A student of a recipe of `di4c.recipes`, trained within the problem's budget."""
    draw = DataSampler(problem)
    pairs = objective.recipe.num_latents
    if isinstance(objective.recipe.distillation, SeparateDistillation):
        pairs *= 2  # as many states again
    batch = max(1, problem.budget.batch // pairs)

    def loss(generator: torch.Generator) -> Tensor:
        return objective(draw(batch, generator), generator=generator).loss.mean()

    with Meter() as meter:
        fit(network, loss, problem.budget.iterations, problem.seed)
    return Student(problem, network, objective.latent, latent_name, meter)
