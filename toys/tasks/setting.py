"""The interface between the benchmark and its methods: `Setting` in, `Output` out.

A method is a function of a setting and of the numbers of network evaluations to ask for. It yields
one exact law for each of these numbers. The benchmark measures the laws.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from di4c.denoisers import Denoiser, ExactDenoiser
from di4c.exact import product_law
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess
from toys.tasks.registry import Task
from toys.teachers.exact import MarginalsDenoiser

MULTI_STEP_STATES = 20_000
"""Student laws of several steps are composed exactly up to this size: noisy states times the number
of steps after the first."""

COMPOSABLE_NUMBERS = 2**25
"""The exact engine is quick up to this size of a table of posterior marginals: 256 MiB."""

_CACHED_NUMBERS = 2**27  # numbers that the exact teacher keeps for different times: 1 GiB

PROCESSES: dict[str, Callable[[int], ForwardProcess]] = {
    "masked": MaskedProcess,
    "uniform": UniformProcess,
}
"""From the number of values to the noise process, by name; linear schedules on [0, 1]."""


@dataclass(frozen=True)
class Budget:
    """What every trained method may spend; a method with several rounds divides it.

    Attributes:
        name: what `--budget` takes.
        evaluations: evaluations of the student network in training, over all rounds of a method.
            Each pair of a noisy state and a latent that goes forward and backward counts as one.
        batch: pairs of a noisy state and a latent in one iteration.
    """

    name: str
    evaluations: int
    batch: int = 1024

    @property
    def iterations(self) -> int:
        """Optimiser steps."""
        return max(1, self.evaluations // self.batch)


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("quick", 200 * 1024),
        Budget("standard", 600 * 1024),
        Budget("long", 40_000 * 1024),
    )
}


@dataclass(frozen=True)
class Setting:
    """One task under one noise process, with the teacher and the budget that all methods share.

    Attributes:
        task: the law to learn.
        process_name: a key of PROCESSES.
        seed: of every random draw of the method.
        budget: what training may cost.
        make_teacher: makes the teacher of this setting, for example a network trained by
            cross-entropy; None for the exact marginals.
    """

    task: Task
    process_name: str
    seed: int = 0
    budget: Budget = field(default_factory=lambda: BUDGETS["standard"])
    make_teacher: Callable[["Setting"], Denoiser] | None = None

    @cached_property
    def process(self) -> ForwardProcess:
        """The forward process; at its horizon nothing is left of the data."""
        return PROCESSES[self.process_name](self.task.num_values)

    @cached_property
    def q_0(self) -> Float[Tensor, "atom"]:
        """The data law, (S^D,), float64."""
        return self.task.law()

    @cached_property
    def teacher(self) -> Denoiser:
        """The product denoiser to distil: the exact marginals, or what `make_teacher` makes."""
        if self.make_teacher is not None:
            return self.make_teacher(self)
        if self.process.mask_state is not None and not self.composable:
            return MarginalsDenoiser(self.q_0, self.task.num_values)
        tables = max(2, _CACHED_NUMBERS // self.table_numbers)
        return ExactDenoiser(self.process, self.q_0, max_tables=tables)

    @property
    def num_noisy_states(self) -> int:
        """States of x_t: (S + 1)^D with a mask, S^D without."""
        return self.process.num_states**self.task.num_dims

    @property
    def table_numbers(self) -> int:
        """Size of a table of the posterior marginals of all noisy states."""
        return self.num_noisy_states * self.task.num_dims * self.process.num_states

    @property
    def composable(self) -> bool:
        """Whether a step of `di4c.exact.product_composition` takes at most seconds."""
        return self.table_numbers <= COMPOSABLE_NUMBERS

    @property
    def multi_step(self) -> bool:
        """Whether the law of a second student step is affordable; that of the first always is."""
        return self.num_noisy_states <= MULTI_STEP_STATES

    @cached_property
    def start(self) -> Float[Tensor, "state"]:
        """Law of x_T over all noisy states: all masks, or uniform."""
        return product_law(self.process.prior().expand(self.task.num_dims, -1))


class Output(NamedTuple):
    """A law that a method generates, with its cost.

    Attributes:
        law: over S^D, float64, non-negative, summing to 1.
        nfe: network evaluations to draw one sample.
        train_seconds: wall time of training, on one thread.
        parameters: trainable numbers of the network.
        latent: kind of latent, "-" for none.
        latent_refinement: how much TV changes when the latent is enumerated more finely.
        peak_memory: bytes that training added to the process, None if that cannot be measured.
    """

    law: Float[Tensor, "atom"]
    nfe: int
    train_seconds: float = 0.0
    parameters: int = 0
    latent: str = "-"
    latent_refinement: float = 0.0
    peak_memory: int | None = 0


class Method(NamedTuple):
    """A row of the leaderboard.

    Attributes:
        title: what it is, in a few words.
        outputs: (setting, numbers of network evaluations) -> the law after each of them. Numbers
            that the method cannot serve are left out.
        steps: the numbers of network evaluations to ask for.
        trained: whether it trains; a method without training ignores the seed and runs once.
        processes: the noise processes that it is defined for.
    """

    title: str
    outputs: Callable[[Setting, tuple[int, ...]], Iterator[Output]]
    steps: tuple[int, ...] = (1, 2, 4)
    trained: bool = False
    processes: tuple[str, ...] = ("masked", "uniform")
